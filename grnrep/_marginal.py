"""Activities of every regulator by itself, of the cells that a decoder was learned from or held against."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._cells import is_count
from grnrep._checks import check_adata, record, some
from grnrep._expression import Expression, open_expression
from grnrep._inputs import has_expression
from grnrep._record import Decoder, is_contrast, read_decoder
from grnrep._values import where
from grnrep.core.marginal import Marginal, marginal
from grnrep.rows.engine import map_blocks

_MEAN, _SD = "expression_mean", "expression_sd"  # columns of a fit's genes
_LIKELIHOODS = ("gaussian", "tobit")  # of normalised expression, whose decoder is linear in it


def marginal_activities(adata: AnnData, key: str, *, verb: str) -> tuple[Marginal, pd.Index]:
    """Score every regulator by itself with the weights kept in ``adata.uns[key]``.

    Returns the regressions of all cells, float32, and the names of the regulators; NaN where nothing is known.

    Raises
    ------
    KeyError
        If there is no fit under ``key``.
    ValueError
        If there is no cell, no expression, no gene of the decoder, rows are differences, or the fit is of counts, of
        0 and 1, or of an early version, which kept no means and deviations of genes.
    """
    check_adata(adata)
    decoder, genes = read_decoder(adata, key), record(adata, key)[_keys.GENES]
    _check(adata, decoder, genes, key)
    opened = open_expression(adata, decoder, genes, layer=decoder.layer, verb=verb, name="adata")
    function = _MarginalBlock(opened, genes.loc[opened.decoder.genes, [_MEAN, _SD]])
    shape = (adata.n_obs, len(decoder.regulators))
    score, slope, std_err = (np.full(shape, np.nan, dtype=np.float32) for _ in range(3))
    columns, dof = decoder.regulators.get_indexer(opened.decoder.regulators), 0
    computed = map_blocks(function, len(opened.blocks), desc="marginal", progress=False)
    with closing(computed) as parts:
        for k, part in parts:
            place, dof = np.ix_(opened.blocks.rows(k), columns), part.dof
            score[place], slope[place], std_err[place] = part.score, part.slope, part.std_err
    return Marginal(score, slope, std_err, dof), decoder.regulators


@dataclass(frozen=True, eq=False)
class _MarginalBlock:
    """A function of a block of cells."""

    opened: Expression
    genes: pd.DataFrame

    def __call__(self, k: int) -> Marginal:
        blocks, decoder = self.opened.blocks, self.opened.decoder
        known, effects = self.opened.cells.covariates, decoder.fit.effects
        mean, sd = (self.genes[column].to_numpy(dtype=np.float64) for column in (_MEAN, _SD))
        if known is None or effects is None:
            block = blocks.every_gene(k)[:, blocks.genes]
            if not isinstance(block, np.ndarray):
                block.sum_duplicates()
            x = block.astype(np.float32)  # as a fit reads it
        else:
            x = blocks.read(k)
            explained = known[blocks.rows(k)] @ effects.T
            # a censored zero says that the sum is not positive, and has no share of the effect in it
            x = x - (np.where(x > 0, explained, 0) if decoder.link == "relu" else explained)
        return marginal(x, mean, sd, decoder.weights())


def _check(adata: AnnData, decoder: Decoder, genes: pd.DataFrame, key: str) -> None:
    """Check that there is a decoder of normalised expression, and expression."""
    if decoder.likelihood not in _LIKELIHOODS:
        kind = "counts" if is_count(decoder.likelihood) else "values of 0 and 1"
        raise ValueError(
            f"marginal=True must have a fit of normalised expression; that under key={key!r} is of {kind} "
            f"(likelihood={decoder.likelihood!r}), whose weights are no slopes of what was measured. Fit logarithms "
            "(scanpy.pp.normalize_total, scanpy.pp.log1p) under another key_added and name that as key"
        )
    if not {_MEAN, _SD} <= {*genes}:
        raise ValueError(
            f"marginal=True needs {some((_MEAN, _SD))} of every gene, which adata.uns[{key!r}]['genes'] of an "
            "early version lacks. Run grnrep.tl.fit again"
        )
    if is_contrast(adata, key):
        raise ValueError(
            f"marginal=True must have cells; the rows under key={key!r} are differences (contrast=True), which have "
            "no mean and deviation of genes to be compared with. Use their conditional activities: marginal=False"
        )
    if not has_expression(adata, decoder.layer):
        raise ValueError(
            f"marginal=True needs the expression that activities were found from, {where(decoder.layer)}, which "
            f"is not there; layers: {some(adata.layers, 10)}. Put it back, or call this before it is dropped"
        )
