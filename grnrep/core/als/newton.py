"""Newton steps, where every entry has a curvature of its own: of cells, and how far those of genes go.

Every cell has a Gram matrix W'AW of its own. None of them is built: a few conjugate gradients per cell solve the
systems, with their diagonals as preconditioners. (The Gram matrix that cells would share under typical curvatures is
a worse one: it takes six times as many.) Far from the minimum A is what the likelihood gives as a curvature, which is
positive; near it, the second derivative of the loss, which makes the last steps few. Each cell, and each gene, then
halves its step until its own objective does not rise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.cells import MAX_ITER
from grnrep.core.als.stats import Work
from grnrep.core.design import known_rows
from grnrep.core.kernels import CountCells, Newton, Rows, newton_counts
from grnrep.core.likelihoods.base import Block, Likelihood
from grnrep.core.likelihoods.counts import FLAT
from grnrep.core.linalg import Pattern, conjugate_gradients

_GRADIENTS = 10  # conjugate gradients a step
_START_TOL = 1e-2
_HALVINGS = 25
_TOL = 3e-5  # leaves every activity within 1e-4 of its spread over cells
_NEAR = 0.1  # step, as a share of the representation, from which on the second derivative is taken
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
    squares_t
        Squares of the entries of W'.
    ridge
        λ of the penalty λ‖z‖², (m + q, 1), and 0 for known columns.
    n_free
        m, the number of regulators.
    edges
        W and W' of the regulators alone, for compiled code; None where there is none.
    """

    likelihood: Likelihood
    matrix: Tensor
    matrix_t: Tensor
    squares_t: Tensor
    ridge: Tensor
    n_free: int
    edges: tuple[Rows, Rows] | None = None

    @classmethod
    def of(
        cls, likelihood: Likelihood, pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor
    ) -> NewtonCells:
        """Prepare ``weight``, in the precision of the data; ``ridge`` is ``(m,)``."""
        n_known = pattern.shape[1] - n_free
        padded = torch.nn.functional.pad(ridge.to(weight), (0, n_known))[:, None]
        matrices = (pattern.matrix(weight), pattern.matrix_t(weight))
        edges = None
        if weight.device.type == "cpu" and likelihood.compiled() is not None:
            edges = pattern.rows(weight, n_free)
        squares_t = pattern.matrix_t(weight.square())
        return cls(likelihood, *matrices, squares_t, padded, n_free, edges)

    def begin(self, block: Block, known: Tensor) -> Tensor:
        """Representations (m + q, n_cells) to start from, beside ``known`` (q, n_cells)."""
        return self.project(block, known, tol=_START_TOL)

    def step(self, block: Block, z: Tensor) -> Tensor:
        """Better representations (m + q, n_cells)."""
        return self._go(block, z, 1, 0.0)

    def advance(self, block: Block, z: Tensor) -> tuple[Tensor, Work]:
        """Better representations (m + q, n_cells) by one step, and what the block says there."""
        better = self.step(block, z)
        return better, self.work(block, better)

    def work(self, block: Block, z: Tensor) -> Work:
        """Slopes, curvatures and losses at representations (m + q, n_cells)."""
        p = self.matrix @ z
        loss = self.likelihood.loss(block, p).sum(1, dtype=torch.float64)
        return Work(*self.likelihood.work(block, p), loss)

    def project(
        self, block: Block, known: Tensor, *, max_iter: int = MAX_ITER, tol: float | None = None
    ) -> Tensor:
        """Representations (m + q, n_cells) at the minimum, from zero on.

        Newton steps of every cell until one is less than the share ``tol`` of its representation, or than rounding,
        or does not lower its objective at any length.
        """
        z = known_rows(block.x, self.n_free, known)
        tol = max(_TOL if tol is None else tol, _STILL * torch.finfo(z.dtype).eps)
        return self._go(block, z, max_iter, tol)

    def _go(self, block: Block, z: Tensor, max_iter: int, tol: float) -> Tensor:
        if self.edges is None:
            return self._by_torch(block, z, max_iter, tol)
        return self.in_lanes(block, z, max_iter, tol)[0]

    def in_lanes(
        self, block: Block, z: Tensor, max_iter: int, tol: float
    ) -> tuple[Tensor, np.ndarray]:
        """Steps by compiled code, from ``z`` (m + q, n_cells); and how many they were, ``(n_cells,)``."""
        genes = self.likelihood.compiled()
        if self.edges is None or genes is None:
            raise RuntimeError("there is no compiled code for this likelihood, or device")
        (counts, size, _), m, out = block.counted(), self.n_free, z.contiguous().clone()
        rounding = _ROUNDING * torch.finfo(z.dtype).eps
        how = Newton(_GRADIENTS, _HALVINGS, _NEAR, rounding, FLAT, max_iter, tol)
        # of another layout all would be compiled once more
        parts = (part.contiguous().numpy() for part in (counts, self.matrix @ z, size, z[:m]))
        steps, ridge = np.zeros(z.shape[1], np.int64), self.ridge[:m, 0].numpy()
        newton_counts(*self.edges, ridge, genes, CountCells(*parts), how, out[:m].numpy(), steps)
        return out, steps

    def _by_torch(self, block: Block, z: Tensor, max_iter: int, tol: float) -> Tensor:
        """On any device, and of any likelihood: every operation on all cells that are left."""
        m, out, left = self.n_free, z.clone(), torch.arange(z.shape[1], device=z.device)
        near = torch.zeros_like(left, dtype=torch.bool)
        for _ in range(max_iter):
            change, length = self._newton(block, z, near)
            z = torch.where(length == 0, z, z + length * change)
            out[:, left] = z
            moved = torch.linalg.vector_norm(change[:m], dim=0)
            size = torch.linalg.vector_norm(z[:m], dim=0)
            going = (~(moved <= tol * size) & (length != 0)).nonzero()[:, 0]
            if len(going) == 0:
                break
            near = (moved <= _NEAR * size)[going]
            block, left, z = block.cells(going), left[going], z[:, going]
        return out

    def _newton(self, block: Block, z: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """Steps (m + q, n_cells), and which share of them is taken, ``(n_cells,)``."""
        p = self.matrix @ z
        r, curvature = self.likelihood.work(block, p)
        if bool(near.any()):
            curvature = torch.where(near, self.likelihood.bend(block, p), curvature)
        diagonal = self.squares_t @ curvature.clamp(min=0) + self.ridge
        inverse = torch.where(diagonal > 0, 1 / diagonal, 0.0)
        inverse[self.n_free :] = 0  # known columns do not move
        # (W'AW + λ) Δz = W'r - λ z
        downhill = self.matrix_t @ r - self.ridge * z
        solutions = conjugate_gradients(
            downhill,
            lambda d: self.matrix_t @ (curvature * (self.matrix @ d)) + self.ridge * d,
            lambda v: inverse * v,
        )
        change, _ = next(islice(solutions, _GRADIENTS - 1, None))
        # where the second derivative lets the first direction fall for ever
        change = torch.where(near & (change == 0).all(0), inverse * downhill, change)
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
        return change, backtrack(objective, objective(none, None), none, z.dtype)


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
