"""Dispersion of the negative binomial, per gene, by moments, shrunk to that of all genes."""

from __future__ import annotations

import torch
from torch import Tensor

from grnrep.core.likelihoods.counts import Counted

_MOST = 10.0  # above it a gene says next to nothing, however much above
_LEAST = 1e-3  # below it float32 cannot tell a negative binomial from a Poisson


def shrunk_dispersion(blocks: list[Counted], rates: list[Tensor], *, n_parameters: int) -> Tensor:
    """φ of the variance μ + φ μ², ``(n_genes,)`` float64.

    By moments φ = Σ ((c - μ)² - μ) / Σ μ² over the cells of a gene, the squares corrected for
    the parameters that μ was fitted with. Each gene's value is then drawn towards the pooled
    one by the share of the spread between genes that its own uncertainty accounts for.

    Parameters
    ----------
    blocks
        Counts and size factors.
    rates
        Fitted rate of every entry at size factor 1, (n_genes, n_cells) per block.
    n_parameters
        Number of parameters behind the rates.
    """
    n_entries = sum(block.c.numel() for block in blocks)
    inflate = n_entries / max(1, n_entries - n_parameters)
    excess, squares = 0.0, 0.0
    for block, rate in zip(blocks, rates, strict=True):
        mu = rate.double() * block.s
        excess = excess + (inflate * (block.c - mu).square() - mu).sum(1)
        squares = squares + mu.square().sum(1)
    pooled = excess.sum() / squares.sum().clamp(min=torch.finfo(squares.dtype).tiny)
    pooled = pooled.clamp(min=_LEAST, max=_MOST)
    known = squares > 0
    own = torch.where(known, excess / squares, pooled).clamp(max=_MOST)
    noise = 0.0
    for block, rate in zip(blocks, rates, strict=True):
        mu = rate.double() * block.s
        variance = mu + pooled * mu.square()
        # a negative binomial has the excess kurtosis 6 φ + 1 / variance
        noise = noise + ((2 + 6 * pooled) * variance.square() + variance).sum(1)
    noise = torch.where(known, noise / squares.square(), torch.inf)
    # precision-weighted variance between genes beyond what noise explains
    trust = 1 / (noise + pooled.square())
    between = (trust * ((own - pooled).square() - noise))[known].sum() / trust[known].sum().clamp(
        min=1e-300
    )
    share = between.clamp(min=0) / (between.clamp(min=0) + noise)
    return (pooled + share * (own - pooled)).clamp(min=_LEAST)
