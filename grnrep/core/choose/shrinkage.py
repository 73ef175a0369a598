"""How much to trust the prior signs: shrinkage chosen by predicting genes that were held out."""

from __future__ import annotations

from collections.abc import Callable
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
from grnrep.core.threads import have_threads, side_by_side

RIDGES = (1e-4, 0.03, 0.3, 3.0, 30.0)  # that are tried, from the middle one on
PRIORS = (0.03, 0.3, 10.0)  # that are tried, from the weakest one on
_RIDGE_OF_FEW = 1e-3  # ridge of fits to few genes
_SLACK = 0.005  # of the highest correlation, as a share, that a ridge loses to chance
# where a search looks next, in ridges and priors: more or less of one, and more of one and less of the other
_BESIDE, _ACROSS = ((1, 0), (-1, 0), (0, 1), (0, -1)), ((-1, 1), (1, -1))
_NEAR = 0.02  # of a correlation, as a share, that either step alone may lose, that both together are tried

Pair = tuple[float, float]  # ridge and prior
Place = tuple[int, int]  # of a pair, among the ridges and priors that are tried
Scores = dict[Pair, Score]


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
    activities of their regulators with the prior signs as weights, which no gene's own data have touched. The search
    begins at a middle ridge with the weakest prior, and goes to the best of the pairs beside it until none is better:
    a ridge or a prior more or less, and, as they stand in for each other, more of one and less of the other, where
    either alone comes within 2 %. Where it ends at the weakest prior, and a cell has more constraining values than
    regulators, free weights are tried too. Of the prior of the best pair the weakest ridge is taken that comes within
    0.5 % of its correlation: what is lost within that is lost to chance, and activities bear less of a ridge than
    predictions.

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
    scores = _climb(score, ridges, PRIORS if prior is None else (prior,))
    determined = _determined(x, network, likelihood=model.likelihood)
    if not scores[_best(scores)].above_chance:
        if prior is None:
            prior = 0.0 if determined else min(PRIORS)
        return Shrinkage(ridge_at(prior), prior, signs_predict=False)
    if prior is None and determined and _best(scores)[1] == min(PRIORS):
        free_ridge = ridge_at(0.0)
        scores[free_ridge, 0.0] = score(free_ridge, 0.0)
    return Shrinkage(*_weakest_ridge(scores))


def _determined(x: np.ndarray, network: Network, *, likelihood: str) -> bool:
    """Whether known weights would determine the activities of a typical cell."""
    return constraints_of(x, likelihood=likelihood) > len(x) * network.n_regulators


def _climb(
    score: Callable[[float, float], Score], ridges: tuple[float, ...], priors: tuple[float, ...]
) -> Scores:
    """Scores of pairs, from the middle ridge and the weakest prior to where none beside is better.

    A strong prior and a strong ridge stand in for each other: the best ridge of a weak prior is too strong for a
    stronger one, so that steps along one of them alone would end too early. Where neither step comes near to what is
    there already, both together are not tried; or, where there is a thread for it, are not counted.
    """
    scores, known, at = Scores(), Scores(), (len(ridges) // 2, 0)

    def pair(place: Place) -> Pair:
        return ridges[place[0]], priors[place[1]]

    def beside(steps: tuple[Place, ...]) -> list[Place]:
        """Places on the grid, so many steps from the last."""
        places = [(at[0] + i, at[1] + j) for i, j in steps]
        return [(i, j) for i, j in places if 0 <= i < len(ridges) and 0 <= j < len(priors)]

    def look(places: list[Place]) -> None:
        """Score those that are not known."""
        pairs = map(pair, places)
        known.update(_scores(score, [one for one in pairs if one not in known]))

    def is_near(place: Place) -> bool:
        """Whether one of the two steps that lead to a place comes near alone."""
        here, *ways = (
            known[pair(way)].correlation for way in (at, (place[0], at[1]), (at[0], place[1]))
        )
        return max(ways) >= here - _NEAR * abs(here)

    while True:
        around, across = [at, *beside(_BESIDE)], beside(_ACROSS)
        new = [place for place in around + across if pair(place) not in known]
        look(new if have_threads(len(new)) else around)  # one wait instead of two
        near = list(filter(is_near, across))
        look(near)
        places = around + near
        scores |= {pair(place): known[pair(place)] for place in places}
        # the first of equal ones
        best = max(places, key=lambda place: scores[pair(place)].correlation)
        if best == at:
            return scores
        at = best


def _scores(score: Callable[[float, float], Score], pairs: list[Pair]) -> Scores:
    """Scores of pairs, side by side; one alone has the threads for itself."""
    if len(pairs) <= 1:
        return {pair: score(*pair) for pair in pairs}
    pairs = sorted(pairs)  # fits with weak ridges take longest
    with side_by_side(len(pairs)) as each:
        return dict(zip(pairs, each(lambda pair: score(*pair), pairs), strict=True))


def _best(scores: Scores) -> Pair:
    """The pair of the highest correlation; of equal ones that of the weakest prior, and then ridge."""
    return min(scores, key=lambda pair: (-scores[pair].correlation, pair[1], pair[0]))


def _weakest_ridge(scores: Scores) -> Pair:
    """Of the prior of the best pair, the weakest ridge that comes close to it."""
    best = _best(scores)
    enough = scores[best].correlation - _SLACK * abs(scores[best].correlation)
    return min(pair for pair, s in scores.items() if pair[1] == best[1] and s.correlation >= enough)
