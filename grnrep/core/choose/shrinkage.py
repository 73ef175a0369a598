"""How much to trust the prior signs: shrinkage chosen by predicting genes that were held out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
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
PRIORS = (0.03, 0.3, 10.0)  # that are tried, from the weakest one on
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
    With the weakest prior the search goes from a middle ridge to stronger or weaker ones as long as predictions get
    better. So it does with a stronger prior where that is better than the weaker one, at the middle or the best ridge.
    Free weights are tried where the weakest prior comes that close, and a cell has more constraining values than
    regulators.

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
    scores = _Search(score, ridges).among(PRIORS if prior is None else (prior,))
    determined = _determined(x, network, likelihood=model.likelihood)
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


class _Search:
    """Scores of pairs of ridge and prior, as far as they were asked for."""

    def __init__(self, score: Callable[[float, float], Score], ridges: tuple[float, ...]):
        self._score, self._ridges, self.scores = score, ridges, Scores()

    def among(self, priors: tuple[float, ...]) -> Scores:
        """Scores of ridges at the weakest prior, and at each stronger one that is better than the one before.

        Better at the middle ridge or at the best one: a strong prior and a strong ridge stand in for each other, so
        that the best ridge of a weak prior says little about a strong one. Where a prior is neither, stronger ones
        are not tried, nor where it ends below the best.
        """
        middle, weakest = len(self._ridges) // 2, priors[0]
        first = [(ridge, weakest) for ridge in self._ridges[middle : middle + 2]]
        self._add([*first, *((self._ridges[middle], prior) for prior in priors[1:2])])
        best = self._climb(weakest, middle)
        for weaker, prior in pairwise(priors):
            starts = (middle, best)
            self._add([(self._ridges[k], p) for k in starts for p in (weaker, prior)])
            if not any(self._at(k, prior) > self._at(k, weaker) for k in starts):
                break
            best = self._climb(prior, max(starts, key=lambda k: self._at(k, prior)))
            if max(self.scores.values()) > self._at(best, prior):
                break
        return self.scores

    def _at(self, ridge: int, prior: float) -> Score:
        """The score at a position of ridges."""
        return self.scores[self._ridges[ridge], prior]

    def _climb(self, prior: float, at: int) -> int:
        """Go from a ridge to a neighbour that is better until neither is; return where, a position."""
        while True:
            # stronger ones first: their fits take fewer iterations
            for k in (min(at + 1, len(self._ridges) - 1), max(at - 1, 0)):
                self._add([(self._ridges[i], prior) for i in (at, k)])
                if self._at(k, prior) > self._at(at, prior):
                    at = k
                    break
            else:
                return at

    def _add(self, pairs: list[tuple[float, float]]) -> None:
        """Score what was not scored yet, side by side; one alone has the threads for itself."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.scores]
        if len(new) == 1:
            self.scores[new[0]] = self._score(*new[0])
            return
        with side_by_side(len(new)) as each:
            self.scores |= zip(new, each(lambda pair: self._score(*pair), new), strict=True)


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
