"""Whether data under the ReLU link ask for an intercept per gene."""

from __future__ import annotations

from functools import partial

import numpy as np

from grnrep.core.als.exact import fit_exact
from grnrep.core.choose.shrinkage import draw_held_out, has_signs, held_out_score
from grnrep.core.load import count_constraints
from grnrep.core.network import Network
from grnrep.core.threads import side_by_side

_LOAD = 1.5  # effective load at which the two models are compared
_FEWEST_CELLS, _MAX_CELLS = 200, 1000
_ITERATIONS = 40
_EXPLAINED = 1e-3  # share of Σx² left over, below which nothing is left to explain
_GAIN = 0.06  # fall of the squared error, beyond that by chance, that is worth a parameter per gene
_PENALTY = {"ridge": 0.3, "prior": 0.3}  # typical of such data


def needs_intercept(x: np.ndarray, network: Network, *, rng: int = 0) -> bool:
    """Compare short fits with and without intercepts on a few random cells.

    Intercepts are needed where they lower the squared error by more than Akaike's
    criterion charges for them and 6 % more: where there are none they still explain
    2 to 5 % of a little noise inside the ReLU of Eq. 6, whose mean after the ReLU is not
    zero. Of much noise they explain more, and then fits are better with them.

    Where a cell has no more constraining values than regulators, a fit explains them all with and
    without intercepts. With prior signs the models are then compared by how well they predict genes that
    were held out (:func:`grnrep.core.choose.shrinkage.held_out_score`).

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
    if per_cell <= network.n_regulators and has_signs(network):
        return _predicts_better(x, network, rng=rng)
    spare = per_cell - _LOAD * network.n_regulators
    # where no number of cells is enough: as many as give four fifths of the load that all of them would
    n_cells = (
        _LOAD * network.n_edges / spare if spare > 0 else 4 * network.n_edges / network.n_regulators
    )
    n_cells = min(len(x), _MAX_CELLS, max(_FEWEST_CELLS, int(np.ceil(n_cells))))
    x = x[np.sort(np.random.default_rng(rng).permutation(len(x))[:n_cells])]

    def squared_error(intercept: bool) -> float:
        return fit_exact(
            x, network, intercept=intercept, max_iter=_ITERATIONS, rng=rng
        ).squared_error

    with side_by_side(2) as each:
        error = list(each(squared_error, (False, True)))
    n_constraints = count_constraints(x)
    if n_constraints == 0 or error[0] <= _EXPLAINED * float(np.square(x, dtype=np.float64).sum()):
        return False
    gain = np.log(error[0] / max(error[1], np.finfo(np.float64).tiny))
    charge = 2 * network.n_genes / n_constraints
    return bool(gain > charge - np.log1p(-_GAIN))


def _predicts_better(x: np.ndarray, network: Network, *, rng: int) -> bool:
    """Whether held-out genes are predicted better with intercepts than without."""
    cells, fold = draw_held_out(len(x), network, rng=rng)
    score = partial(
        held_out_score, x[cells], network, fold, **_PENALTY, link="relu", covariates=None, rng=rng
    )
    with side_by_side(2) as each:
        without, with_intercepts = each(lambda intercept: score(intercept=intercept), (False, True))
    return with_intercepts > without
