"""Activities as an AnnData of their own."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import activities, check_adata, stored_names


def activity(adata: AnnData, *, key: str = _keys.FIT) -> AnnData:
    """Get activities as an AnnData cells × regulators, for all of scanpy's plots and tests.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` or :func:`grnrep.tl.transform` was run.
    key
        Where the activities are in ``adata.obsm``.

    Returns
    -------
    AnnData with the activities as X (n_obs, n_regulators), a dask array where they lie in a store;
    ``obs``, ``obsm`` and the colours in ``uns`` are copies of those of ``adata``; ``var`` holds what the
    fit knows of every regulator.

    Raises
    ------
    KeyError, TypeError
        If there is no table of activities under ``key``.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> adata = anndata.AnnData(np.ones((2, 3)))
    >>> adata.obsm["grnrep"] = pd.DataFrame({"P": [1.0, 3.0], "Q": [2.0, 4.0]}, index=adata.obs_names)
    >>> gr.get.activity(adata)[:, "Q"].X.tolist()
    [[2.0], [4.0]]
    """
    check_adata(adata, min_obs=0)
    names = stored_names(adata, key) if key in adata.obsm else None
    if names is None:
        table = activities(adata, key)
        names, values = table.columns, table.to_numpy(copy=True)
    else:
        values = adata.obsm[key]
    record = adata.uns.get(key)
    var = pd.DataFrame(index=names)
    if isinstance(record, Mapping) and _keys.REGULATORS in record:
        var = record[_keys.REGULATORS].reindex(names)
    return AnnData(
        X=values,
        obs=adata.obs.copy(),
        var=var,
        obsm={name: values.copy() for name, values in adata.obsm.items()},
        uns={
            name: colours.copy() for name, colours in adata.uns.items() if name.endswith("_colors")
        },
    )
