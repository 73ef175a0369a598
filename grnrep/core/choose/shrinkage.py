"""How much to trust the prior signs: shrinkage chosen by predicting genes that were held out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from grnrep.core.als.exact import fit_exact
from grnrep.core.choose.ridge import choose_prior, choose_ridge
from grnrep.core.design import known_columns, without_known
from grnrep.core.load import count_constraints
from grnrep.core.network import Network
from grnrep.core.signs import orient
from grnrep.core.threads import side_by_side

RIDGES = (1e-4, 0.03, 0.3, 3.0, 30.0)
PRIORS = (0.03, 0.3, 10.0)
_MAX_CELLS = 400
_FOLDS = 5
_RIDGE_OF_FEW = 1e-3
_FEWEST_GENES = 100  # with fewer, what is held out says too little to choose by
# genes to predict, if there are as many: with fewer the choice varies with the draw
_HELD_OUT = 400
_ITERATIONS = 25
_SLACK = 0.005  # of the highest correlation: what is lost within it is lost to chance
_CHANCE = 2.0  # standard errors: a highest correlation within so many of 0 is that of signs that say nothing


class Shrinkage(NamedTuple):
    """Options of :func:`grnrep.core.als.exact.fit_exact`.

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


def choose_shrinkage(
    x: np.ndarray,
    network: Network,
    *,
    link: str = "relu",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    ridge: float | None = None,
    prior: float | None = None,
    rng: int = 0,
) -> Shrinkage:
    """Choose ``ridge``, ``prior`` and ``shared`` of :func:`grnrep.core.als.exact.fit_exact`.

    Genes are held out, activities are learned from the others, and the held-out
    genes are predicted from the activities of their regulators with the prior
    signs as weights, which no gene's own data have touched. The weakest prior wins that
    comes within 0.5 % of the highest correlation, and then the weakest ridge within 0.5 % of the best
    for that prior: what is lost within that is lost to chance, and activities bear less of a ridge than
    predictions. For each
    prior the search goes from a middle ridge to weaker and to stronger ones as long as
    predictions get better, and so it goes on to the strongest prior. Free weights are tried where the
    weakest prior comes that close, and a cell has more constraining values than regulators.
    Where the highest correlation is within two standard errors of 0, the signs predict nothing: weights are
    then free where a cell has more constraining values than regulators, else drawn to the signs as weakly
    as any prior does, and :func:`grnrep.core.choose.ridge.choose_ridge` chooses the ridge.
    Where less than half of the edges have a sign there is nothing to predict with:
    weights then stay free, and :func:`grnrep.core.choose.ridge.choose_ridge` chooses the ridge.
    Fewer than 100 genes are too few to choose by: the prior, and the size of the weights that it
    asks for, are then chosen by values that were held out.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges with prior signs.
    link, intercept, covariates
        As in the fit.
    ridge, prior
        A value that is settled already.
    rng
        Source of the choice of cells and genes, and of the fits' start.

    """
    model = {"link": link, "intercept": intercept, "covariates": covariates, "rng": rng}
    signed = is_signed(network)
    if prior != 0 and signed and network.n_genes < _FEWEST_GENES:
        ridge = _RIDGE_OF_FEW if ridge is None else ridge
        priors = {} if prior is None else {"priors": (prior,)}
        return Shrinkage(ridge, *choose_prior(x, network, ridge=ridge, **priors, **model))
    if ridge is not None and prior is not None:
        return Shrinkage(ridge, prior)
    if prior == 0 or not signed or network.n_genes < _FEWEST_GENES:
        prior = 0.0 if prior is None else prior
        ridge = choose_ridge(x, network, prior=prior, **model) if ridge is None else ridge
        return Shrinkage(ridge, prior)
    cells, fold = draw_held_out(len(x), network, rng=rng)
    part = model | {"covariates": None if covariates is None else covariates[cells]}
    score = partial(held_out_score, x[cells], network, fold, **part)
    search = partial(_best_ridges, score, RIDGES if ridge is None else (ridge,))
    scores: dict[tuple[float, float], Score] = {}
    with side_by_side(2) as each:
        for found in each(search, PRIORS[:2] if prior is None else (prior,)):
            scores |= found
        for stronger in PRIORS[2:] if prior is None else ():
            if max(scores, key=scores.get)[1] == max(p for _, p in scores):
                scores |= search(stronger)
        if not _predict(scores):
            if prior is None:
                prior = 0.0 if _determined(x, network, link=link) else min(PRIORS)
            ridge = choose_ridge(x, network, prior=prior, **model) if ridge is None else ridge
            return Shrinkage(ridge, prior, signs_predict=False)
        if prior is None and _weakest(scores) == min(PRIORS) and _determined(x, network, link=link):
            free = (choose_ridge(x, network, **model) if ridge is None else ridge, 0.0)
            scores[free] = score(*free)
    weakest = _weakest(scores)
    own = {pair: score for pair, score in scores.items() if pair[1] == weakest}
    return Shrinkage(*min(_close(own)))


def draw_held_out(n_cells: int, network: Network, *, rng: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells to compare models on, at most 400 of them, and the fold of every gene."""
    draw = np.random.default_rng(rng)
    cells = np.sort(draw.permutation(n_cells)[:_MAX_CELLS])
    return cells, draw.permutation(network.n_genes) % _FOLDS


def is_signed(network: Network) -> bool:
    """Whether at least half of the edges have a prior sign."""
    return np.count_nonzero(network.sign) * 2 >= network.n_edges > 0


def has_signs(network: Network) -> bool:
    """Whether held-out genes can be predicted with prior signs, and are enough to choose by."""
    return is_signed(network) and network.n_genes >= _FEWEST_GENES


def _determined(x: np.ndarray, network: Network, *, link: str) -> bool:
    """Whether known weights would determine the activities of a typical cell."""
    return (count_constraints(x) if link == "relu" else x.size) > len(x) * network.n_regulators


def _best_ridges(
    score: Callable[[float, float], Score], ridges: tuple[float, ...], prior: float
) -> dict[tuple[float, float], Score]:
    """Scores of the ridges that were tried, at one prior."""
    middle, scores = len(ridges) // 2, {}
    for path in (ridges[middle:], ridges[:middle][::-1]):  # towards stronger, then towards weaker
        for ridge in path:
            scores[ridge, prior] = score(ridge, prior)
            if scores[ridge, prior] < max(scores.values()):
                break
    return scores


def _predict(scores: dict[tuple[float, float], Score]) -> bool:
    """Whether signs predict held-out genes at all, at the best of the pairs."""
    best = max(scores.values())
    return best.correlation > _CHANCE * best.error


def _weakest(scores: dict[tuple[float, float], Score]) -> float:
    """The weakest prior that comes close to the highest correlation."""
    return min(prior for _, prior in _close(scores))


def _close(scores: dict[tuple[float, float], Score]) -> list[tuple[float, float]]:
    """The pairs that come close to the highest correlation, whatever its sign; never none."""
    highest = max(scores.values()).correlation
    enough = highest - _SLACK * abs(highest)
    return [pair for pair, score in scores.items() if score.correlation >= enough]


def held_out_score(
    x: np.ndarray,
    network: Network,
    fold: np.ndarray,
    ridge: float,
    prior: float,
    *,
    link: str,
    intercept: bool,
    covariates: np.ndarray | None,
    rng: int,
) -> Score:
    """Pooled correlation of held-out genes with their prediction, beyond means and covariates."""
    known = torch.as_tensor(known_columns(len(x), intercept=True, covariates=covariates))
    products, squares = [], np.zeros(2)
    for f in range(min(_FOLDS, -(-_FOLDS * _HELD_OUT // network.n_genes))):
        held = fold == f
        fit = fit_exact(
            x[:, ~held],
            _part(network, ~held),
            link=link,
            intercept=intercept,
            covariates=covariates,
            ridge=ridge,
            prior=prior,
            max_iter=_ITERATIONS,
            tol=1e-2,
            rng=rng,
        )
        fit, *_ = orient(fit, _part(network, ~held))
        test = _part(network, held)
        signs = np.zeros((test.n_genes, test.n_regulators))
        signs[test.gene, test.regulator] = test.sign
        a, b = (
            predict_by_signs(fit.activity, signs, x[:, held], link=link),
            x[:, held].astype(np.float64),
        )
        a, b = (without_known(torch.as_tensor(part), known).numpy() for part in (a, b))
        products.append((a * b).sum(0))
        squares += [(a * a).sum(), (b * b).sum()]
    size = float(np.sqrt(squares[0]) * np.sqrt(squares[1]))
    of_gene = np.concatenate(products) / (size if size > 0 else 1.0)
    return Score(float(of_gene.sum()), float(np.sqrt(np.square(of_gene).sum())))


def predict_by_signs(
    activity: np.ndarray, signs: np.ndarray, x: np.ndarray, *, link: str
) -> np.ndarray:
    """Predict genes from activities and signs alone, (n_cells, n_genes).

    Under a ReLU each prediction is cut where it leaves as many zeros as the gene
    has in ``x``: what is compared is expression, not what lies below zero.
    """
    p = activity @ signs.T
    if link == "identity":
        return p
    zeros = (x == 0).mean(0)
    rank = np.ceil(zeros * (len(x) - 1)).astype(np.int64)
    cut = np.take_along_axis(np.sort(p, axis=0), rank[None, :], axis=0)
    return np.maximum(p - cut, 0)


def _part(network: Network, genes: np.ndarray) -> Network:
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
