"""How much to trust the prior signs: shrinkage chosen by predicting genes that were held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from grnrep.core.choose.held_out import (
    Compared,
    Score,
    draw_held_out,
    has_signs,
    held_out_score,
    is_signed,
)
from grnrep.core.choose.ridge import FEW_GENES_PRIORS, Model, choose_prior, choose_ridge
from grnrep.core.load import constraints_of
from grnrep.core.network import Network
from grnrep.core.progress import progress_bar
from grnrep.core.threads import side_by_side

RIDGES = (1e-4, 0.03, 0.3, 3.0, 30.0)  # that are tried, from the middle one on
PRIORS = (0.03, 0.3, 10.0)  # that are tried; the last only where the middle one beats the first
_RIDGE_OF_FEW = 1e-3  # ridge of fits to few genes
_SLACK = 0.005  # of the highest correlation, as a share: what is lost within it is lost to chance


Scores = dict[tuple[float, float], Score]  # by ridge and prior


class Shrinkage(NamedTuple):
    """Options of :func:`grnrep.core.als.fit.fit_decoder`.

    ``signs_predict`` is False where prior signs were found to predict no better than chance.
    """

    ridge: float
    prior: float
    shared: bool = False
    signs_predict: bool = True


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
    progress: bool = False,
    compared: Compared | None = None,
) -> Shrinkage:
    """Choose ``ridge``, ``prior`` and ``shared`` of :func:`grnrep.core.als.fit.fit_decoder`.

    Genes are held out, activities are learned from the others, and the held-out genes are predicted from the
    activities of their regulators with the prior signs as weights, which no gene's own data have touched. The weakest
    prior wins that comes within 0.5 % of the highest correlation, and then the weakest ridge within 0.5 % of the best
    for that prior: what is lost within that is lost to chance, and activities bear less of a ridge than predictions.
    For each prior the search goes from a middle ridge to stronger ones as long as predictions get better, and to
    weaker ones where none is better; so it goes on to the strongest prior. Free weights are tried where the weakest
    prior comes that close, and a cell has more constraining values than regulators.

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
    progress
        Whether to show how many fits have been compared; how many there will be depends on what they say.
    compared
        Cells on which models without covariates were compared before, to go on with: pairs of ridge and prior that
        were scored are not scored again.
    """
    with progress_bar(progress and None in (ridge, prior), desc="choice", unit="fit") as bar:
        model = Model(likelihood, intercept, covariates, rng, bar)
        return _choose(x, network, model, compared, ridge=ridge, prior=prior)


def _choose(
    x: np.ndarray,
    network: Network,
    model: Model,
    compared: Compared | None,
    *,
    ridge: float | None,
    prior: float | None,
) -> Shrinkage:
    """Choose, of all cells; parameters as in :func:`choose_shrinkage`."""

    def ridge_at(prior: float) -> float:
        """The ridge that is settled, or else the one that held-out values ask for."""
        if ridge is not None:
            return ridge
        return choose_ridge(
            x,
            network,
            likelihood=model.likelihood,
            intercept=model.intercept,
            covariates=model.covariates,
            prior=prior,
            rng=model.rng,
            bar=model.bar,
        )

    if prior != 0 and is_signed(network) and not has_signs(network):
        settled = _RIDGE_OF_FEW if ridge is None else ridge
        priors = FEW_GENES_PRIORS if prior is None else (prior,)
        return Shrinkage(settled, *choose_prior(x, network, model, ridge=settled, priors=priors))
    if ridge is not None and prior is not None:
        return Shrinkage(ridge, prior)
    if prior == 0 or not has_signs(network):
        prior = 0.0 if prior is None else prior
        return Shrinkage(ridge_at(prior), prior)

    if compared is None:
        cells, fold = draw_held_out(len(x), network, rng=model.rng)
        drawn, known, of_drawn = x[cells], Scores(), model.of_cells(cells)
    else:
        (drawn, fold, known), of_drawn = compared, model

    def score(ridge: float, prior: float) -> Score:
        if (ridge, prior) in known:
            return known[ridge, prior]
        return held_out_score(drawn, network, fold, ridge, prior, of_drawn)

    ridges = RIDGES if ridge is None else (ridge,)
    weaker, stronger = (PRIORS[:2], PRIORS[2:]) if prior is None else ((prior,), ())
    determined = _determined(x, network, likelihood=model.likelihood)
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
        if max(scores, key=lambda pair: scores[pair])[0] != ridges[middle]:
            break  # predictions get better on this side, and worse on the other
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
