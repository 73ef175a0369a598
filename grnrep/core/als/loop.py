"""Cells given decoder, decoder given cells, in turn: the loop of the exact solver."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm.auto import tqdm

from grnrep.core.als.cells import CellSolver, cell_solver
from grnrep.core.als.genes import GeneSolver, Stats
from grnrep.core.als.penalty import Penalty
from grnrep.core.decoder import Pattern
from grnrep.core.design import known_rows
from grnrep.core.interrupted import Interrupted
from grnrep.core.likelihoods.gaussian import Observed
from grnrep.core.network import Network

logger = logging.getLogger("grnrep")

_WINDOW = 10  # iterations over which the stopping rule looks back
_FLOOR = 1e-8  # loss, as a share of Σx², at which float32 data are explained
_ROUNDING = 8  # rise of an objective that says nothing, in units of its precision


@dataclass
class State:
    """Weights and representations of one iterate; z in the blocks of the data."""

    weight: Tensor
    z: list[Tensor]

    def ahead(self, previous: State, beta: float) -> State:
        """Extrapolate from ``previous`` through this iterate."""
        if beta == 0:
            return self
        z = [torch.lerp(b, a, 1 + beta) for a, b in zip(self.z, previous.z, strict=True)]
        return State(torch.lerp(previous.weight, self.weight, 1 + beta), z)

    def rescale(self, column: Tensor, scale: Tensor) -> None:
        """Multiply w by ``scale`` and divide z by it, in place; predictions stay."""
        self.weight *= scale[column]
        for z in self.z:
            z /= scale.to(z)[:, None]


@dataclass
class Problem:
    """Data in blocks of cells, (n_genes, cells) and known rows (q, cells) each, and all that is fixed."""

    blocks: list[Observed]
    known: list[Tensor]
    network: Network
    n_free: int
    penalty: Penalty
    pattern: Pattern = field(init=False)
    genes: GeneSolver = field(init=False)
    map: Callable[..., Iterator] = map  # over blocks: side by side, if it can
    sums: Callable[[Tensor], Stats] | None = None  # at given weights, of cells that are in no block
    precision: torch.dtype = field(init=False)  # of residuals

    def __post_init__(self) -> None:
        self.precision = self.blocks[0].x.dtype if self.blocks else torch.float32
        device = self.penalty.z.device
        self.pattern = Pattern(self.network).to(device)
        self.genes = GeneSolver(self.network, device)

    def solver(self, weight: Tensor) -> CellSolver:
        """Cell solver of a decoder, in the precision of the data."""
        return cell_solver(
            self.pattern, weight.to(self.blocks[0].x), self.n_free, self.penalty.z[: self.n_free]
        )

    def begin(self, weight: Tensor) -> State:
        """First iterate: representations of all cells by one step from zero."""
        solver = self.solver(weight)
        pairs = zip(self.blocks, self.known, strict=True)
        return State(
            weight, [solver.step(b, known_rows(b.x, self.n_free, known)) for b, known in pairs]
        )

    def half_step(self, at: State) -> tuple[list[Tensor], Stats, float]:
        """Cells given decoder; returns them, the sums for the decoder and the objective there."""
        new, stats = ([], self.sums(at.weight)) if self.sums is not None else self._step_cells(at)
        penalty = self.penalty.z @ stats.gram.diagonal()
        penalty += self.penalty.w @ (at.weight - self.penalty.anchor).square()
        return new, stats, float(stats.loss + penalty)

    def _step_cells(self, at: State) -> tuple[list[Tensor], Stats]:
        solver = self.solver(at.weight)
        stats = Stats.zero(self.network.n_regulators, self.network.n_edges, at.weight.device)
        new = []

        def step(block: Observed, z: Tensor) -> tuple[Tensor, Stats]:
            z = solver.step(block, z)
            return z, Stats.of(self.pattern, z, solver.residual(block, z))

        for z, sums in self.map(step, self.blocks, at.z):
            new.append(z)
            stats.merge(sums)
        return new, stats

    def new_weight(self, stats: Stats, weight: Tensor) -> Tensor:
        """Decoder given the sums of a half step at ``weight``."""
        return self.genes.step(stats, weight, self.penalty.w, self.penalty.anchor, self.precision)

    def column_squares(self, weight: Tensor) -> Tensor:
        """‖w_j‖² of every column, float64."""
        out = torch.zeros(self.network.n_regulators, dtype=torch.float64, device=weight.device)
        return out.index_add_(0, self.pattern.regulator, weight.double().square())


def alternate(
    problem: Problem,
    state: State,
    *,
    sum_squares: float,
    max_iter: int,
    tol: float,
    bar: tqdm,
    window: int = _WINDOW,
) -> tuple[State, list[float], bool]:
    """Accelerated alternation; the objective after every cell step never rises.

    Nesterov's momentum is tried first. Where the objective would rise, the plain
    step from the last iterate is taken instead, and it cannot rise, because both
    half-steps minimise a function that lies above the objective and touches it.

    Parameters
    ----------
    problem, state
        What to fit, and the first iterate.
    sum_squares
        Σx²: what there is to explain.
    max_iter, tol
        As in :func:`grnrep.core.als.exact.fit_exact`.
    window
        Iterations over which the objective has to fall by less than ``tol`` for the end.
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
    previous, momentum, history = state, 1.0, []
    column = problem.pattern.regulator
    # to go back to where history[-1] was
    before, size = state.weight, torch.ones_like(problem.penalty.z)
    try:
        for _ in range(max_iter):
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            at = state.ahead(previous, (momentum - 1) / following)
            z, stats, objective = problem.half_step(at)
            if history and not objective <= history[-1]:
                following, at = 1.0, state
                z, stats, objective = problem.half_step(at)
                if not objective <= history[-1]:
                    if only_rounding(objective, history, sum_squares, problem.precision):
                        return state, history, True  # nothing is left to gain
                    state.rescale(column, 1 / size)
                    return State(before, state.z), history, False
            check_finite(objective, history)
            history.append(objective)
            momentum, before = following, at.weight.clone()
            previous, state = state, State(problem.new_weight(stats, at.weight), z)

            size = (stats.gram.diagonal() / problem.column_squares(state.weight)).sqrt().sqrt()
            size = torch.where(problem.penalty.balanced & size.isfinite() & (size > 0), size, 1.0)
            previous.rescale(column, size)
            state.rescale(column, size)
            bar.set_postfix(objective=f"{objective:.4g}", refresh=False)
            bar.update()
            if float(stats.loss) <= _FLOOR * sum_squares:
                return state, history, True
            if len(history) > window and history[-1 - window] - objective <= tol * objective:
                return state, history, True
    except KeyboardInterrupt as stop:
        raise Interrupted(state) from stop
    return state, history, False


def check_finite(objective: float, history: list[float]) -> None:
    """Raise ``FloatingPointError`` if an objective, after those of ``history``, is no finite number."""
    if not math.isfinite(objective):
        raise FloatingPointError(
            f"the objective is {objective} in iteration {len(history) + 1}: expression must be finite, and "
            "its sum of squares within the range of its precision; divide it by a constant, or use a ridge "
            "above 0"
        )


def only_rounding(
    objective: float, history: list[float], sum_squares: float, precision: torch.dtype
) -> bool:
    """Whether an objective above the last is so by rounding alone; if not, say what to do.

    Residuals r are differences of values of the size of x, and off by ε of these: Σr² by 2ε sqrt(Σr² Σx²).
    """
    check_finite(objective, history)
    last = history[-1]
    slack = (
        _ROUNDING * torch.finfo(precision).eps * (last + math.sqrt(max(0.0, last) * sum_squares))
    )
    if objective - last <= slack:
        return True
    logger.warning(
        "the objective rose from %.6g to %.6g in iteration %d, and the fit ended there, not converged: "
        "the data leave regulators open, as where they share all targets; a larger ridge settles it",
        last,
        objective,
        len(history) + 1,
    )
    return False
