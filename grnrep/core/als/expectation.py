"""Representations given decoder and noise: expected values of what is below zeros, and least squares of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.cells import MAX_ITER, CellSolver, project_cells
from grnrep.core.als.preconditioners import quick_solver
from grnrep.core.als.stats import Work
from grnrep.core.design import known_rows
from grnrep.core.kernels import Rows, expect_below, residuals
from grnrep.core.likelihoods.base import Block
from grnrep.core.linalg import Pattern, inverse_spd
from grnrep.core.normal_tail import below_and_above

# change of representations, as a share, at which those under a ReLU are found, if it was as small the step before:
# the first step after momentum began anew is a small one too
_TOL = 1e-3
# gradient, as a share, at which representations with clipped zeros will do as a start
_CLIPPED_TOL = 1e-2


def observed_covariance(
    pattern: Pattern, weight: Tensor, noise: Tensor, share: Tensor, prior: Tensor
) -> Tensor:
    """Σ of representations by the information that is observed, (m, m) float64.

    A value counts for 1 / ψ, a zero for the curvature of its log likelihood, which is less by the share of noise that
    the zero hides (Louis 1982, J. R. Stat. Soc. B 44:226). Taken for all cells from the mean over them.

    Parameters
    ----------
    pattern, weight
        The decoder, known columns too; ``weight`` of every edge, ``(n_edges,)``.
    noise, share
        ψ of every gene, and what its values count for by what they would if all were seen, ``(n_genes,)``.
    prior
        Precision of representations before expression is seen, (m, m).
    """
    m, seen = len(prior), (share / noise).sqrt()[pattern.gene]
    return inverse_spd(pattern.gram(weight * seen)[:m, :m] + prior, torch.float64)


@dataclass(frozen=True, eq=False)
class Cells:
    """What finds the representations of any cells under a decoder with noise of every gene.

    The mode of z given W under x = p + ε, ε_i ~ N(0, ψ_i), and a normal prior of precision ``prior``. Under a ReLU by
    expectation and maximisation: below a zero expression is what is expected there, p - σ φ(p/σ) / Φ(-p/σ).

    Parameters
    ----------
    matrix
        The decoder W, (n_genes, m + q) CSR: m free columns, then q known ones.
    precise_t
        W'Ψ⁻¹, (m + q, n_genes) CSR.
    prior
        Precision of the prior of representations, (m, m + q): what known columns say beside it.
    inverse
        (W'Ψ⁻¹W + prior)⁻¹ over the free columns.
    sd
        √ψ, (n_genes, 1).
    sigma, log_det
        The inverse in float64, and log determinant of what it is the inverse of.
    rows
        W for compiled code on the CPU; elsewhere None.
    inflation
        ψ by the variance with which expression scatters, where genes share noise: the log likelihood counts for its
        inverse.
    clipped
        What finds representations of whitened expression at which zeros are clipped, not expected: where a search
        under a ReLU starts. None where it starts from 0.
    """

    matrix: Tensor
    precise_t: Tensor
    prior: Tensor
    inverse: Tensor
    sd: Tensor
    sigma: Tensor
    log_det: Tensor
    rows: Rows | None
    clipped: CellSolver | None = None
    inflation: float = 1.0

    @classmethod
    def of(
        cls,
        pattern: Pattern,
        weight: Tensor,
        noise: Tensor,
        prior: Tensor,
        like: Tensor,
        *,
        inflation: float = 1.0,
        censored: bool = False,
    ) -> Cells:
        """Factorise the precision of representations, in float64; the rest in the precision of ``like``.

        ``censored``: ready to find representations under a ReLU from what is quicker to find.
        """
        m, gene = len(prior), pattern.gene
        precision = pattern.gram(weight / noise.sqrt()[gene])[:m, :m] + prior[:, :m]
        factor, info = torch.linalg.cholesky_ex(precision)
        sound = int(info) == 0
        sigma = torch.cholesky_inverse(factor) if sound else inverse_spd(precision, torch.float64)
        log_det = 2 * factor.diagonal().log().sum() if sound else -torch.linalg.slogdet(sigma)[1]
        w = weight.to(like)
        return cls(
            pattern.matrix(w),
            pattern.matrix_t((weight / noise[gene]).to(like)),
            prior.to(like),
            sigma.to(like),
            noise.sqrt().to(like)[:, None],
            sigma,
            log_det,
            pattern.rows(w)[0] if like.device.type == "cpu" else None,
            quick_solver(pattern, (weight / noise.sqrt()[gene]).to(like), m, prior.diagonal())
            if censored
            else None,
            inflation,
        )

    @property
    def n_free(self) -> int:
        """m, the number of columns that are to be found."""
        return len(self.prior)

    def without(self, x: Tensor, z: Tensor) -> Tensor:
        """Residuals x - W z, (n_genes, n_cells)."""
        if self.rows is None:
            return torch.addmm(x, self.matrix, z, alpha=-1)
        out = torch.empty_like(x)
        residuals(
            self.rows, x.contiguous().numpy(), None, None, z.contiguous().numpy(), out.numpy()
        )
        return out

    def expected(self, block: Block, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals ``r`` = x - W z, in place, with what is expected below zeros; loss and hidden variance of genes."""
        sd = self.sd / self.inflation**0.5
        if self.rows is not None and block.most is not None:
            sums = np.zeros((2, len(r)))
            expect_below(block.x.numpy(), sd[:, 0].numpy(), r.numpy(), sums)
            loss, hidden = torch.from_numpy(sums)
            return r, loss / self.inflation, hidden
        white = r / sd
        if block.most is None:
            loss = torch.linalg.vector_norm(white, dim=1).double().square()
            return r, loss / self.inflation, torch.zeros_like(loss)
        zero = block.most == 0
        u = torch.where(zero, -white, 0.0)  # p / σ
        below, h = below_and_above(u)  # log Φ(-u), and φ(u) / Φ(-u)
        loss = torch.where(zero, -2 * below, white.square()).sum(1, dtype=torch.float64)
        hidden = torch.where(zero, (1 - h * (h - u)).clamp(0, 1), 0.0).sum(1, dtype=torch.float64)
        hidden = hidden * sd[:, 0].double().square()
        return torch.where(zero, -h * sd, r), loss / self.inflation, hidden

    def change(self, r: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Step of representations at residuals ``r``, (m + q, n_cells), and ``prior`` z."""
        m, shrinkage = self.n_free, self.prior @ z
        step = self.inverse @ ((self.precise_t @ r)[:m] - shrinkage)
        return torch.nn.functional.pad(step, (0, 0, 0, len(z) - m)), shrinkage

    def step(self, block: Block, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Better representations (m + q, n_cells), and residuals of what was expected before.

        Also, at ``z``, loss and hidden variance of every gene, and the sum of z'prior z.
        """
        r, loss, hidden = self.expected(block, self.without(block.x, z))
        change, shrinkage = self.change(r, z)
        penalty = (z[: self.n_free] * shrinkage).sum(dtype=torch.float64)
        return z + change, self.without(r, change), loss, hidden, penalty

    def project(
        self, block: Block, known: Tensor, *, max_iter: int = MAX_ITER, tol: float | None = None
    ) -> Tensor:
        """Representations (m + q, n_cells) at the mode, beside ``known`` (q, n_cells).

        Without zeros in one step. Else with Nesterov's momentum, which a cell starts anew where a step turns back;
        a cell is done when two steps changed it by less than the share ``tol``.
        """
        z = known_rows(block.x, self.n_free, known)
        if self.clipped is not None and block.most is not None:
            white = Block(block.x / self.sd, block.most)
            z = project_cells(self.clipped, white, z, tol=_CLIPPED_TOL)
        z = z + self.change(self.expected(block, self.without(block.x, z))[0], z)[0]
        if block.most is None:
            return z
        tol, m = _TOL if tol is None else tol, self.n_free
        out, left = z.clone(), torch.arange(z.shape[1], device=z.device)
        last, momentum = torch.zeros_like(z), z.new_ones(z.shape[1])
        done = torch.zeros_like(left, dtype=torch.bool)
        small = done.clone()
        for _ in range(max_iter):
            following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
            ahead = torch.addcmul(z, last, (momentum - 1) / following)
            r, _, _ = self.expected(block, self.without(block.x, ahead))
            new = ahead + self.change(r, ahead)[0]
            move = new - z
            turned = (move[:m] * last[:m]).sum(0) < 0
            momentum = torch.where(turned, 1.0, following)
            last, z = torch.where(turned, 0.0, move), new
            moved, size = (torch.linalg.vector_norm(a[:m], dim=0) for a in (move, new))
            before, small = small, moved <= tol * size
            just = before & small & ~done
            out[:, left[just]] = new[:, just]
            done |= just
            n_left = int((~done).sum())
            if n_left == 0:
                return out
            if 2 * n_left <= len(left):  # cells that are done cost as much as the others
                keep = (~done).nonzero()[:, 0]
                block, left, done = block.cells(keep), left[keep], done[keep]
                z, last, momentum, small = z[:, keep], last[:, keep], momentum[keep], small[keep]
        out[:, left[~done]] = z[:, ~done]
        return out

    def work(self, block: Block, z: Tensor) -> Work:
        """Expected residuals and squared sums of representations (m + q, n_cells)."""
        r, loss, _ = self.expected(block, self.without(block.x, z))
        return Work(r, None, loss)
