"""Expected expression at activities, and how well genes are predicted from other genes of the same cells."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from grnrep import _keys
from grnrep._expression import open_expression
from grnrep._record import Decoder, read_decoder
from grnrep.tl._infer import Inference, infer_blocks

_N_PARTS = 5  # in which genes are hidden


def r2_of_hidden_genes(adata: AnnData, model: AnnData) -> float:
    """Share of the variance of genes that the others predict, a fifth of the genes at a time; NaN if there is none.

    Parameters
    ----------
    adata
        New cells with the genes of the fit.
    model
        The fit, without cells.
    """
    decoder = read_decoder(model, _keys.FIT)
    part = np.arange(len(decoder.genes)) % _N_PARTS
    if len(part) < 2:
        raise ValueError(
            f"network must have at least two features with a regulator for a score; found {len(part)}"
        )
    left, there = np.sum(
        [_left_and_there(adata, model, decoder, part == k) for k in range(part.max() + 1)], axis=0
    )
    return float(1 - left / there) if there > 0 else float("nan")


def expected(decoder: Decoder, z: np.ndarray, free: np.ndarray | None = None) -> np.ndarray:
    """Expected expression (n_cells, n_genes) at activities, and free factors."""
    p = decoder.weights() @ z.T.astype(np.float64)
    if free is not None and decoder.fit.loadings is not None:
        p += decoder.fit.loadings @ free.T
    if decoder.fit.bias is not None:
        p += decoder.fit.bias[:, None]
    return decoder.predict(p).T


def _left_and_there(
    adata: AnnData, model: AnnData, decoder: Decoder, hidden: np.ndarray
) -> np.ndarray:
    """Squared residuals of genes that are hidden, and deviations, in units of their variance in the fit, ``(2,)``."""
    genes = model.uns[_keys.FIT][_keys.GENES]
    shown = decoder.restrict(decoder.genes[~hidden])
    opened = open_expression(adata, shown, genes, layer=None, verb="score", name="X")
    inference = Inference(
        blocks=opened.blocks,
        decoder=shown,
        cells=opened.cells,
        with_errors=False,
        solver=decoder.solver,
        device=None,
    )
    z = np.zeros((adata.n_obs, len(decoder.regulators)))  # 0 where no gene of a regulator is shown
    free = np.zeros((adata.n_obs, decoder.fit.n_factors))
    columns = decoder.regulators.get_indexer(shown.regulators)
    with closing(infer_blocks(inference, client=None, progress=False)) as parts:
        for rows, block in parts:
            z[np.ix_(rows, columns)] = block.activity
            if block.free is not None:
                free[rows] = block.free

    told = decoder.restrict(decoder.genes[hidden])
    x = adata[:, told.genes].X
    x = opened.cells.scaled(x.toarray() if sp.issparse(x) else np.asarray(x)).astype(np.float64)
    predicted = expected(told, z[:, decoder.regulators.get_indexer(told.regulators)], free)
    sd = genes.loc[told.genes, "expression_sd"].to_numpy(dtype=np.float64)
    inverse = np.divide(1, sd**2, out=np.zeros(len(sd)), where=sd > 0)
    return np.array([np.square(part).sum(0) @ inverse for part in (x - predicted, x - x.mean(0))])
