"""How well the true activities were recovered."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import activities, check_adata, some
from grnrep._record import r2
from grnrep.metrics.reconstruction import errors_by_gene


def recovery(
    adata: AnnData, *, key: str = _keys.FIT, truth: str = _keys.TRUE_ACTIVITY
) -> pd.DataFrame:
    """Compare inferred activities with the true ones, regulator by regulator, matched by name.

    Parameters
    ----------
    adata
        Data with both, such as :func:`grnrep.ds.simulate` makes and :func:`grnrep.tl.fit` completes.
    key
        Where the inferred activities are in ``obsm``, and the fit in ``uns``.
    truth
        Where the true activities are in ``obsm``: a table with regulators as columns.

    Returns
    -------
    Table with a row for every regulator of the truth, in its order: ``pearson``, the signed
    correlation over cells; ``abs_pearson``, its absolute value; ``r2``, the share of the variance of
    its targets that is explained; ``n_targets``. A regulator that the fit lacks has NaN and 0 targets.
    Activities of another method, with nothing under ``key`` in ``uns``, have only correlations.

    Raises
    ------
    ValueError, KeyError, TypeError
        If there is no fit or no truth under these names, or they have no regulator in common.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> x = np.outer(np.arange(1.0, 11.0), [0.7, 1.2])
    >>> adata = anndata.AnnData(x, var=pd.DataFrame(index=["a", "b"]))
    >>> adata.obsm["true_activity"] = pd.DataFrame({"P": x[:, 0]}, index=adata.obs_names)
    >>> gr.tl.fit(adata, pd.DataFrame({"source": "P", "target": ["a", "b"]}), min_targets=1)
    >>> gr.metrics.recovery(adata)["pearson"].round(2).to_dict()
    {'P': 1.0}
    """
    check_adata(adata)
    inferred, true = activities(adata, key), activities(adata, truth, argument="truth")
    if not true.columns.isin(inferred.columns).any():
        raise ValueError(
            f"truth={truth!r} and key={key!r} have no regulator in common; first of each: "
            f"{some(true.columns)} and {some(inferred.columns)}"
        )
    pearson = _pearson(inferred.reindex(columns=true.columns).to_numpy(), true.to_numpy())
    out = pd.DataFrame({"pearson": pearson, "abs_pearson": np.abs(pearson)}, index=true.columns)
    return out.join(_explained(adata, key)).fillna({"n_targets": 0}).astype({"n_targets": np.int64})


def _explained(adata: AnnData, key: str) -> pd.DataFrame:
    """Per regulator, variance explained of its targets and their number; empty without a fit."""
    if key not in adata.uns:
        return pd.DataFrame({"r2": [], "n_targets": []}, dtype=np.float64)
    decoder, *errors = errors_by_gene(adata, key)
    edges = decoder.network
    residual, deviation = (
        np.bincount(edges.regulator, weights=error[edges.gene], minlength=edges.n_regulators)
        for error in errors
    )
    return pd.DataFrame(
        {"r2": r2(residual, deviation), "n_targets": edges.targets_per_regulator()},
        index=decoder.regulators,
    )


def _pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of every column of ``a`` with that of ``b``; NaN where one is constant or unknown."""
    vary = (np.ptp(a, axis=0) > 0) & (np.ptp(b, axis=0) > 0)
    a, b = (
        m[:, vary].astype(np.float64) - m[:, vary].mean(axis=0, dtype=np.float64) for m in (a, b)
    )
    out = np.full(len(vary), np.nan)
    out[vary] = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return out
