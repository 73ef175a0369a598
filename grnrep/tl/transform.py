"""The verb that infers activities of new cells with a learned decoder."""

from __future__ import annotations

import logging
from copy import deepcopy

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import check_adata, check_key, check_writable, gene_names, record, some
from grnrep._record import Decoder, read_decoder
from grnrep._values import check_not_negative, read_values, where
from grnrep.tl._solve import check_solver, infer
from grnrep.tl._store import activity_table, copy_of, store

logger = logging.getLogger("grnrep")


def transform(
    new: AnnData,
    adata: AnnData,
    *,
    key: str = _keys.FIT,
    solver: str | None = None,
    epochs: int | None = None,
    layer: str | None = None,
    device: str | None = None,
    progress: bool = True,
    copy: bool = False,
) -> AnnData | None:
    r"""Infer the activities of new cells with a decoder that was learned before.

    The weights stay as they are; of every new cell the activities are found that
    explain its expression best. Genes are matched by name. Genes of the decoder that
    ``new`` lacks are left out, and a regulator all of whose targets are missing gets
    NaN, since nothing is known about it.

    Parameters
    ----------
    new
        Annotated data, cells × genes, normalised as the data that was fitted.
    adata
        Data on which :func:`grnrep.tl.fit` was run; only ``adata.uns[key]`` is used.
    key
        Where the fit was kept, and where results are kept in ``new``.
    solver
        ``"exact"`` or ``"gradient"``; by default the one that fitted.
    epochs
        Passes over ``new`` by the gradient solver. By default the solver's own.
    layer
        Layer of ``new`` with the expression; by default ``new.X``.
    device
        Torch device, such as ``"cuda"``. By default the solver's own choice.
    progress
        Whether long work shows its progress.
    copy
        Whether to return a copy instead of changing ``new``.

    Returns
    -------
    None, or with ``copy=True`` the copy (in memory, also of backed data). Sets the following fields:

    ``new.obsm[key]`` : :class:`~pandas.DataFrame` (n_obs, n_regulators), float32
        Activities, same columns as in ``adata.obsm[key]``.
    ``new.uns[key]`` : dict
        What the fit kept, without its history, and ``"missing_genes"``: names of
        genes of the decoder that ``new`` lacks.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and
        what would do.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> activity = np.random.default_rng(0).random((40, 2))
    >>> weights = np.array([[1.0, 2.0, 0.5, 0.0], [0.0, 1.0, 1.5, 3.0]])
    >>> data = anndata.AnnData(activity @ weights, var=pd.DataFrame(index=["a", "b", "c", "d"]))
    >>> net = pd.DataFrame({"source": list("PPPQQQ"), "target": list("abcbcd"), "weight": 1.0})
    >>> adata, new = data[:30].copy(), data[30:].copy()
    >>> gr.tl.fit(adata, net)
    >>> gr.tl.transform(new, adata)
    >>> new.obsm["grnrep"].shape
    (10, 2)
    """
    check_adata(new, name="new")
    check_adata(adata, min_obs=0)
    check_key("key", key)
    if not copy:
        check_writable(new, name="new")
    decoder = read_decoder(adata, key)
    solver = str(decoder.params["solver"]) if solver is None else solver
    limit = check_solver(solver, epochs=epochs)
    names = gene_names(new, name="new")
    known = decoder.restrict(names)
    _report(decoder, known, names, layer=layer)
    x, cells = read_values(new, known.genes, names.get_indexer(known.genes), layer=layer, name="new")
    if decoder.params["link"] == "relu":
        remedy = "Normalise new as the data that was fitted, which had no negative values"
        what = where(layer, name="new")
        check_not_negative(x, new.obs_names[cells], known.genes, what=what, remedy=remedy)

    activity = infer(x, known, solver=solver, device=device, progress=progress, **limit)
    table = activity_table(new, activity, cells, regulators=known.regulators)
    kept = {name: part for name, part in record(adata, key).items() if name != _keys.HISTORY}
    out = copy_of(new) if copy else new
    store(
        out,
        key,
        obsm=table.reindex(columns=decoder.regulators),
        uns={
            **deepcopy(kept),
            _keys.PARAMS: {**kept[_keys.PARAMS], "layer": _keys.X if layer is None else layer},
            _keys.MISSING_GENES: np.array(decoder.genes.difference(known.genes), dtype=object),
        },
    )
    return out if copy else None


def _report(decoder: Decoder, known: Decoder, names: pd.Index, *, layer: str | None) -> None:
    """Say what of the decoder is not in ``new``; raise where that is everything."""
    if len(known.genes) == 0:
        raise ValueError(
            "new has no gene of the decoder among new.var_names; first genes of the decoder: "
            f"{some(decoder.genes)}, of new: {some(names)}. Name genes as in the data that was fitted"
        )
    missing = decoder.genes.difference(known.genes)
    if len(missing):
        sizes = (len(missing), len(decoder.genes))
        logger.warning("transform: new lacks %d of %d genes of the decoder: %s", *sizes, some(missing))
    lost = decoder.regulators.difference(known.regulators)
    if len(lost):
        logger.warning(
            "transform: %d regulators have no target in new and get NaN: %s", len(lost), some(lost)
        )
    if layer != decoder.layer:
        logger.warning(
            "transform: reading %s; the fit read %s", where(layer, name="new"), where(decoder.layer)
        )
