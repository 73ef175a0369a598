"""Representations given the decoder, under squared error: one Gram matrix for all cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from grnrep.core.als.stats import Work
from grnrep.core.design import known_rows
from grnrep.core.kernels import (
    LONGER,
    SHORTER,
    Cells,
    Rows,
    descend,
    gradients,
    residuals,
)
from grnrep.core.likelihoods.base import Block

MAX_ITER = 500  # steps of a cell at most
TOL = 1e-5


@dataclass(frozen=True)
class CellSolver:
    """Majorised least squares for the representations of a frozen decoder.

    Parameters
    ----------
    matrix, matrix_t
        The decoder W, (n_genes, m + q): m regulators, then q known columns; and W'. CSR.
    n_free
        m, the number of columns that are to be found.
    ridge
        λ of the penalty λ‖z‖², one per regulator, ``(m,)``.
    inverse
        (W'W + λ)⁻¹ over the regulators; or of its diagonal alone, (m, 1), which will do for :func:`project_cells`,
        but not for a step (:mod:`grnrep.core.als.preconditioners`).
    edges, free
        W and W' once more, and those of the regulators alone, for compiled code on the CPU; elsewhere None.
    """

    matrix: Tensor
    matrix_t: Tensor
    n_free: int
    ridge: Tensor
    inverse: Tensor
    edges: tuple[Rows, Rows] | None = None
    free: tuple[Rows, Rows] | None = None

    def residual(self, block: Block, z: Tensor) -> Tensor:
        """Residuals (n_genes, n_cells) of the representations ``z`` (m + q, n_cells)."""
        if self.edges is None:
            return block.censor(torch.addmm(block.x, self.matrix, z, alpha=-1))
        out = torch.empty(block.x.shape, dtype=block.x.dtype)
        x, most, least = block.arrays()
        residuals(self.edges[0], x, most, least, z.contiguous().numpy(), out.numpy())
        return out

    def begin(self, block: Block, known: Tensor) -> Tensor:
        """Representations (m + q, n_cells) by one step from zero, beside ``known`` (q, n_cells)."""
        return self.step(block, known_rows(block.x, self.n_free, known))

    def advance(self, block: Block, z: Tensor) -> tuple[Tensor, Work]:
        """Better representations (m + q, n_cells) by one step, and what the block says there."""
        better = self.step(block, z)
        return better, self.work(block, better)

    def work(self, block: Block, z: Tensor) -> Work:
        """Residuals of representations (m + q, n_cells), and their squared sums."""
        return Work.of_residual(self.residual(block, z))

    def project(
        self, block: Block, known: Tensor, *, max_iter: int = MAX_ITER, tol: float | None = None
    ) -> Tensor:
        """Representations (m + q, n_cells) at the minimum, from zero on: :func:`project_cells`."""
        z = known_rows(block.x, self.n_free, known)
        return project_cells(self, block, z, max_iter=max_iter, tol=TOL if tol is None else tol)

    def descent(self, block: Block, z: Tensor) -> Tensor:
        """Minus half the gradient of the objective, (m, n_cells)."""
        if self.edges is None:
            fall = (self.matrix_t @ self.residual(block, z))[: self.n_free]
            return torch.addcmul(fall, self.ridge[:, None], z[: self.n_free], value=-1)
        out = torch.empty(self.n_free, z.shape[1], dtype=z.dtype)
        (w, w_t), (x, most, least) = self.edges, block.arrays()
        at = z.contiguous().numpy()
        gradients(w, w_t, self.ridge.numpy(), x, most, least, at, out.numpy())
        return out

    def step(self, block: Block, z: Tensor) -> Tensor:
        """Minimise the majoriser at ``z`` (m + q, n_cells), exactly.

        Written as a correction of ``z``, so that rounding in the inverse does not move the fixed point.
        """
        better = torch.addmm(z[: self.n_free], self.inverse, self.descent(block, z))
        return torch.cat([better, z[self.n_free :]])

    def precondition(self, gradient: Tensor) -> Tensor:
        """The inverse times ``gradient`` (m, n_cells)."""
        return times(self.inverse, gradient)

    @cached_property
    def rows(self) -> tuple[Rows, Rows, Rows]:
        """W and W' of the regulators alone, and the inverse, for compiled code."""
        if self.free is None:
            raise RuntimeError("compiled code is for the CPU only")
        inverse, n = self.inverse.numpy(), self.n_free
        if inverse.shape[1] == 1:  # of a diagonal
            place = np.arange(n + 1, dtype=np.int32)
            return *self.free, Rows(place, place[:n], inverse.ravel())
        p = sp.csr_array(inverse)
        indptr, indices = p.indptr.astype(np.int32), p.indices.astype(np.int32)
        return *self.free, Rows(indptr, indices, p.data)


def project_cells(
    solver: CellSolver,
    block: Block,
    start: Tensor,
    *,
    max_iter: int = MAX_ITER,
    tol: float = TOL,
    residual: Tensor | None = None,
) -> Tensor:
    """Representations of cells under a frozen decoder, (m + q, n_cells).

    The problem is convex, and quadratic wherever no entry enters or leaves its censored range.
    Each cell runs preconditioned conjugate gradients (Polak-Ribière+) with its own steps
    and end, so that cells do not influence each other. A cell is done when its preconditioned gradient is less
    than the share ``tol`` of its representation. ``start`` (m + q, n_cells) has the values of known columns.
    ``residual`` (n_genes, n_cells), if there is one, becomes that of the representations.
    """
    if block.most is None:  # quadratic everywhere
        z = solver.step(block, start)
    elif start.device.type == "cpu" and max_iter > 0:
        return _in_cache(solver, block, start, max_iter, tol, residual)
    else:
        z = _by_torch(solver, block, start, max_iter, tol)
    if residual is not None:
        residual.copy_(solver.residual(block, z))
    return z


def _by_torch(solver: CellSolver, block: Block, start: Tensor, max_iter: int, tol: float) -> Tensor:
    """On any device: every operation on all cells that are left."""
    m, lam = solver.n_free, solver.ridge[:, None]
    out, left = start.clone(), torch.arange(start.shape[1], device=start.device)
    z, direction = start[:m].clone(), torch.zeros_like(start)  # known rows do not move
    plain = torch.addmm(block.x, solver.matrix, start, alpha=-1)  # x - p, not censored
    done = torch.zeros_like(left, dtype=torch.bool)
    gradient, size = torch.zeros_like(z), z.new_ones(z.shape[1])
    r, change = torch.empty_like(plain), torch.empty_like(plain)
    product = torch.empty_like(start)
    for _ in range(max_iter):
        block.censor(plain, out=r)
        torch.mm(solver.matrix_t, r, out=product)
        last, gradient = gradient, torch.addcmul(product[:m], lam, z, value=-1)  # downhill
        y = solver.precondition(gradient)
        finished = _dot(y, y) <= tol**2 * _dot(z, z)
        just = finished & ~done
        out[:m, left[just]] = z[:, just]
        done |= finished
        n_left = int((~done).sum())
        if n_left == 0:
            return out
        now = _dot(gradient, y)
        beta = ((now - _dot(last, y)) / size).clamp(min=0)
        if 2 * n_left <= len(left):  # cells that are done cost as much as the others
            keep = (~done).nonzero()[:, 0]
            block, left, done = block.cells(keep), left[keep], done[keep]
            z, plain, r, gradient, y, direction = (
                a[:, keep] for a in (z, plain, r, gradient, y, direction)
            )
            now, beta = now[keep], beta[keep]
            change, product = torch.empty_like(plain), torch.empty_like(direction)
        free = direction[:m]
        free.mul_(beta).add_(y)
        slope = _dot(gradient, free)
        if bool((slope <= 0).any()):  # rounding: the direction has lost its meaning
            free.copy_(torch.where(slope <= 0, y, free))
            slope = torch.where(slope <= 0, now, slope)
        size = now
        torch.mm(solver.matrix, direction, out=change)
        ridge_part = _dot(lam * free, free)
        torch.sign(r, out=r).mul_(change)  # what censored entries do not resist
        curvature = r.mul_(r).sum(0) + ridge_part
        step = torch.where(curvature > 0, slope / curvature, 0.0)
        # one secant step along the line, for entries that enter or leave their censored range
        block.censor(torch.addcmul(plain, change, step, value=-1, out=r))
        end = r.mul_(change).sum(0) - _dot(lam * z, free) - step * ridge_part
        step = step * torch.where(end < slope, slope / (slope - end), 1.0).clamp(SHORTER, LONGER)
        plain.addcmul_(change, step, value=-1)
        z.addcmul_(free, step)
    out[:m, left[~done]] = z[:, ~done]
    return out


def _in_cache(
    solver: CellSolver,
    block: Block,
    start: Tensor,
    max_iter: int,
    tol: float,
    residual: Tensor | None = None,
) -> Tensor:
    """Compiled: all that there is to do with some cells, while they are in the cache of the processor."""
    m, out = solver.n_free, start.contiguous().clone()
    uncensored = solver.residual(Block(block.x), start)
    # of another layout all would be compiled once more
    waiting = Cells(uncensored.numpy(), *block.bits, start[:m].contiguous().numpy())
    left = uncensored[:0] if residual is None else residual
    iterations = np.zeros(start.shape[1], np.int64)
    result = (out[:m].numpy(), left.numpy(), iterations)
    descend(*solver.rows, solver.ridge.numpy(), waiting, max_iter, tol, *result)
    return out


def times(inverse: Tensor, gradient: Tensor) -> Tensor:
    """Product with an inverse, which may be that of a diagonal, (m, 1)."""
    return inverse * gradient if inverse.shape[1] == 1 else inverse @ gradient


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """A'b of every cell."""
    return torch.linalg.vecdot(a, b, dim=0)
