"""Newton steps, where every entry has a curvature of its own: of cells, and how far those of genes go.

Every cell has a Gram matrix W'AW of its own. None of them is built: a few conjugate gradients per cell solve the
systems, all at once, with the Gram matrix that they would share under typical curvatures as the preconditioner. Each
cell, and each gene, then halves its step until its own objective does not rise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from grnrep.core.als.cells import MAX_ITER, CellSolver, cell_solver, project_cells
from grnrep.core.als.genes import Work
from grnrep.core.design import known_rows
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.core.likelihoods.base import Block, Likelihood
from grnrep.core.linalg import Pattern, conjugate_gradients

_GRADIENTS = 6  # conjugate gradients a step
_START_ITERATIONS, _START_TOL = 50, 1e-2
_HALVINGS = 25
_TOL = 1e-7  # a Newton step ends far closer to the minimum than a gradient step
_ROUNDING = 16  # relative rise of a sum that says nothing, in units of its values' precision
_STILL = 8  # change of a representation that is rounding, in units of its precision


@dataclass(frozen=True)
class NewtonCells:
    """A decoder, ready to find the representations of any cells under it.

    Parameters
    ----------
    likelihood
        Of the genes.
    matrix, matrix_t
        The decoder W, (n_genes, m + q): m regulators, then q known columns; and W'. CSR.
    ridge
        λ of the penalty λ‖z‖², (m + q, 1), and 0 for known columns.
    inverse
        (W'AW + λ)⁻¹ under typical curvatures A, zero in the rows of known columns.
    first
        The solver of the same decoder for working values, whose squared errors count by typical curvatures.
    """

    likelihood: Likelihood
    matrix: Tensor
    matrix_t: Tensor
    ridge: Tensor
    inverse: Tensor
    first: CellSolver

    @classmethod
    def of(
        cls, likelihood: Likelihood, pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor
    ) -> NewtonCells:
        """Factorise the shared Gram matrix, in float64. ``ridge`` is ``(m,)``."""
        root = likelihood.curvature()[pattern.gene, 0].sqrt()
        first = cell_solver(pattern, weight * root, n_free, ridge)
        n_known = pattern.shape[1] - n_free
        inverse = torch.nn.functional.pad(first.inverse, (0, n_known, 0, n_known))
        padded = torch.nn.functional.pad(first.ridge, (0, n_known))[:, None]
        matrices = (pattern.matrix(weight), pattern.matrix_t(weight))
        return cls(likelihood, *matrices, padded, inverse, first)

    @property
    def n_free(self) -> int:
        """m, the number of regulators."""
        return self.first.n_free

    def begin(self, block: Block, known: Tensor) -> Tensor:
        """Least squares of working values, (m + q, n_cells), beside ``known`` (q, n_cells)."""
        scale = self.likelihood.curvature().sqrt()
        values = LIKELIHOODS[self.likelihood.first].of(block.x, None)
        at = values.block(self.likelihood.working(block) * scale)
        z = known_rows(block.x, self.n_free, known)
        return project_cells(self.first, at, z, max_iter=_START_ITERATIONS, tol=_START_TOL)

    def step(self, block: Block, z: Tensor) -> Tensor:
        """Better representations (m + q, n_cells)."""
        p = self.matrix @ z
        r, curvature = self.likelihood.work(block, p)
        # (W'AW + λ) Δz = W'r - λ z
        solutions = conjugate_gradients(
            self.matrix_t @ r - self.ridge * z,
            lambda q: self.matrix_t @ (curvature * (self.matrix @ q)) + self.ridge * q,
            lambda v: self.inverse @ v,
        )
        change, _ = next(islice(solutions, _GRADIENTS - 1, None))
        change_p = self.matrix @ change

        def objective(t: Tensor, some: Tensor | None) -> Tensor:
            cells = block if some is None else block.cells(some)
            a, b, pa, pb = (
                part if some is None else part[:, some] for part in (z, change, p, change_p)
            )
            penalty = (self.ridge * (a + t * b).square()).sum(0, dtype=torch.float64)
            loss = self.likelihood.loss(cells, pa + t * pb).sum(0, dtype=torch.float64)
            return loss + penalty

        none = z.new_zeros(z.shape[1])
        return z + backtrack(objective, objective(none, None), none, z.dtype) * change

    def work(self, block: Block, z: Tensor) -> Work:
        """Slopes, curvatures and losses at representations (m + q, n_cells)."""
        p = self.matrix @ z
        loss = self.likelihood.loss(block, p).sum(1, dtype=torch.float64)
        return Work(*self.likelihood.work(block, p), loss)

    def project(
        self, block: Block, known: Tensor, *, max_iter: int = MAX_ITER, tol: float | None = None
    ) -> Tensor:
        """Representations (m + q, n_cells) at the minimum.

        Newton steps of every cell until one changes its representation by less than the share ``tol``, or than
        rounding does; cells that are done leave.
        """
        z = self.begin(block, known)
        tol = max(_TOL if tol is None else tol, _STILL * torch.finfo(z.dtype).eps)
        out, left = z.clone(), torch.arange(z.shape[1], device=z.device)
        for _ in range(max_iter):
            new = self.step(block, z)
            out[:, left] = new
            moved = torch.linalg.vector_norm((new - z)[: self.n_free], dim=0)
            size = torch.linalg.vector_norm(new[: self.n_free], dim=0)
            moving = (moved > tol * size).nonzero()[:, 0]
            if len(moving) == 0:
                break
            block, left, z = block.cells(moving), left[moving], new[:, moving]
        return out


def gene_lengths(
    likelihood: Likelihood,
    blocks: list[Block],
    p: list[tuple[Tensor, Tensor]],
    shrinkage: Callable[[Tensor], Tensor],
    before: Tensor,
    each: Callable[..., Iterator] = map,
) -> Tensor:
    """Lengths of the steps of all genes, ``(n_genes,)``: :func:`backtrack`.

    ``p`` are pre-activations of every block, and what whole steps add to them; ``shrinkage`` gives the penalty of
    every gene at lengths of all; ``each`` maps over blocks.
    """
    none = torch.zeros_like(before)

    def objective(length: Tensor, some: Tensor | None) -> Tensor:
        model, total = (
            likelihood,
            shrinkage(length if some is None else none.index_copy(0, some, length)),
        )
        if some is not None:
            model, total = likelihood.genes(some), total[some]

        def loss(block: Block, parts: tuple[Tensor, Tensor]) -> Tensor:
            if some is not None:
                block, parts = block.genes(some), (parts[0][some], parts[1][some])
            at_length = parts[0] + length.to(parts[0])[:, None] * parts[1]
            return model.loss(block, at_length).sum(1, dtype=torch.float64)

        for part in each(loss, blocks, p):
            total = total + part
        return total

    return backtrack(objective, before, none, p[0][0].dtype)


def backtrack(
    objective: Callable[[Tensor, Tensor | None], Tensor],
    before: Tensor,
    none: Tensor,
    precision: torch.dtype,
) -> Tensor:
    """Lengths of steps, halved where a step makes its own objective rise until it does not; else 0.

    Parameters
    ----------
    objective
        Of step lengths, and of which cells (genes) they are, None for all.
    before
        Objective of every cell (gene) at length 0.
    none
        Length 0 of every cell (gene).
    precision
        Of what the objective is computed from: sums that rise by no more than its rounding do not count.
    """
    length = torch.ones_like(none)
    allowed = before + _ROUNDING * torch.finfo(precision).eps * before.abs()
    value = objective(length, None)
    for _ in range(_HALVINGS):
        rising = (~(value <= allowed)).nonzero()[:, 0]  # a value that is not a number rises too
        if len(rising) == 0:
            return length
        length[rising] /= 2
        value[rising] = objective(length[rising], rising)
    return torch.where(value <= allowed, length, 0.0)
