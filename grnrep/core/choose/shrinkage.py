"""How much to trust the prior signs: shrinkage chosen by predicting genes that were held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from grnrep.core.choose.ridge import FEW_GENES_PRIORS, Model, choose_prior, choose_ridge
from grnrep.core.design import known_columns, without_known
from grnrep.core.load import constraints_of
from grnrep.core.network import Network
from grnrep.core.signs import orient
from grnrep.core.threads import side_by_side

RIDGES = (1e-4, 0.03, 0.3, 3.0, 30.0)  # that are tried, from the middle one on
PRIORS = (0.03, 0.3, 10.0)  # that are tried; the last only where the middle one beats the first
_MAX_CELLS = 400  # that penalties are compared on: with 200 the choice varies with the draw
_FOLDS = 5  # of the genes: a fifth is held out at a time
_RIDGE_OF_FEW = 1e-3  # ridge of fits to few genes
_FEWEST_GENES = 100  # with fewer, what is held out says too little to choose by
_HELD_OUT = 400  # genes to predict, if as many: with fewer the choice varies with the draw
_ITERATIONS, _TOL = 25, 1e-2  # of the fits that are compared: enough to rank them
_SLACK = 0.005  # of the highest correlation, as a share: what is lost within it is lost to chance
_CHANCE = 2.0  # standard errors: a highest correlation within so many of 0 is that of signs that say nothing


class Shrinkage(NamedTuple):
    """Options of :func:`grnrep.core.als.fit.fit_decoder`.

    ``signs_predict`` is False where prior signs were found to predict no better than chance.
    """

    ridge: float
    prior: float
    shared: bool = False
    signs_predict: bool = True


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


Scores = dict[tuple[float, float], Score]  # by ridge and prior


def choose_shrinkage(
    x: np.ndarray,
    network: Network,
    *,
    likelihood: str = "tobit",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    ridge: float | None = None,
    prior: float | None = None,
    rng: int = 0,
) -> Shrinkage:
    """Choose ``ridge``, ``prior`` and ``shared`` of :func:`grnrep.core.als.fit.fit_decoder`.

    Genes are held out, activities are learned from the others, and the held-out genes are predicted from the
    activities of their regulators with the prior signs as weights, which no gene's own data have touched. The weakest
    prior wins that comes within 0.5 % of the highest correlation, and then the weakest ridge within 0.5 % of the best
    for that prior: what is lost within that is lost to chance, and activities bear less of a ridge than predictions.
    For each prior the search goes from a middle ridge to weaker and to stronger ones as long as predictions get
    better, and so it goes on to the strongest prior. Free weights are tried where the weakest prior comes that close,
    and a cell has more constraining values than regulators.

    Where the highest correlation is within two standard errors of 0, the signs predict nothing: weights are then free
    where a cell has more constraining values than regulators, else drawn to the signs as weakly as any prior does, and
    :func:`grnrep.core.choose.ridge.choose_ridge` chooses the ridge. Where less than half of the edges have a sign
    there is nothing to predict with: weights then stay free, and the ridge is chosen so too. Fewer than 100 genes are
    too few to choose by: the prior, and the size of the weights that it asks for, are then chosen by values that were
    held out.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges with prior signs.
    likelihood, intercept, covariates
        As in the fit.
    ridge, prior
        A value that is settled already.
    rng
        Source of the choice of cells and genes, and of the fits' start.
    """

    def ridge_at(prior: float) -> float:
        """The ridge that is settled, or else the one that held-out values ask for."""
        if ridge is not None:
            return ridge
        return choose_ridge(
            x,
            network,
            likelihood=likelihood,
            intercept=intercept,
            covariates=covariates,
            prior=prior,
            rng=rng,
        )

    model = Model(likelihood, intercept, covariates, rng)
    if prior != 0 and is_signed(network) and network.n_genes < _FEWEST_GENES:
        settled = _RIDGE_OF_FEW if ridge is None else ridge
        priors = FEW_GENES_PRIORS if prior is None else (prior,)
        return Shrinkage(settled, *choose_prior(x, network, model, ridge=settled, priors=priors))
    if ridge is not None and prior is not None:
        return Shrinkage(ridge, prior)
    if prior == 0 or not has_signs(network):
        prior = 0.0 if prior is None else prior
        return Shrinkage(ridge_at(prior), prior)

    cells, fold = draw_held_out(len(x), network, rng=rng)
    drawn, model = x[cells], model.of_cells(cells)

    def score(ridge: float, prior: float) -> Score:
        return held_out_score(drawn, network, fold, ridge, prior, model)

    ridges = RIDGES if ridge is None else (ridge,)
    weaker, stronger = (PRIORS[:2], PRIORS[2:]) if prior is None else ((prior,), ())
    determined = _determined(x, network, likelihood=likelihood)
    with side_by_side(2) as each:
        scores = _search(partial(_search_ridges, score, ridges), weaker, stronger, each)
        if not _predict(scores):
            if prior is None:
                prior = 0.0 if determined else min(PRIORS)
            return Shrinkage(ridge_at(prior), prior, signs_predict=False)
        if prior is None and determined and _weakest(scores) == min(PRIORS):
            free_ridge = ridge_at(0.0)
            scores[free_ridge, 0.0] = score(free_ridge, 0.0)
    weakest = _weakest(scores)
    return Shrinkage(*min(_close({pair: s for pair, s in scores.items() if pair[1] == weakest})))


def draw_held_out(n_cells: int, network: Network, *, rng: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells to compare models on, at most 400 of them, and the fold of every gene."""
    draw = np.random.default_rng(rng)
    cells = np.sort(draw.permutation(n_cells)[:_MAX_CELLS])
    return cells, draw.permutation(network.n_genes) % _FOLDS


def is_signed(network: Network) -> bool:
    """Whether at least half of the edges have a prior sign."""
    return bool(np.count_nonzero(network.sign) * 2 >= network.n_edges > 0)


def has_signs(network: Network) -> bool:
    """Whether held-out genes can be predicted with prior signs, and are enough to choose by."""
    return is_signed(network) and network.n_genes >= _FEWEST_GENES


def _determined(x: np.ndarray, network: Network, *, likelihood: str) -> bool:
    """Whether known weights would determine the activities of a typical cell."""
    return constraints_of(x, likelihood=likelihood) > len(x) * network.n_regulators


def _search(
    of_prior: Callable[[float], Scores],
    weaker: tuple[float, ...],
    stronger: tuple[float, ...],
    each: Callable[..., Iterator[Scores]],
) -> Scores:
    """Scores of the weaker priors, side by side, and of stronger ones as long as the strongest is the best."""
    scores: Scores = {}
    for of_one in each(of_prior, weaker):
        scores |= of_one
    for prior in stronger:
        _, best = max(scores, key=lambda pair: scores[pair])
        if best == max(tried for _, tried in scores):
            scores |= of_prior(prior)
    return scores


def _search_ridges(
    score: Callable[[float, float], Score], ridges: tuple[float, ...], prior: float
) -> Scores:
    """Scores of the ridges that were tried, at one prior."""
    middle, scores = len(ridges) // 2, {}
    for path in (ridges[middle:], ridges[:middle][::-1]):  # towards stronger, then towards weaker
        for ridge in path:
            scores[ridge, prior] = score(ridge, prior)
            if scores[ridge, prior] < max(scores.values()):
                break
    return scores


def _predict(scores: Scores) -> bool:
    """Whether signs predict held-out genes at all, at the best of the pairs."""
    return max(scores.values()).above_chance


def _weakest(scores: Scores) -> float:
    """The weakest prior that comes close to the highest correlation."""
    return min(prior for _, prior in _close(scores))


def _close(scores: Scores) -> list[tuple[float, float]]:
    """The pairs that come close to the highest correlation, whatever its sign; never none."""
    highest = max(scores.values()).correlation
    enough = highest - _SLACK * abs(highest)
    return [pair for pair, score in scores.items() if score.correlation >= enough]


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
        fit, *_ = orient(fit, others)
        signs = np.zeros((test.n_genes, test.n_regulators))
        signs[test.gene, test.regulator] = test.sign
        predicted = predict_by_signs(
            fit.activity, signs, x[:, held_out], likelihood=model.likelihood
        )
        a, b = (
            without_known(torch.as_tensor(part), known).numpy()
            for part in (predicted, x[:, held_out].astype(np.float64))
        )
        products.append((a * b).sum(0))
        squares += [(a * a).sum(), (b * b).sum()]
    return score_of(products, squares)


def score_of(products: list[np.ndarray], squares: np.ndarray) -> Score:
    """Score from Σ a b of every gene, in parts, and Σ a² and Σ b² of all."""
    size = float(np.sqrt(squares[0]) * np.sqrt(squares[1]))
    # what every gene adds to the correlation
    share = np.concatenate(products) / (size if size > 0 else 1.0)
    # with signs that say nothing each share is as likely positive as negative: variance Σ share²
    return Score(float(share.sum()), float(np.sqrt(np.square(share).sum())))


def predict_by_signs(
    activity: np.ndarray, signs: np.ndarray, x: np.ndarray, *, likelihood: str
) -> np.ndarray:
    """Predict genes from activities and signs alone, (n_cells, n_genes).

    Under a ReLU each prediction is cut where it leaves as many zeros as the gene
    has in ``x``: what is compared is expression, not what lies below zero.
    """
    p = activity @ signs.T
    if likelihood == "gaussian":
        return p
    zeros = (x == 0).mean(0)
    rank = np.ceil(zeros * (len(x) - 1)).astype(np.int64)
    cut = np.take_along_axis(np.sort(p, axis=0), rank[None, :], axis=0)
    return np.maximum(p - cut, 0)


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
    )
