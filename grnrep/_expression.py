"""Expression of cells, opened and checked for a decoder that was learned before."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._cells import Cells, is_count
from grnrep._checks import gene_names, some
from grnrep._inputs import expression_of
from grnrep._match_names import why_few
from grnrep._record import Decoder
from grnrep._values import another_scale, check_values, matrix, open_values, report_empty, where
from grnrep.rows.blocks import Blocks

logger = logging.getLogger("grnrep")


@dataclass(frozen=True, eq=False)
class Expression:
    """Cells that a decoder is held against.

    Parameters
    ----------
    blocks
        Expression of the genes of ``decoder``.
    decoder
        The part of the decoder whose genes are there.
    cells
        Facts on all cells.
    """

    blocks: Blocks
    decoder: Decoder
    cells: Cells


def open_expression(
    adata: AnnData,
    decoder: Decoder,
    genes: pd.DataFrame,
    *,
    layer: str | None,
    verb: str,
    name: str,
    block_size: int | None = None,
    client: Any = None,
    progress: bool = False,
    compare_scale: bool = True,
) -> Expression:
    """Open those genes of a decoder that ``adata`` has; say what is missing, and what is on another scale.

    Parameters
    ----------
    adata, layer, name
        Cells, the layer to read, and how messages call the cells.
    decoder, genes
        What was learned, and its table of genes.
    verb
        Who asks, for messages.
    block_size, client, progress
        As in :func:`grnrep.tl.fit`.
    compare_scale
        Whether expression is to be on the scale of the fit.

    Raises
    ------
    ValueError
        If there is no gene of the decoder, or expression is not what the likelihood can be of.
    """
    what, read_from = where(layer, name=name), layer
    cells, (adata, layer) = adata, expression_of(adata, layer, name=name)
    names = gene_names(adata, name=name)
    known = decoder.restrict(names)
    _report(decoder, known, names, cells, layer=read_from, verb=verb, name=name)
    blocks, scan = open_values(
        adata,
        known.genes,
        names.get_indexer(known.genes),
        layer=layer,
        name=name,
        block_size=block_size,
        client=client,
        progress=progress,
    )
    remedy = f"Normalise {what} as the data that was fitted, which had no negative values"
    check_values(decoder.likelihood, scan, adata, known.genes, what=what, remedy=remedy)
    if is_count(decoder.likelihood):
        report_empty(scan, what=what)
    elif compare_scale:  # size factors take up the scale of counts
        reason = another_scale(genes.loc[known.genes], blocks, scan)
        if reason is not None:
            logger.warning("%s: %s is not on the scale of the fit: %s", verb, what, reason)
    return Expression(blocks, known, known.cells(adata, scan, name=name))


def _report(
    decoder: Decoder,
    known: Decoder,
    names: pd.Index,
    cells: AnnData,
    *,
    layer: str | None,
    verb: str,
    name: str,
) -> None:
    """Say what of the decoder is not in the data; raise where that is everything."""
    other = _other_place(decoder, cells, layer, name=name)
    named = None if layer == _keys.RAW else cells
    cause = why_few(decoder.genes, names, named, name=name)
    cause = f". {cause}" if cause else ""
    place = f"{name}.raw.var_names" if layer == _keys.RAW else f"{name}.var_names"
    if len(known.genes) == 0:
        hint = f". {other[0].upper()}{other[1:]}. Otherwise name" if other else ". Name"
        hint = cause or f"{hint} genes as in the data that was fitted"
        raise ValueError(
            f"{place} must have genes of the decoder, {some(decoder.genes)}; found only others: "
            f"{some(names)}{hint}"
        )
    missing = decoder.genes.difference(known.genes)
    if len(missing):
        logger.warning(
            "%s: %d of %d genes of the decoder are not among %s: %s%s",
            verb, len(missing), len(decoder.genes), place, some(missing), cause
        )  # fmt: skip
    lost = decoder.regulators.difference(known.regulators)
    if len(lost):
        logger.warning(
            "%s: %d regulator(s) have no target there and get NaN: %s", verb, len(lost), some(lost)
        )  # fmt: skip
    if other and not (len(missing) == 0 and decoder.layer == _keys.RAW and cells.raw is None):
        logger.warning("%s: reading %s; %s", verb, where(layer, name=name), other)


def _other_place(decoder: Decoder, cells: AnnData, layer: str | None, *, name: str) -> str:
    """Say where the fit read expression, and how to read it there too; empty where that is done."""
    if layer == decoder.layer:
        return ""
    text = f"the fit read {matrix(decoder.layer)}"
    if decoder.layer == _keys.RAW:
        n_raw = 0 if cells.raw is None else int(decoder.genes.isin(cells.raw.var_names).sum())
        if n_raw:
            return f"{text}: use_raw=True reads {name}.raw, which has {n_raw} of the genes"
        return f"{text} (use_raw=True), which may have had genes that {name}.X lacks"
    return f"{text}: leave out use_raw=True" if layer == _keys.RAW else text
