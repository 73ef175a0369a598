"""Whether data under the ReLU link ask for an intercept per gene."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grnrep.core.choose.held_out import (
    Compared,
    Score,
    draw_held_out,
    has_signs,
    held_out_score,
)
from grnrep.core.choose.ridge import Model
from grnrep.core.load import count_constraints
from grnrep.core.network import Network
from grnrep.core.threads import side_by_side

_LOAD = 1.5  # effective load at which the two models are compared
_FEWEST_CELLS, _MAX_CELLS = 200, 1000  # that they are compared on
_RIDGE, _MAX_ITER, _TOL = 1e-4, 40, 1e-3  # of the fits that are compared
_EXPLAINED = 1e-3  # share of Σx² left over, below which nothing is left to explain
_GAIN = 0.06  # fall of the squared error, beyond that by chance, that is worth a parameter per gene
_HELD_OUT_RIDGE, _HELD_OUT_PRIOR = 0.3, 0.3  # typical of data with few values above zero


class Comparison(NamedTuple):
    """Whether intercepts are needed; and what the better model has scored, if it was scored."""

    needed: bool
    compared: Compared | None


def needs_intercept(x: np.ndarray, network: Network, *, rng: int = 0) -> bool:
    """Whether data ask for intercepts, by :func:`compare_intercepts`."""
    return compare_intercepts(x, network, rng=rng).needed


def compare_intercepts(x: np.ndarray, network: Network, *, rng: int = 0) -> Comparison:
    """Compare short fits with and without intercepts on a few random cells.

    Intercepts are needed where they lower the squared error by more than Akaike's
    criterion charges for them and 6 % more: where there are none they still explain
    2 to 5 % of a little noise inside the ReLU of Eq. 6, whose mean after the ReLU is not
    zero. Of much noise they explain more, and then fits are better with them.

    Where a cell has no more constraining values than regulators, a fit explains them all with and
    without intercepts. With prior signs the models are then compared by how well they predict genes that
    were held out (:func:`grnrep.core.choose.held_out.held_out_score`).

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges.
    rng
        Source of the choice of cells and of the fits' start.
    """
    per_cell = count_constraints(x) / max(1, len(x))
    m = network.n_regulators
    if per_cell <= m and has_signs(network):
        return _predicts_better(x, network, rng=rng)
    # Eq. 3 with c constraining values a cell: c N / (C_d + m N) = load at N = load · C_d / (c - load · m);
    # where no number of cells is enough, as many as give four fifths of the load that all of them would
    spare = per_cell - _LOAD * m
    wanted = _LOAD * network.n_edges / spare if spare > 0 else 4 * network.n_edges / m
    n_cells = min(len(x), _MAX_CELLS, max(_FEWEST_CELLS, int(np.ceil(wanted))))
    x = x[np.sort(np.random.default_rng(rng).permutation(len(x))[:n_cells])]

    def squared_error(intercept: bool) -> float:
        model = Model(intercept=intercept, rng=rng)
        fit = model.fit(x, network, ridge=_RIDGE, max_iter=_MAX_ITER, tol=_TOL)
        return fit.squared_error

    with side_by_side(2) as each:
        without, with_intercepts = each(squared_error, (False, True))
    n_constraints = count_constraints(x)
    if n_constraints == 0 or without <= _EXPLAINED * float(np.square(x, dtype=np.float64).sum()):
        return Comparison(False, None)
    # Akaike: n log(error) + 2 parameters, of which intercepts are n_genes more
    gain = np.log(without / max(with_intercepts, np.finfo(np.float64).tiny))
    charge = 2 * network.n_genes / n_constraints
    return Comparison(bool(gain > charge - np.log1p(-_GAIN)), None)


def _predicts_better(x: np.ndarray, network: Network, *, rng: int) -> Comparison:
    """Whether held-out genes are predicted better with intercepts than without."""
    cells, fold = draw_held_out(len(x), network, rng=rng)
    drawn, pair = x[cells], (_HELD_OUT_RIDGE, _HELD_OUT_PRIOR)

    def score(intercept: bool) -> Score:
        return held_out_score(drawn, network, fold, *pair, Model(intercept=intercept, rng=rng))

    with side_by_side(2) as each:
        without, with_intercepts = each(score, (False, True))
    scores = {pair: max(without, with_intercepts)}
    return Comparison(with_intercepts > without, Compared(drawn, fold, scores))
