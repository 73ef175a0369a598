"""Representations given the decoder: one Gram matrix for all cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grnrep.core.decoder import Pattern
from grnrep.core.likelihood import residual


@dataclass(frozen=True)
class CellSolver:
    """Majorised least squares for the representations of a frozen decoder.

    Parameters
    ----------
    pattern, weight
        The decoder W, (n_genes, m + q): m regulators, then q known columns.
    n_free
        m, the number of columns that are to be found.
    ridge
        λ of the penalty λ‖z‖², one per regulator, ``(m,)``.
    link
        "relu" or "identity".
    inverse
        (W'W + λ)⁻¹ over the regulators, from :func:`cell_solver`.
    """

    pattern: Pattern
    weight: Tensor
    n_free: int
    ridge: Tensor
    link: str
    inverse: Tensor

    def residual(self, x: Tensor, z: Tensor) -> Tensor:
        """Residuals (n_genes, n_cells) of the representations ``z`` (m + q, n_cells)."""
        return residual(x, self.pattern.matmul(self.weight, z), self.link)

    def step(self, x: Tensor, z: Tensor) -> Tensor:
        """Minimise the majoriser at ``z`` (m + q, n_cells), exactly.

        Written as a correction of ``z``, so that rounding in the inverse does not
        move the fixed point.
        """
        r = self.residual(x, z)
        free = z[: self.n_free]
        gradient = self.pattern.matmul_t(self.weight, r)[: self.n_free] - self.ridge[:, None] * free
        return torch.cat([free + self.inverse @ gradient, z[self.n_free :]])


def cell_solver(pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor, link: str) -> CellSolver:
    """Factorise the Gram matrix of the decoder (float64) for use on any number of cells."""
    w = weight.double()
    gram = (pattern.matrix_t(w) @ pattern.matrix(w)).to_dense()[:n_free, :n_free]
    gram.diagonal().add_(ridge.double())
    return CellSolver(pattern, weight, n_free, ridge.to(weight), link, spd_inverse(gram).to(weight))


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
    solver: CellSolver, x: Tensor, start: Tensor, *, max_iter: int = 500, tol: float = 1e-6
) -> Tensor:
    """Representations of cells under a frozen decoder, (m + q, n_cells).

    The problem is convex. Each cell runs accelerated majorisation with its own
    momentum, restarts and end, so that cells do not influence each other.

    Parameters
    ----------
    solver
        From :func:`cell_solver`.
    x
        Expression, (n_genes, n_cells).
    start
        Where the search starts, and the values of the known columns, (m + q, n_cells).
    max_iter
        Limit of iterations.
    tol
        A cell is done when a step changes its representation by less than this share.
    """
    m = solver.n_free
    z = solver.step(x, start)
    if solver.link == "identity":
        return z
    previous, momentum = z, x.new_ones(x.shape[1])
    done = torch.zeros_like(momentum, dtype=torch.bool)
    for _ in range(max_iter):
        following = (1 + (1 + 4 * momentum**2).sqrt()) / 2
        ahead = z + ((momentum - 1) / following) * (z - previous)
        new = torch.where(done, z, solver.step(x, ahead))
        # O'Donoghue & Candès (2015): restart where momentum points uphill
        uphill = ((ahead - new) * (new - z)).sum(0) > 0
        momentum = torch.where(uphill, torch.ones_like(following), following)
        previous, z = torch.where(uphill, new, z), new
        change = torch.linalg.vector_norm((new - ahead)[:m], dim=0)
        done |= change <= tol * torch.linalg.vector_norm(new[:m], dim=0)
        if bool(done.all()):
            break
    return z
