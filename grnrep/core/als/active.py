"""Representations given the decoder, some steps of the way, by the curvature of entries with a residual.

The majoriser of `CellSolver.step` takes every entry of a gene for one that resists. Where most are zeros below a ReLU
nine tenths do not, and steps are as many times too short. Conjugate gradients see what resists, and a gene's
own system of the entries with a residual (`GeneSolver`) does so for weights. Neither lies above the objective: that it
falls is seen to by `alternate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from grnrep.core.als.cells import CellSolver, project_cells
from grnrep.core.als.data import Penalty
from grnrep.core.als.preconditioners import cell_solver, diagonal_solver, tried
from grnrep.core.als.stats import Work
from grnrep.core.design import known_rows
from grnrep.core.likelihoods.base import Block
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network

_STEPS = 3  # conjugate gradients of an iteration
_MOST = 40  # iterations for a trial system of the prior decoder, from which on the bound is better


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
        start = known_rows(block.x, self.solver.n_free, known)
        return project_cells(self.solver, block, start, max_iter=_STEPS)

    def advance(self, block: Block, z: Tensor) -> tuple[Tensor, Work]:
        """Better representations (m + q, n_cells), and what the block says there."""
        r = torch.empty_like(block.x)
        better = project_cells(self.solver, block, z, max_iter=_STEPS, residual=r)
        return better, Work.of_residual(r)


@dataclass(frozen=True)
class ActiveSolver:
    """Makes `ActiveCells` of the decoders of one search, all with the same kind of preconditioner.

    Parameters
    ----------
    pattern, n_free, ridge
        As :func:`grnrep.core.als.preconditioners.cell_solver` takes them.
    diagonal
        Whether with the inverse of the diagonal alone.
    lags
        Whether systems of genes may be those of some iterations before. Not where there are covariates: where all
        cells of a kind have zeros their effect may be anything below, and a step too long would leave it far off.
    """

    pattern: Pattern
    n_free: int
    ridge: Tensor
    diagonal: bool
    lags: bool

    @classmethod
    def of(
        cls, network: Network, n_free: int, penalty: Penalty, like: Tensor, *, lags: bool = False
    ) -> Self | None:
        """For decoders about the prior one, in the precision and on the device of ``like``.

        None where the bound is better: where a regulator is not drawn to prior signs, since long steps could lose it;
        and where cells are so loosely held that some conjugate gradients do not get near.
        """
        ridge = penalty.z[:n_free]
        if not n_free or bool(penalty.balanced[:n_free].any()):
            return None
        pattern, weight = Pattern(network).to(like.device), penalty.anchor.to(like)
        trial = tried(pattern, weight, n_free, ridge, most=_MOST + 1)
        if trial.iterations > _MOST:
            return None
        return cls(pattern, n_free, ridge, trial.diagonal, lags)

    def __call__(self, weight: Tensor) -> ActiveCells:
        """Prepare ``weight``, in the precision of the data."""
        make = diagonal_solver if self.diagonal else cell_solver
        return ActiveCells(make(self.pattern, weight, self.n_free, self.ridge))
