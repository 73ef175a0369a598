"""Genes that are held out and predicted from the activities of their regulators, with prior signs as weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from grnrep.core.choose.ridge import Model
from grnrep.core.design import known_columns, without_known
from grnrep.core.network import Network
from grnrep.core.signs import orient_to_prior

_MAX_CELLS = 400  # that penalties are compared on: with 200 the choice varies with the draw
_FOLDS = 5  # of the genes: a fifth is held out at a time
_FEWEST_GENES = 100  # with fewer, what is held out says too little to choose by
_HELD_OUT = 400  # genes to predict, if as many: with fewer the choice varies with the draw
_ITERATIONS, _TOL = 14, 1e-2  # of the fits that are compared: enough to rank them
_CHANCE = 2.0  # standard errors: a highest correlation within so many of 0 is that of signs that say nothing


class Score(NamedTuple):
    """Correlation of held-out genes with their prediction; scores are compared by it.

    ``error`` is its standard deviation where signs say nothing: the contribution of every gene then is as
    likely positive as negative.
    """

    correlation: float
    error: float

    @property
    def above_chance(self) -> bool:
        """Whether signs predict anything."""
        return self.correlation > _CHANCE * self.error

    @classmethod
    def of(cls, shares: np.ndarray) -> Score:
        """What genes add to the correlation, or to a difference of two, summed.

        With signs that say nothing each is as likely positive as negative, and the variance is Σ shares².
        """
        return cls(float(shares.sum()), float(np.sqrt(np.square(shares).sum())))


class Compared(NamedTuple):
    """Cells that models were compared on, (cells, n_genes); the fold of every gene; and scores, by ridge and prior."""

    x: np.ndarray
    fold: np.ndarray
    scores: dict[tuple[float, float], Score]


def draw_held_out(
    n_cells: int, network: Network, *, rng: int, most: int = _MAX_CELLS
) -> tuple[np.ndarray, np.ndarray]:
    """Cells to compare models on, so many at most, and the fold of every gene."""
    draw = np.random.default_rng(rng)
    cells = np.sort(draw.permutation(n_cells)[:most])
    return cells, draw.permutation(network.n_genes) % _FOLDS


def is_signed(network: Network) -> bool:
    """Whether at least half of the edges have a prior sign."""
    return bool(np.count_nonzero(network.sign) * 2 >= network.n_edges > 0)


def has_signs(network: Network) -> bool:
    """Whether held-out genes can be predicted with prior signs, and are enough to choose by."""
    return is_signed(network) and network.n_genes >= _FEWEST_GENES


def held_out_score(
    x: np.ndarray, network: Network, fold: np.ndarray, ridge: float, prior: float, model: Model
) -> Score:
    """Pooled correlation of held-out genes with their prediction, beyond means and covariates.

    Σ a b / sqrt(Σ a² Σ b²) over cells and held-out genes of all folds, with predictions a and expression b,
    of both what intercepts and covariates leave unexplained.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges with prior signs.
    fold
        Fold of every gene, ``(n_genes,)``: see :func:`draw_held_out`.
    ridge, prior
        Penalties of the fits.
    model
        What else fits have.
    """
    known = torch.as_tensor(known_columns(len(x), intercept=True, covariates=model.covariates))
    products, squares = [], np.zeros(2)  # Σ_cells a b of every gene; Σ a², Σ b²
    for f in range(min(_FOLDS, -(-_FOLDS * _HELD_OUT // network.n_genes))):
        held_out = fold == f
        others, test = of_genes(network, ~held_out), of_genes(network, held_out)
        fit = model.fit(
            x[:, ~held_out], others, ridge=ridge, prior=prior, max_iter=_ITERATIONS, tol=_TOL
        )
        fit = orient_to_prior(fit, others)
        predicted = predict_by_signs(
            fit.activity, test, x[:, held_out], likelihood=model.likelihood
        )
        a, b = (
            without_known(torch.as_tensor(part), known).numpy()
            for part in (predicted, x[:, held_out].astype(np.float64))
        )
        products.append((a * b).sum(0))
        squares += [(a * a).sum(), (b * b).sum()]
    return Score.of(shares_of(products, squares))


def shares_of(products: list[np.ndarray], squares: np.ndarray) -> np.ndarray:
    """What every gene adds to the correlation, from Σ a b of genes, in parts, and Σ a² and Σ b² of all."""
    size = float(np.sqrt(squares[0]) * np.sqrt(squares[1]))
    return np.concatenate(products) / (size if size > 0 else 1.0)


def predict_by_signs(
    activity: np.ndarray, test: Network, x: np.ndarray, *, likelihood: str
) -> np.ndarray:
    """Predict genes from activities and the signs of their edges alone, (n_cells, n_genes).

    Under a ReLU each prediction is cut where it leaves as many zeros as the gene
    has in ``x``: what is compared is expression, not what lies below zero.
    """
    p = test.matrix(test.expected) @ activity.T  # by its edges: few, and no other library's threads
    if likelihood == "gaussian":
        return p.T
    zeros = (x == 0).mean(0)
    rank = np.ceil(zeros * (len(x) - 1)).astype(np.int64)
    cut = np.take_along_axis(np.sort(p, axis=1), rank[:, None], axis=1)
    return np.maximum(p - cut, 0).T


def of_genes(network: Network, genes: np.ndarray) -> Network:
    """The network of the genes where ``genes`` (n_genes,) is true."""
    keep = genes[network.gene]
    position = np.cumsum(genes) - 1
    return Network.from_edges(
        position[network.gene[keep]],
        network.regulator[keep],
        network.sign[keep],
        int(genes.sum()),
        network.n_regulators,
        magnitude=network.magnitude[keep],
    )
