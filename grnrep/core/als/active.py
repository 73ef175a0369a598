"""Representations given the decoder, some steps of the way, by the curvature of entries with a residual.

The majoriser of `CellSolver.step` takes every entry of a gene for one that resists. Where most are zeros below a ReLU
nine tenths do not, and steps are as many times too short. Conjugate gradients see what resists, and a gene's
own system of the entries with a residual (`GeneSolver`) does so for weights. Neither lies above the objective: that it
falls is seen to by `alternate`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from grnrep.core.als.cells import CellSolver, project_cells
from grnrep.core.als.genes import Work
from grnrep.core.als.preconditioners import cell_solver, diagonal_solver, diagonal_will_do
from grnrep.core.design import known_rows
from grnrep.core.likelihoods.base import Block
from grnrep.core.linalg import Pattern

_STEPS = 3  # conjugate gradients of an iteration


@dataclass(frozen=True)
class ActiveCells:
    """Some conjugate gradients for the representations of a decoder that is not yet the last.

    Parameters
    ----------
    solver
        What finds representations to the end.
    """

    solver: CellSolver

    def begin(self, block: Block, known: Tensor) -> Tensor:
        """Representations (m + q, n_cells) some steps from zero, beside ``known`` (q, n_cells)."""
        return self.step(block, known_rows(block.x, self.solver.n_free, known))

    def step(self, block: Block, z: Tensor) -> Tensor:
        """Better representations (m + q, n_cells)."""
        return project_cells(self.solver, block, z, max_iter=_STEPS)

    def work(self, block: Block, z: Tensor) -> Work:
        """Residuals of representations (m + q, n_cells), and their squared sums."""
        return self.solver.work(block, z)


@dataclass
class ActiveSolver:
    """Makes `ActiveCells` of the decoders of one search, with the kind of preconditioner that is best for its first."""

    pattern: Pattern
    n_free: int
    ridge: Tensor
    diagonal: bool | None = None

    def __call__(self, weight: Tensor) -> ActiveCells:
        """Prepare ``weight``, in the precision of the data."""
        arguments = (self.pattern, weight, self.n_free, self.ridge)
        if self.diagonal is None:
            self.diagonal = diagonal_will_do(self.pattern, weight, cell_solver(*arguments))
        return ActiveCells((diagonal_solver if self.diagonal else cell_solver)(*arguments))
