"""Edges of a fit as a table."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import check_adata
from grnrep._edges import edge_table, edges_of


def network(adata: AnnData, regulator: str | None = None, *, key: str = _keys.FIT) -> pd.DataFrame:
    """Get the targets of a regulator, or all edges, with prior and learned weights.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` or :func:`grnrep.tl.transform` was run, or a loaded model.
    regulator
        Name of one regulator. By default all edges.
    key
        Where the fit is in ``adata.uns``.

    Returns
    -------
    DataFrame with a row per edge, by regulator, the largest learned weight first. It has the columns of a network,
    so that it can be fitted again, and can be changed without changing ``adata``:

    ``source``, ``target``, ``weight``
        Regulator, gene and prior weight; NaN: unknown, as of all edges that a repair has added or dropped.
    ``learned``
        Learned weight, in units of expression per unit of the activity.
    ``learned_sd``
        Of fits that learned their noise: what the weight was left open by (less than a posterior says).
    ``std_err``
        After :func:`grnrep.tl.posterior` or ``uncertainty=True``, the standard deviation of the weight; after a
        repair alone the standard error by which the edge was judged.
    ``status``, ``fdr``
        "kept", or with ``repair=True`` also "added" or "dropped", and then the share of false edges among the
        kept, or added, ones at least as convincing.

    Raises
    ------
    KeyError
        If there is no fit under ``key``, or no such regulator in it.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=3, connectivity=0.3, rng=0, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> table = gr.get.network(adata, "TF_001")
    >>> list(table.columns)
    ['source', 'target', 'weight', 'learned', 'learned_sd', 'status']
    >>> len(table) == sum(net["source"] == "TF_001")
    True
    """
    check_adata(adata, min_obs=0)
    return edge_table(adata, key) if regulator is None else edges_of(adata, key, regulator)
