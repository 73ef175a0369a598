"""Representations given the decoder: one Gram matrix for all cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grnrep.core.decoder import Pattern
from grnrep.core.likelihood import Observed


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
        (W'W + λ)⁻¹ over the regulators, from :func:`cell_solver`.
    """

    matrix: Tensor
    matrix_t: Tensor
    n_free: int
    ridge: Tensor
    inverse: Tensor

    def residual(self, block: Observed, z: Tensor, out: Tensor | None = None) -> Tensor:
        """Residuals (n_genes, n_cells) of the representations ``z`` (m + q, n_cells)."""
        return block.censor(torch.addmm(block.x, self.matrix, z, alpha=-1, out=out))

    def step(self, block: Observed, z: Tensor, out: Tensor | None = None) -> Tensor:
        """Minimise the majoriser at ``z`` (m + q, n_cells), exactly.

        Written as a correction of ``z``, so that rounding in the inverse does not
        move the fixed point. ``out`` is overwritten with the residuals of ``z``.
        """
        r = self.residual(block, z, out)
        free = z[: self.n_free]
        gradient = torch.addcmul((self.matrix_t @ r)[: self.n_free], self.ridge[:, None], free, value=-1)
        return torch.cat([torch.addmm(free, self.inverse, gradient), z[self.n_free :]])


def cell_solver(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor) -> CellSolver:
    """Factorise the Gram matrix of the decoder (float64) for use on any number of cells."""
    gram = pattern.gram(weight.double())[:n_free, :n_free]
    gram.diagonal().add_(ridge.double())
    inverse = spd_inverse(gram).to(weight)
    return CellSolver(pattern.matrix(weight), pattern.matrix_t(weight), n_free, ridge.to(weight), inverse)


def spd_inverse(gram: Tensor) -> Tensor:
    """Inverse of a symmetric positive definite matrix, zero on rows that are all zero."""
    empty = gram.diagonal() <= 0
    gram = gram + torch.diag(empty.to(gram))
    factor, info = torch.linalg.cholesky_ex(gram)
    # exactly collinear regulators and no ridge: the least-norm solution
    definite = int(info) == 0
    inverse = torch.cholesky_inverse(factor) if definite else torch.linalg.pinv(gram, hermitian=True)
    return inverse * ~empty * ~empty[:, None]


def project_cells(
    solver: CellSolver, block: Observed, start: Tensor, *, max_iter: int = 500, tol: float = 1e-6
) -> Tensor:
    """Representations of cells under a frozen decoder, (m + q, n_cells).

    The problem is convex. Each cell runs accelerated majorisation with its own
    momentum, restarts and end, so that cells do not influence each other.

    Parameters
    ----------
    solver
        From :func:`cell_solver`.
    block
        Expression of the cells.
    start
        Where the search starts, and the values of the known columns, (m + q, n_cells).
    max_iter
        Limit of iterations.
    tol
        A cell is done when a step changes its representation by less than this share.
    """
    m = solver.n_free
    z = solver.step(block, start)
    if block.most is None:
        return z
    out, left = z.clone(), torch.arange(z.shape[1], device=z.device)
    previous, momentum = z, z.new_ones(z.shape[1])
    done = torch.zeros_like(momentum, dtype=torch.bool)
    scratch = torch.empty_like(block.x)
    for _ in range(max_iter):
        following = (1 + (1 + 4 * momentum**2).sqrt()) / 2
        ahead = torch.addcmul(z, (momentum - 1) / following, z - previous)
        new = solver.step(block, ahead, scratch)
        # O'Donoghue & Candès (2015): restart where momentum points uphill
        uphill = ((ahead - new) * (new - z)).sum(0) > 0
        momentum = torch.where(uphill, 1.0, following)
        previous, z = torch.where(uphill, new, z), new
        change = torch.linalg.vector_norm((new - ahead)[:m], dim=0)
        finished = change <= tol * torch.linalg.vector_norm(new[:m], dim=0)
        just = finished & ~done
        out[:, left[just]] = z[:, just]
        done |= finished
        n_left = int((~done).sum())
        if n_left == 0:
            return out
        if 2 * n_left <= len(left):  # cells that are done cost as much as the others
            keep = (~done).nonzero()[:, 0]
            block, left = block.cells(keep), left[keep]
            previous, z, momentum, done = previous[:, keep], z[:, keep], momentum[keep], done[keep]
            scratch = torch.empty_like(block.x)
    out[:, left[~done]] = z[:, ~done]
    return out
