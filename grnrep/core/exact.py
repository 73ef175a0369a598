"""Alternating closed-form solver: cells given decoder, decoder given cells, accelerated.

Minimises, over edge weights w, intercepts b and representations z,

    Σ_k Σ_i residual(x_ki, p_ki)² + λ (‖z‖² + ‖w‖²),   p = W z + b,

where the residual of a censored zero is max(p, 0) (see :mod:`grnrep.core.likelihood`).
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
from grnrep.core.network import Network
from grnrep.core.start import start_weights

_BLOCK = 512  # cells a block: the products of a block stay in the processor's cache
_WINDOW = 10  # iterations over which the stopping rule looks back
_FLOOR = 1e-8  # loss, as a share of Σx², at which float32 data are explained


def with_known_columns(network: Network, n_known: int) -> Network:
    """Append ``n_known`` columns that reach every gene: intercepts and covariates.

    Examples
    --------
    >>> network = Network.from_edges([0], [0], [0], n_genes=2, n_regulators=1)
    >>> with_known_columns(network, 1).n_edges
    3
    """
    if n_known == 0:
        return network
    gene = np.repeat(np.arange(network.n_genes), n_known)
    column = network.n_regulators + np.tile(np.arange(n_known), network.n_genes)
    return Network.from_edges(
        np.concatenate([network.gene, gene]),
        np.concatenate([network.regulator, column]),
        np.concatenate([network.sign, np.zeros(len(gene))]),
        network.n_genes,
        network.n_regulators + n_known,
    )


def typical_gram(sum_squares: float, n_regulators: int) -> float:
    """‖w_j‖² = ‖z_j‖² of a balanced regulator that explains its share of Σx²: sqrt(Σx² / m).

    The unit of penalties and start weights, so that scaling the data by c scales
    w and z by sqrt(c) and changes nothing else.
    """
    return float(np.sqrt(sum_squares / max(1, n_regulators)))


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
    ridge: Tensor
    pattern: Pattern = field(init=False)
    genes: GeneSolver = field(init=False)

    def __post_init__(self) -> None:
        device = self.blocks[0].device
        self.pattern = Pattern(self.network).to(device)
        self.genes = GeneSolver(self.network, device)

    def solver(self, weight: Tensor) -> CellSolver:
        """Cell solver of a decoder, in the precision of the data."""
        return cell_solver(
            self.pattern, weight.to(self.blocks[0]), self.n_free, self.ridge[: self.n_free], self.link
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
        penalty = self.ridge @ (stats.gram.diagonal() + self.column_squares(at.weight))
        return new, stats, float(stats.loss + penalty)

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
        λ as a share of the typical Gram diagonal, see :func:`typical_gram`.
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
        With ‖w_j‖ = ‖z_j‖ for every regulator and arbitrary signs where no
        priors led; see :func:`grnrep.core.signs.orient`.
    """
    check_link(link)
    x = torch.as_tensor(x, device=device)
    m = network.n_regulators
    sum_squares = float(squared_sum(x))
    full = with_known_columns(network, int(intercept))
    unit = typical_gram(sum_squares, m)
    penalty = torch.full((full.n_regulators,), ridge * unit, dtype=torch.float64)
    penalty[m:] = 0
    problem = _Problem([b.mT.contiguous() for b in x.split(_BLOCK)], full, m, link, penalty.to(x.device))
    if start is None:
        start = start_weights(problem.blocks, network, rng).cpu().numpy()
        start *= np.sqrt(unit / network.targets_per_regulator()[network.regulator])
    weight = np.zeros(full.n_edges)
    weight[full.regulator < m] = start
    state = _begin(problem, torch.as_tensor(weight, device=x.device))
    state, history, converged = _iterate(problem, state, sum_squares, max_iter, tol, progress)

    solver = problem.solver(state.weight)
    z = [project_cells(solver, x, z) for x, z in zip(problem.blocks, state.z, strict=True)]
    error = sum(squared_sum(solver.residual(x, z)) for x, z in zip(problem.blocks, z, strict=True))
    free = full.regulator < m
    weight = state.weight.cpu().numpy()
    return Fit(
        weight=weight[free],
        bias=weight[~free] if intercept else None,
        activity=torch.cat(z, dim=1)[:m].mT.double().cpu().numpy(),
        ridge=penalty[:m].numpy(),
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
    blocks = (b.mT.contiguous() for b in x.split(_BLOCK))
    z = [project_cells(solver, b, _known_rows(b, m, full.n_regulators)) for b in blocks]
    return torch.cat(z, dim=1)[:m].mT.double().cpu().numpy() if z else np.zeros((0, m))


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
        previous, state = state, _State(problem.genes.step(stats, at.weight, problem.ridge), z)

        size = (stats.gram.diagonal() / problem.column_squares(state.weight)).sqrt().sqrt()
        size[problem.n_free :] = 1
        size = torch.where(size.isfinite() & (size > 0), size, 1.0)
        previous.rescale(column, size)
        state.rescale(column, size)
        bar.set_postfix(objective=f"{objective:.4g}", refresh=False)
        if float(stats.loss) <= _FLOOR * sum_squares:
            return state, history, True
        if len(history) > _WINDOW and history[-1 - _WINDOW] - objective <= tol * objective:
            return state, history, True
    return state, history, False
