"""Alternating closed-form solver: cells given decoder, decoder given cells, accelerated.

Minimises, over edge weights w, intercepts b and representations z,

    Σ_k Σ_i residual(x_ki, p_ki)² + λ_z ‖z‖² + λ_w ‖w - s‖²,   p = W z + b,

where the residual of a censored zero is max(p, 0) (see :mod:`grnrep.core.likelihood`) and
s is the prior sign of an edge if weights are to be shrunk to it, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from grnrep.core.cells import CellSolver, cell_solver, project_cells
from grnrep.core.decoder import Pattern
from grnrep.core.fitted import Fit
from grnrep.core.genes import GeneSolver, Stats
from grnrep.core.likelihood import check_link, squared_sum
from grnrep.core.network import Network, with_known_columns
from grnrep.core.penalty import Penalty
from grnrep.core.start import start_weights
from grnrep.core.threads import threads_for

_BLOCK = 512  # cells a block: the products of a block stay in the processor's cache
_WINDOW = 10  # iterations over which the stopping rule looks back
_FLOOR = 1e-8  # loss, as a share of Σx², at which float32 data are explained


@dataclass
class _State:
    """Weights and representations of one iterate."""

    weight: Tensor
    z: list[Tensor]

    def ahead(self, previous: _State, beta: float) -> _State:
        """Extrapolate from ``previous`` through this iterate."""
        if beta == 0:
            return self
        z = [a + beta * (a - b) for a, b in zip(self.z, previous.z, strict=True)]
        return _State(self.weight + beta * (self.weight - previous.weight), z)

    def rescale(self, column: Tensor, scale: Tensor) -> None:
        """Multiply w by ``scale`` and divide z by it, in place; predictions stay."""
        self.weight *= scale[column]
        for z in self.z:
            z /= scale.to(z)[:, None]


@dataclass
class _Problem:
    """Data in blocks of cells, (n_genes, cells) each, and everything fixed during a fit."""

    blocks: list[Tensor]
    network: Network
    n_free: int
    link: str
    penalty: Penalty
    pattern: Pattern = field(init=False)
    genes: GeneSolver = field(init=False)

    def __post_init__(self) -> None:
        device = self.blocks[0].device
        self.pattern = Pattern(self.network).to(device)
        self.genes = GeneSolver(self.network, device)

    def solver(self, weight: Tensor) -> CellSolver:
        """Cell solver of a decoder, in the precision of the data."""
        return cell_solver(
            self.pattern, weight.to(self.blocks[0]), self.n_free, self.penalty.z[: self.n_free], self.link
        )

    def half_step(self, at: _State) -> tuple[list[Tensor], Stats, float]:
        """Cells given decoder; returns them, the sums for the decoder and the objective there."""
        solver = self.solver(at.weight)
        stats = Stats.zero(self.network.n_regulators, self.network.n_edges, at.weight.device)
        new = []
        for x, z in zip(self.blocks, at.z, strict=True):
            z = solver.step(x, z)
            stats.add(self.pattern, z, solver.residual(x, z))
            new.append(z)
        penalty = self.penalty.z @ stats.gram.diagonal()
        penalty += self.penalty.w @ self.column_squares(at.weight - self.penalty.anchor)
        return new, stats, float(stats.loss + penalty)

    def new_weight(self, stats: Stats, weight: Tensor) -> Tensor:
        """Decoder given the sums of a half step at ``weight``."""
        return self.genes.step(stats, weight, self.penalty.w, self.penalty.anchor)

    def column_squares(self, weight: Tensor) -> Tensor:
        """‖w_j‖² of every column, float64."""
        out = torch.zeros(self.network.n_regulators, dtype=torch.float64, device=weight.device)
        return out.index_add_(0, self.pattern.regulator, weight.double().square())


def fit_exact(
    x: np.ndarray,
    network: Network,
    *,
    link: str = "relu",
    intercept: bool = False,
    ridge: float = 1e-4,
    prior: float = 0.0,
    max_iter: int = 1000,
    tol: float = 1e-3,
    rng: int | np.random.Generator = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
    start: np.ndarray | None = None,
) -> Fit:
    """Learn decoder and representations together by accelerated alternation.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes). Its precision is that of the products;
        the systems are always solved in float64.
    network
        Edges. Known signs are where the search starts.
    link
        "relu" (zeros are censored) or "identity".
    intercept
        Whether every gene has an intercept.
    ridge
        λ_z as a share of the typical diagonal of W'W. Of regulators that are not
        shrunk to prior signs also λ_w, as a share of the same diagonal of Z'Z.
    prior
        λ_w of regulators with prior signs, as a share of the typical ‖z_j‖²: at 0
        weights are free, at 1 the prior ±1 counts as much as the data. This fixes
        the scale of these regulators too.
    max_iter
        Limit of iterations.
    tol
        Stop when the objective fell by less than this share over the last 10 iterations.
    rng
        Source of the draws that the start is made from.
    device
        Where to compute; the CPU by default.
    progress
        Whether to show a progress bar.
    start
        Start weights, ``(n_edges,)``; by default those of :func:`grnrep.core.start.start_weights`.

    Returns
    -------
    Fit
        With ‖w_j‖ = ‖z_j‖ for every regulator that was not shrunk to prior signs, and
        arbitrary signs where no priors led; see :func:`grnrep.core.signs.orient`.
    """
    check_link(link)
    x = torch.as_tensor(x, device=device)
    m = network.n_regulators
    full = with_known_columns(network, int(intercept))
    free = full.regulator < m
    with threads_for(min(len(x), _BLOCK) * full.n_edges):
        sum_squares = float(squared_sum(x))
        energy = float(squared_sum(x - x.mean(0))) if intercept else sum_squares
        penalty = Penalty.build(full, m, sum_squares=sum_squares, energy=energy, ridge=ridge, prior=prior)
        blocks = [block.mT.contiguous() for block in x.split(_BLOCK)]
        problem = _Problem(blocks, full, m, link, penalty.to(x.device))
        weight = np.zeros(full.n_edges)
        weight[free] = _first_weight(problem, network, rng) if start is None else start
        state = _begin(problem, torch.as_tensor(weight, device=x.device))
        state, history, converged = _iterate(problem, state, sum_squares, max_iter, tol, progress)

        solver = problem.solver(state.weight)
        z = [project_cells(solver, x, z, max_iter=max_iter) for x, z in zip(blocks, state.z, strict=True)]
        error = sum(squared_sum(solver.residual(x, z)) for x, z in zip(blocks, z, strict=True))
    weight = state.weight.cpu().numpy()
    return Fit(
        weight=weight[free],
        bias=weight[~free] if intercept else None,
        activity=torch.cat(z, dim=1)[:m].mT.double().cpu().numpy(),
        ridge=penalty.z[:m].numpy(),
        squared_error=float(error),
        history=history,
        converged=converged,
    )


def project(
    x: np.ndarray, fit: Fit, network: Network, *, link: str = "relu", device: str | torch.device | None = None
) -> np.ndarray:
    """Activities of cells under the decoder of a fit, (n_cells, n_regulators).

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes), genes in the order of ``network``.
    fit
        Weights, intercepts and the ridge of every regulator.
    network
        Edges, in the order of ``fit.weight``.
    link, device
        As in :func:`fit_exact`.
    """
    check_link(link)
    x = torch.as_tensor(x, device=device)
    m, intercept = network.n_regulators, fit.bias is not None
    full = with_known_columns(network, int(intercept))
    weight = np.zeros(full.n_edges)
    weight[full.regulator < m] = fit.weight
    if intercept:
        weight[full.regulator >= m] = fit.bias
    ridge = torch.zeros(m) if fit.ridge is None else torch.as_tensor(fit.ridge)
    solver = cell_solver(
        Pattern(full).to(x.device), torch.as_tensor(weight).to(x), m, ridge.to(x.device), link
    )
    blocks = (block.mT.contiguous() for block in x.split(_BLOCK))
    with threads_for(min(len(x), _BLOCK) * full.n_edges):
        z = [project_cells(solver, block, _known_rows(block, m, full.n_regulators)) for block in blocks]
    return torch.cat(z, dim=1)[:m].mT.double().cpu().numpy() if z else np.zeros((0, m))


def _first_weight(problem: _Problem, network: Network, rng: int | np.random.Generator) -> np.ndarray:
    """Prior signs where weights are shrunk to them, elsewhere principal components, balanced."""
    draw = start_weights(problem.blocks, network, rng).cpu().numpy()
    column = network.regulator
    anchor = problem.penalty.anchor.cpu().numpy()[problem.network.regulator < network.n_regulators]
    balanced = problem.penalty.balanced.cpu().numpy()[column]
    unit = problem.penalty.unit / network.targets_per_regulator()[column]
    return np.where(balanced, draw * np.sqrt(unit), np.where(anchor != 0, anchor, 0.1 * draw))


def _known_rows(x: Tensor, m: int, n_columns: int) -> Tensor:
    """Zero representations with ones in the known rows, (n_columns, cells)."""
    z = x.new_zeros(n_columns, x.shape[1])
    z[m:] = 1
    return z


def _begin(problem: _Problem, weight: Tensor) -> _State:
    """First iterate: representations of all cells by one step from zero."""
    solver = problem.solver(weight)
    zero = [_known_rows(x, problem.n_free, problem.network.n_regulators) for x in problem.blocks]
    return _State(weight, [solver.step(x, z) for x, z in zip(problem.blocks, zero, strict=True)])


def _iterate(
    problem: _Problem, state: _State, sum_squares: float, max_iter: int, tol: float, progress: bool
) -> tuple[_State, list[float], bool]:
    """Accelerated alternation; the objective after every cell step never rises.

    Nesterov's momentum is tried first. Where the objective would rise, the plain
    step from the last iterate is taken instead, and it cannot rise, because both
    half-steps minimise a function that lies above the objective and touches it.
    """
    previous, momentum, history = state, 1.0, []
    column = problem.pattern.regulator
    for _ in (bar := tqdm(range(max_iter), desc="exact", disable=not progress)):
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        at = state.ahead(previous, (momentum - 1) / following)
        z, stats, objective = problem.half_step(at)
        if history and objective > history[-1]:
            following, at = 1.0, state
            z, stats, objective = problem.half_step(at)
            if objective > history[-1]:  # by rounding alone: nothing is left to gain
                return state, history, True
        history.append(objective)
        momentum = following
        previous, state = state, _State(problem.new_weight(stats, at.weight), z)

        size = (stats.gram.diagonal() / problem.column_squares(state.weight)).sqrt().sqrt()
        size = torch.where(problem.penalty.balanced & size.isfinite() & (size > 0), size, 1.0)
        previous.rescale(column, size)
        state.rescale(column, size)
        bar.set_postfix(objective=f"{objective:.4g}", refresh=False)
        if float(stats.loss) <= _FLOOR * sum_squares:
            return state, history, True
        if len(history) > _WINDOW and history[-1 - _WINDOW] - objective <= tol * objective:
            return state, history, True
    return state, history, False
