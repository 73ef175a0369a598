"""The verb that repairs a prior network by the data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from grnrep import _keys
from grnrep._importing import uncollected

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData

logger = logging.getLogger("grnrep")


def repair(
    adata: AnnData,
    net: pd.DataFrame,
    *,
    likelihood: str = "auto",
    intercept: bool | str = "auto",
    covariates: str | Sequence[str] | None = None,
    signed: bool | str = "auto",
    magnitudes: bool = False,
    min_targets: int = 5,
    max_cells: int | str = "auto",
    stratify: str | None = None,
    layer: str | None = None,
    mask_var: str | np.ndarray | None = None,
    key_added: str = "repair",
    rng: int | np.random.Generator | None = 0,
    device: str | None = None,
    progress: bool = True,
    client: Any = "auto",
    block_size: int | None = None,
) -> pd.DataFrame:
    """Drop edges that the data reject, and add edges that they demand.

    Both at a false discovery rate of 5 %, in turns with short fits (:func:`grnrep.core.repair.repair_network`). The
    rate holds with programmes outside the network that move many genes, with noise that differs between genes, grows
    with expression or has heavy tails: in simulations 1 to 5 % of the additions are false there. A regulator
    that the network lacks altogether, and that moves few genes, is taken for others: up to 16 %. True edges whose
    weight is too near zero to be told from none are dropped too.

    Parameters
    ----------
    adata
        Annotated data, cells × genes, in memory or backed by a file: normalised expression, no counts.
    net
        Prior network, as in :func:`grnrep.tl.fit`.
    likelihood
        ``"gaussian"`` or ``"tobit"``; see :func:`grnrep.tl.fit`.
    max_cells
        How many cells to judge edges by, 2,000 at least; see :func:`grnrep.tl.fit`.
    intercept, covariates, signed, magnitudes, min_targets, stratify, layer, mask_var, rng
        As in :func:`grnrep.tl.fit`.
    key_added
        Where the table of all edges is kept in ``adata.uns``; a table of an earlier call is replaced.
    device, progress, client, block_size
        As in :func:`grnrep.tl.fit`.

    Returns
    -------
    The repaired network, to be passed to :func:`grnrep.tl.fit`: ``source``, ``target``, prior ``weight`` (NaN:
    unknown, as of all added edges), ``status`` (kept or added), and ``fdr``, the share of false edges among
    the kept, or added, ones at least as convincing. Edges without a target in ``adata`` are left out.
    Sets the following fields:

    ``adata.uns[key_added]`` : :class:`~pandas.DataFrame`
        Every edge of ``net`` and every added one: ``source``, ``target``, ``prior`` (was it in ``net``),
        ``learned`` and ``std_err`` in the scale of the short fits, ``status`` (kept, dropped or added) and
        ``fdr``.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used, the effective load is below 2, or expression is counts.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, true = gr.ds.simulate(200, 60, n_regulators=4, connectivity=0.3, rng=0, progress=False)
    >>> net = gr.ds.corrupt_network(true, false=0.2, rng=0)[["source", "target"]]
    >>> repaired = gr.tl.repair(adata, net, progress=False)
    >>> pairs = {*map(tuple, true[["source", "target"]].to_numpy())}
    >>> right = [[pair in pairs for pair in map(tuple, table[["source", "target"]].to_numpy())]
    ...          for table in (net, repaired)]
    >>> [round(sum(edges) / len(edges), 2) for edges in right]
    [0.83, 0.98]
    """
    with uncollected():
        from grnrep._checks import check_table_place, set_table
        from grnrep.tl._choose import repair_edges
        from grnrep.tl._choose_model import choose_model
        from grnrep.tl._config import FitConfig, seed_of
        from grnrep.tl._data import look, sample
        from grnrep.tl._repair import edge_table

    config = FitConfig(
        likelihood=likelihood,
        intercept=intercept,
        covariates=covariates,
        signed=signed,
        magnitudes=magnitudes,
        min_targets=min_targets,
        repair=True,
        max_cells="auto" if max_cells is None else max_cells,
        stratify=stratify,
        layer=layer,
        mask_var=mask_var,
        rng=seed_of(rng),
        device=device,
        progress=progress,
        client=client,
        block_size=block_size,
    )
    check_table_place(adata, key_added, {"prior", "status", "fdr"}, copy=False)
    data = look(adata, net, config)
    model, cells, cells_learned, _ = choose_model(data, sample(data, config), config)
    repaired = repair_edges(data, cells_learned, cells, config, model)
    matched = data.matched.with_network(repaired.network)
    regulators, genes = matched.regulators, matched.genes
    table = edge_table(repaired, regulators, genes, repaired.weight, repaired.std_err)
    logger.info("repair: %s", table["status"].value_counts().to_dict())
    about = table[[_keys.SOURCE, _keys.TARGET, "status", "fdr"]]
    set_table(adata, key_added, table)
    return matched.edges.merge(about, on=[_keys.SOURCE, _keys.TARGET])
