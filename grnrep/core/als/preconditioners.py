"""The solver of cells with either preconditioner: the inverse of W'W + λ, or of its diagonal."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from grnrep.core.als.cells import CellSolver, times
from grnrep.core.linalg import Pattern, conjugate_gradients, inverse_spd

_SPARSE = 2.5  # times as long as an entry of a dense product takes one of a sparse product
_PASSES = 13  # edges that the rest of an iteration costs, per gene
_ACTIVE = 3  # one gene in so many constrains the typical cell: what preconditioners are compared on
_WELL_CONDITIONED = 1e3  # bound on the condition number up to which float32 is precise enough
# of the trial system, by which preconditioners are compared
_PROBE_ITERATIONS, _PROBE_TOL = 200, 1e-5


def cell_solver(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> CellSolver:
    """Factorise the Gram matrix of the decoder for use on any number of cells.

    In float64, unless the ridge bounds the condition number so far that the precision of ``weight`` will do.
    """
    system = _system(pattern, weight, n_free, ridge)
    largest = torch.linalg.vector_norm(system, ord=1, dim=1).max() if n_free else 0.0
    if n_free and bool(largest <= _WELL_CONDITIONED * ridge.min()):
        system = system.to(weight)
    return _solver(pattern, weight, n_free, ridge, inverse_spd(system, weight.dtype).to(weight))


class Trial(NamedTuple):
    """Which preconditioner is done first: of the diagonal alone, or the whole; and in how many iterations."""

    diagonal: bool
    iterations: int


def quick_solver(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> CellSolver:
    """The solver with which :func:`grnrep.core.als.cells.project_cells` will be done first under a ReLU."""
    dense = cell_solver(pattern, weight, n_free, ridge)
    if _extra(pattern, dense) > 0 and tried(pattern, weight, dense).diagonal:
        return diagonal_solver(pattern, weight, n_free, ridge)
    return dense


def diagonal_solver(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> CellSolver:
    """The solver with the inverse of the diagonal alone, of which nothing is factorised."""
    squares = torch.zeros(pattern.shape[1], dtype=torch.float64, device=weight.device)
    squares.index_add_(0, pattern.regulator, weight.double().square())
    diagonal = squares[:n_free] + ridge.double()
    inverse = torch.where(diagonal > 0, 1 / diagonal, 0.0)[:, None].to(weight)
    return _solver(pattern, weight, n_free, ridge, inverse)


def tried(
    pattern: Pattern, weight: Tensor, dense: CellSolver, *, most: int = _PROBE_ITERATIONS
) -> Trial:
    """Try either preconditioner on a system of as many genes as constrain a typical cell, in ``most`` iterations.

    With many regulators of few targets the product with the dense inverse takes longer than all else.
    """
    m = dense.n_free
    active = torch.arange(pattern.shape[0], device=weight.device) % _ACTIVE == 0
    system = _system(pattern, weight * active[pattern.gene], m, dense.ridge)
    quick = diagonal_solver(pattern, weight, m, dense.ridge)
    slow, fast = (_n_iterations(system, some.inverse.double(), most) for some in (dense, quick))
    diagonal = fast < slow * (1 + _extra(pattern, dense))
    return Trial(diagonal, fast if diagonal else slow)


def _extra(pattern: Pattern, dense: CellSolver) -> float:
    """How much longer an iteration takes with the dense inverse, as a share; 0 where it is hardly any."""
    per_iteration = 2 * len(pattern.gene) + _PASSES * pattern.shape[0]
    extra = dense.n_free**2 / _SPARSE / per_iteration
    return extra if extra > 0.1 else 0.0


def _solver(
    pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor, inverse: Tensor
) -> CellSolver:
    edges = free = None
    if weight.device.type == "cpu":
        edges, free = pattern.rows(weight), pattern.rows(weight, n_free)
    matrices = (pattern.matrix(weight), pattern.matrix_t(weight))
    return CellSolver(*matrices, n_free, ridge.to(weight), inverse, edges, free)


def _system(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> Tensor:
    """W'W + λ over the regulators, float64."""
    gram = pattern.gram(weight.double())[:n_free, :n_free]
    gram.diagonal().add_(ridge.double())
    return gram


def _n_iterations(system: Tensor, inverse: Tensor, most: int) -> int:
    """Iterations of conjugate gradients, preconditioned, for a system of known solution; ``most`` if it needs more."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(len(system), 1, generator=generator, dtype=torch.float64).to(system)
    right = system @ truth
    enough = _PROBE_TOL * torch.linalg.vector_norm(right)
    steps = conjugate_gradients(right, lambda d: system @ d, lambda r: times(inverse, r))
    for i, (_, residual) in zip(range(1, most), steps, strict=False):
        if torch.linalg.vector_norm(residual) <= enough:
            return i
    return most
