"""The summary that ``grnrep evaluate`` prints."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from grnrep.metrics import reconstruction

_QUANTILES = {"min": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "max": 1.0}


def summary(adata: AnnData, recovery: pd.DataFrame, *, key: str) -> pd.DataFrame:
    """Summarise recovery over regulators, and reconstruction where there is a fit.

    R² is pooled over the targets of a regulator, or of one gene.

    A regulator or gene without a value, NaN, counts in no figure but ``n``, the number with one.
    """
    rows = {"PCC, signed": recovery["pearson"], "PCC, absolute": recovery["abs_pearson"]}
    if key in adata.uns:
        rows["R², regulators"] = recovery["r2"]
        rows["R², genes"] = reconstruction(adata, key=key)["r2"]
    columns = {
        "n": {row: values.count() for row, values in rows.items()},
        "mean": {row: values.mean() for row, values in rows.items()},
    }
    for name, q in _QUANTILES.items():
        columns[name] = {row: values.quantile(q) for row, values in rows.items()}
    return pd.DataFrame(columns)
