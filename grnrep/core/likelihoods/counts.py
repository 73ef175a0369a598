"""Poisson and negative binomial counts: mean, deviance and weights of every entry.

The mean of a count is s f(p), with the size factor s of the cell and the rate f(p) of the gene.
f is a smooth ReLU, τ log(1 + exp(p / τ)): a rate of zero would make a single stray count
impossible. It is also what noise inside the ReLU of Eq. 6 does to the mean. For Poisson counts
the deviance is convex in p, because log f is concave and f is convex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_SOFTNESS = 0.2  # τ as a share of a mean rate; from 0.05 to 0.4 recovery differs by at most 0.005:
_OWN = 0.5  # of the gene's own to this power, times that of all genes
_FAR = -15.0  # p / τ below which f is exp(p / τ) to float32
_FLAT = 1e-3  # share of c (f' / f)² that the weight keeps where the deviance is a straight line
_TINY = 1e-6  # mean rate of a gene without counts, as a share of the average gene's


def cell_size_factors(counts: np.ndarray, depth: float | None = None) -> tuple[np.ndarray, float]:
    """Total counts of every cell as a share of ``depth``, and ``depth``.

    Parameters
    ----------
    counts
        (n_cells, n_genes). A cell without counts is taken for one with a single count.
    depth
        Total that has size factor 1; by default the median of the cells.
    """
    totals = np.maximum(counts.sum(1, dtype=np.float64), 1.0)
    depth = (float(np.median(totals)) if len(totals) else 1.0) if depth is None else depth
    return totals / depth, depth


@dataclass(frozen=True)
class Counted:
    """Counts of a block of cells.

    Parameters
    ----------
    c
        Counts, (n_genes, n_cells).
    s
        Size factors, ``(n_cells,)``.
    log_c
        log c, and 0 where c is 0: the part of the deviance that does not change.
    """

    c: Tensor
    s: Tensor
    log_c: Tensor

    @classmethod
    def of(cls, c: Tensor, s: Tensor) -> Counted:
        """Prepare counts (n_genes, n_cells)."""
        return cls(c, s.to(c), c.clamp(min=1).log())

    def cells(self, which: Tensor) -> Counted:
        """Some of the cells."""
        return Counted(self.c[:, which], self.s[which], self.log_c[:, which])

    def genes(self, which: Tensor) -> Counted:
        """Some of the genes."""
        return Counted(self.c[which], self.s, self.log_c[which])


def softness_of(mean: Tensor) -> Tensor:
    """τ of every gene by the mean rates, ``(n_genes,)``.

    Noise inside the link softens it. That of rare genes is neither the same as that of others nor in
    proportion to their mean: counts are likelier with the square root of it than with either.
    """
    typical = mean.mean() if bool((mean > 0).any()) else torch.ones_like(mean.mean())
    return _SOFTNESS * typical * (mean / typical).clamp(min=_TINY) ** _OWN


@dataclass(frozen=True)
class CountModel:
    """How counts of every gene scatter about s f(p).

    Parameters
    ----------
    softness
        τ of every gene, (n_genes, 1).
    dispersion
        φ of the variance μ + φ μ², (n_genes, 1), or None for Poisson counts.
    weight
        Typical weight of a gene's entries at size factor 1, (n_genes, 1): one over the
        variance at its mean rate.
    """

    softness: Tensor
    dispersion: Tensor | None
    weight: Tensor

    @classmethod
    def of(cls, mean: Tensor, dispersion: Tensor | None, softness: Tensor) -> CountModel:
        """From the mean rate, the dispersion and the softness of every gene, ``(n_genes,)``."""
        lowest = _TINY * mean.mean() if bool((mean > 0).any()) else torch.ones_like(mean.mean())
        mean = torch.maximum(mean, lowest)[:, None]
        phi = None if dispersion is None else dispersion[:, None]
        variance = mean if phi is None else mean * (1 + phi * mean)
        return cls(softness[:, None], phi, 1 / variance)

    def genes(self, which: Tensor) -> CountModel:
        """Some of the genes."""
        phi = None if self.dispersion is None else self.dispersion[which]
        return CountModel(self.softness[which], phi, self.weight[which])

    def rate(self, p: Tensor) -> Tensor:
        """f(p), same shape as ``p`` (n_genes, n_cells)."""
        return torch.nn.functional.softplus(p / self.softness) * self.softness

    def deviance(self, block: Counted, p: Tensor) -> Tensor:
        """Twice the log-likelihood ratio of a perfect prediction to s f(p), (n_genes, n_cells)."""
        u = p / self.softness
        soft = torch.nn.functional.softplus(u)
        log_mu = torch.where(u < _FAR, u, soft.clamp(min=1e-30).log()) + (
            self.softness.log() + block.s.log()
        )
        mu = soft * self.softness * block.s
        ratio = block.c * (block.log_c - log_mu)
        if self.dispersion is None:
            return 2 * (ratio - block.c + mu)
        phi = self.dispersion
        return 2 * (ratio - (block.c + 1 / phi) * ((1 + phi * block.c) / (1 + phi * mu)).log())

    def work(self, block: Counted, p: Tensor) -> tuple[Tensor, Tensor]:
        """Minus half the slope of the deviance in p, and a positive weight, (n_genes, n_cells) each.

        The weight is half the curvature of the Poisson deviance, over 1 + φμ. Both terms of it
        are positive. Where a count lies far below zero it vanishes, but the slope does not; a
        small share of the weight that log f would have as a straight line keeps the step finite.
        """
        u = p / self.softness
        soft = torch.nn.functional.softplus(u)
        up = u.sigmoid()
        slope = torch.where(u < _FAR, 1.0, up / soft.clamp(min=1e-30)) / self.softness  # f' / f
        bend = slope * (1 - up) / self.softness  # f'' / f
        mu = soft * self.softness * block.s
        square = slope.square()
        r = (block.c - mu) * slope
        weight = mu * bend + block.c * ((square - bend).clamp(min=0) + _FLAT * square)
        if self.dispersion is None:
            return r, weight
        damp = 1 / (1 + self.dispersion * mu)
        return r * damp, weight * damp
