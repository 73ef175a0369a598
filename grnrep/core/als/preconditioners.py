"""The solver of cells with either preconditioner: the inverse of W'W + λ, or of its diagonal."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from grnrep.core.als.cells import CellSolver, times
from grnrep.core.linalg import Pattern, conjugate_gradients, inverse_spd

_SPARSE = 2.5  # times as long as an entry of a dense product takes one of a sparse product
_PASSES = 13  # edges that the rest of an iteration costs, per gene
_ACTIVE = 3  # one gene in so many constrains the typical cell: what preconditioners are compared on
_FEWEST = 5  # iterations that the dense inverse needs at least: genes are as many times too many
_WELL_CONDITIONED = 1e3  # bound on the condition number up to which float32 is precise enough
# of the trial system, by which preconditioners are compared
_PROBE_ITERATIONS, _PROBE_TOL = 200, 1e-5


def cell_solver(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> CellSolver:
    """Factorise the Gram matrix of the decoder for use on any number of cells."""
    return _solver(pattern, weight, n_free, ridge, _inverse(pattern, weight, n_free, ridge))


class Trial(NamedTuple):
    """The preconditioner that is done first: whether of the diagonal alone, itself, and in how many iterations."""

    diagonal: bool
    inverse: Tensor
    iterations: int


def quick_solver(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> CellSolver:
    """The solver with which :func:`grnrep.core.als.cells.project_cells` will be done first under a ReLU."""
    if _extra(pattern, n_free) == 0:
        return cell_solver(pattern, weight, n_free, ridge)
    return _solver(pattern, weight, n_free, ridge, tried(pattern, weight, n_free, ridge).inverse)


def diagonal_solver(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> CellSolver:
    """The solver with the inverse of the diagonal alone, of which nothing is factorised."""
    inverse = _inverse_diagonal(pattern, weight, n_free, ridge)
    return _solver(pattern, weight, n_free, ridge, inverse)


def tried(
    pattern: Pattern,
    weight: Tensor,
    n_free: int,
    ridge: Tensor,
    *,
    most: int = _PROBE_ITERATIONS,
) -> Trial:
    """Try either preconditioner on a system of as many genes as constrain a typical cell, in ``most`` iterations.

    With many regulators of few targets the product with the dense inverse takes longer than all else. Nothing is
    factorised where the diagonal needs so few iterations that the dense inverse cannot save as many.
    """
    active = torch.arange(pattern.shape[0], device=weight.device) % _ACTIVE == 0
    system = _system(pattern, weight * active[pattern.gene], n_free, ridge)
    longer = 1 + _extra(pattern, n_free)
    quick = _inverse_diagonal(pattern, weight, n_free, ridge)
    fast = _n_iterations(system, quick.double(), most)
    if fast < _FEWEST * longer:
        return Trial(True, quick, fast)
    dense = _inverse(pattern, weight, n_free, ridge)
    # with more iterations than these it is the slower one, however many they are
    slow = _n_iterations(system, dense.double(), min(most, math.floor(fast / longer) + 1))
    return Trial(True, quick, fast) if fast < slow * longer else Trial(False, dense, slow)


def _extra(pattern: Pattern, n_free: int) -> float:
    """How much longer an iteration takes with the dense inverse, as a share; 0 where it is hardly any."""
    per_iteration = 2 * len(pattern.gene) + _PASSES * pattern.shape[0]
    extra = n_free**2 / _SPARSE / per_iteration
    return extra if extra > 0.1 else 0.0


def _solver(
    pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor, inverse: Tensor
) -> CellSolver:
    edges = free = None
    if weight.device.type == "cpu":
        edges, free = pattern.rows(weight), pattern.rows(weight, n_free)
    matrices = (pattern.matrix(weight), pattern.matrix_t(weight))
    return CellSolver(*matrices, n_free, ridge.to(weight), inverse, edges, free)


def _inverse(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> Tensor:
    """(W'W + λ)⁻¹ over the regulators, (m, m), in the precision of ``weight``.

    By float64, unless the ridge bounds the condition number so far that this precision will do.
    """
    system = _system(pattern, weight, n_free, ridge)
    largest = torch.linalg.vector_norm(system, ord=1, dim=1).max() if n_free else 0.0
    if n_free and bool(largest <= _WELL_CONDITIONED * ridge.min()):
        system = system.to(weight)
    return inverse_spd(system, weight.dtype).to(weight)


def _inverse_diagonal(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> Tensor:
    """The inverse of the diagonal of W'W + λ over the regulators, (m, 1), in the precision of ``weight``."""
    squares = torch.zeros(pattern.shape[1], dtype=torch.float64, device=weight.device)
    squares.index_add_(0, pattern.regulator, weight.double().square())
    diagonal = squares[:n_free] + ridge.double()
    return torch.where(diagonal > 0, 1 / diagonal, 0.0)[:, None].to(weight)


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
