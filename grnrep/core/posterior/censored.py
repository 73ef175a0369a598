"""What a chain makes of censored entries: draws of what lies below zeros, and likelihoods with these integrated out.

Where noise is inflated, the log likelihood counts for the inverse of the inflation, and whitened is by inflated noise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from grnrep.core.normal_tail import log_below, mean_above, quantile_below


def complete(
    x: Tensor,
    zeros: Tensor | None,
    p: Tensor,
    uniform: Callable[[tuple[int, ...], Tensor], Tensor],
    inflation: float,
) -> tuple[Tensor, Tensor | float]:
    """Residuals x - p, (n_genes, n_cells), whitened; in censored entries drawn from N(0, 1) below -p.

    Of inflated noise what lies below a zero has the mean of noise as it is, so that the slope is that of the likelihood
    by the inflation, and an inflated variance, so that the curvature is, too; how much Σ residual² of every gene are
    larger for it is returned beside residuals. ``uniform`` draws from 0 to 1, 1 exclusive.
    """
    e = x - p
    if zeros is None:
        return e, 0.0
    root = inflation**0.5
    below = -p.view(-1)[zeros] * root
    share = 1 - uniform(below.shape, p)  # above 0, and up to 1
    drawn = quantile_below(below, share)
    e.view(-1)[zeros] = drawn
    if root == 1:
        return e, 0.0
    mean = -mean_above(-below)
    e.view(-1)[zeros] = mean / root + (drawn - mean)
    excess = torch.zeros_like(e)
    excess.view(-1)[zeros] = (drawn - mean).square() * (1 - 1 / inflation)
    return e, excess.sum(1, dtype=torch.float64)


def likelihood_gain(
    x: Tensor, zeros: Tensor | None, p: Tensor, change: Tensor, inflation: float
) -> Tensor:
    """Logarithm of the likelihood at p + change by that at p, of every gene, ``(n_genes,)`` float64.

    ``x``, ``p`` and ``change`` are whitened, (n_genes, cells); ``zeros`` are positions of censored entries, if any.
    """
    # seen: -½ ((x - p - d)² - (x - p)²) = d (x - p - d/2); censored: log Φ(-p - d) - log Φ(-p)
    gain = change * (x - p - change / 2)
    if zeros is not None:
        root = inflation**0.5
        u, more = root * p.view(-1)[zeros], root * change.view(-1)[zeros]
        gain.view(-1)[zeros] = (log_below(u + more) - log_below(u)) / inflation
    return gain.sum(1, dtype=torch.float64)
