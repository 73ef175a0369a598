"""Cells given decoder, decoder given cells, in turn, accelerated: the loop of a fit."""

from __future__ import annotations

import logging
import math

import torch
from tqdm import tqdm

from grnrep.core.als.problem import Problem, State
from grnrep.core.fitted import Interrupted

logger = logging.getLogger("grnrep")

_FLOOR = 1e-8  # loss, as a share of Σx², at which float32 data are explained
_ROUNDING = 8  # rise of an objective that says nothing, in units of its precision
# steps of the decoder, each shorter, before a rise ends the search; after the first, of all genes
_TRIALS, _ALONE = 10, 2
# iterations whose systems of genes are all summed anew, and of the others one in so many
_ALWAYS, _EVERY = 3, 8
_LEFT = 0.1  # of the tolerance: what may be left to fall


def alternate(
    problem: Problem,
    state: State,
    *,
    max_iter: int,
    tol: float,
    window: int,
    bar: tqdm | None = None,
) -> tuple[State, list[float], bool]:
    """Accelerated alternation; the objective after every cell step never rises.

    Nesterov's momentum is tried first. Where the objective would rise, the plain
    step from the last iterate is taken instead. It cannot rise where both half-steps minimise a
    function that lies above the objective and touches it; elsewhere those genes whose own objective rose take
    half of their last step, until the whole no longer rises.

    Parameters
    ----------
    problem, state
        What to fit, and the first iterate.
    max_iter
        Limit of iterations.
    tol, window
        The end is where the objective fell by less than the share ``tol`` over so many iterations; where steps go by
        the entries with a residual, where a tenth of that is left to fall (:func:`fall_left`).
    bar
        Shows every iteration.

    Returns
    -------
    The last iterate, the objective after every iteration, and whether the stopping rule was met. If the
    objective rose by more than rounding, the iterate before, and that the rule was not met.

    Raises
    ------
    FloatingPointError
        If the objective is not a number, or infinite.
    Interrupted
        At Ctrl-C, with the last iterate.
    """
    previous, momentum, history = state, 1.0, list[float]()
    column, sum_squares = problem.pattern.regulator, problem.penalty.scale.squares
    # history[-1] was measured at these weights, and at the z of ``state`` in the scale that it had before
    reached, scale = state.weight, torch.ones_like(problem.penalty.z)
    losses = scale.new_zeros(problem.network.n_genes)
    length = torch.ones_like(losses)  # of steps of every gene, as a share of the whole
    try:
        for _ in range(max_iter):
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            at = state.extrapolated(previous, (momentum - 1) / following)
            due = len(history) < _ALWAYS or len(history) % _EVERY == 0
            z, stats, objective = problem.cell_step(at, anew=due)
            cut = torch.ones_like(length)
            for trial in range(_TRIALS):
                if not history or objective <= history[-1]:
                    break
                following, at = 1.0, state
                if trial > 0:
                    rising = ~(problem.by_gene(stats, at.weight) <= losses)
                    each = trial > _ALONE or not bool(rising.any())
                    cut = torch.where(rising | each, cut / 2, cut)
                    whole = state.rescaled(column, 1 / scale)
                    share = cut[problem.pattern.gene]
                    at = State(torch.lerp(reached, whole.weight, share), whole.z)
                z, stats, objective = problem.cell_step(at)
                if _is_rounding(objective, history, sum_squares, problem.precision) and trial == 0:
                    return state, history, True  # nothing is left to gain
            if history and not objective <= history[-1]:
                _warn_of_rise(objective, history)
                return State(reached, state.rescaled(column, 1 / scale).z), history, False
            check_finite(objective, history)
            history.append(objective)
            momentum, reached, losses = following, at.weight, problem.by_gene(stats, at.weight)
            # genes that overshot take shorter steps, which grow again
            length = torch.where(cut < 1, length * cut, (2 * length).clamp(max=1))
            weight = problem.gene_step(stats, State(at.weight, z))
            weight = torch.lerp(at.weight, weight, length[problem.pattern.gene])
            previous, state = state, State(weight, z)

            scale = problem.balance(stats.squares, state.weight)
            previous, state = (a.rescaled(column, scale) for a in (previous, state))
            if bar is not None:
                bar.set_postfix(objective=f"{objective:.4g}", refresh=False)
                bar.update()
            if float(stats.loss.sum()) <= _FLOOR * sum_squares:
                return state, history, True
            if _is_done(history, tol, window, ahead=problem.active is not None):
                return state, history, True
    except KeyboardInterrupt as stop:
        raise Interrupted(state) from stop
    return state, history, False


def _is_done(history: list[float], tol: float, window: int, *, ahead: bool) -> bool:
    """Whether the objective fell by too little to go on, and ``ahead``, will fall by too little as well."""
    enough = tol * history[-1]
    if len(history) <= window or history[-1 - window] - history[-1] > enough:
        return False
    return not ahead or fall_left(history, window) <= _LEFT * enough


def fall_left(history: list[float], window: int) -> float:
    """How far the objective will still fall, by its falls over the last two windows of iterations.

    Falls over windows that shrink by the factor ρ add up to ρ / (1 - ρ) times the last. Where steps are long ρ is
    small, and the end is near; where regulators are nearly alike much is left to gain by small steps.
    """
    if len(history) <= 2 * window:
        return math.inf
    fall = history[-1 - window] - history[-1]
    before = history[-1 - 2 * window] - history[-1 - window]
    return fall * fall / (before - fall) if fall < before else math.inf


def check_finite(objective: float, history: list[float]) -> None:
    """Raise ``FloatingPointError`` if an objective, after those of ``history``, is no finite number."""
    if not math.isfinite(objective):
        raise FloatingPointError(
            f"the objective is {objective} in iteration {len(history) + 1}: expression must be finite, and "
            "its sum of squares within the range of its precision; divide it by a constant, or use a ridge "
            "above 0"
        )


def _is_rounding(
    objective: float, history: list[float], sum_squares: float, precision: torch.dtype
) -> bool:
    """Whether an objective is above the last by no more than rounding.

    Residuals r are differences of values of the size of x, and off by ε of these: Σr² by 2ε sqrt(Σr² Σx²).
    """
    check_finite(objective, history)
    last = history[-1]
    size = last + math.sqrt(max(0.0, last) * sum_squares)
    return last < objective <= last + _ROUNDING * torch.finfo(precision).eps * size


def _warn_of_rise(objective: float, history: list[float]) -> None:
    logger.warning(
        "the objective rose from %.6g to %.6g in iteration %d, and the fit ended there, not converged: "
        "the data leave regulators open, as where they share all targets; a larger ridge settles it",
        history[-1],
        objective,
        len(history) + 1,
    )
