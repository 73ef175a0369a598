"""Poisson and negative binomial counts.

The mean of a count is s f(p), with the size factor s of the cell and the rate f(p) of the gene.
f is a smooth ReLU, τ log(1 + exp(p / τ)): a rate of zero would make a single stray count
impossible. It is also what noise inside the ReLU of Eq. 6 does to the mean. For Poisson counts
the deviance is convex in p, because log f is concave and f is convex. Zeros are counts like others,
not censored.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from grnrep.core.kernels import FAR, LEAST_EXPONENT, CountGenes
from grnrep.core.likelihoods.base import Block, Likelihood

_SOFTNESS = 0.2  # τ as a share of a mean rate; from 0.05 to 0.4 recovery differs by at most 0.005:
_OWN = 0.5  # of the gene's own to this power, times that of all genes
FLAT = 1e-3  # share of c (f' / f)² that the weight keeps where the deviance is a straight line
_TINY = 1e-6  # mean rate of a gene without counts, as a share of the average gene's
_MOST = 10.0  # dispersion above which a gene says next to nothing, however much above
_LEAST = 1e-3  # dispersion below which float32 cannot tell a negative binomial from a Poisson


def cell_size_factors(counts: np.ndarray, depth: float | None = None) -> tuple[np.ndarray, float]:
    """Total counts of every cell (n_cells, n_genes) as a share of ``depth``, by default the median; and ``depth``.

    A cell without counts is taken for one with a single count.
    """
    totals = np.maximum(counts.sum(1, dtype=np.float64), 1.0)
    depth = (float(np.median(totals)) if len(totals) else 1.0) if depth is None else depth
    return totals / depth, depth


def size_factors_of(
    counts: np.ndarray, given: np.ndarray | None, depth: float | None = None
) -> tuple[Tensor, float]:
    """Size factors, float64, and the depth that they refer to."""
    if given is None:
        s, depth = cell_size_factors(counts, depth)
        return torch.as_tensor(s), depth
    s = np.asarray(given, dtype=np.float64)
    if s.shape != (len(counts),) or not np.all(np.isfinite(s) & (s > 0)):
        raise ValueError(f"size_factors must be {len(counts)} finite numbers above 0, one per cell")
    return torch.as_tensor(s.copy()), float("nan")


def softness_of(mean: Tensor) -> Tensor:
    """τ of every gene by the mean rates, ``(n_genes,)``.

    Noise inside the link softens it. That of rare genes is neither the same as that of others nor in
    proportion to their mean: counts are likelier with the square root of it than with either.
    """
    typical = mean.mean() if bool((mean > 0).any()) else torch.ones_like(mean.mean())
    return _SOFTNESS * typical * (mean / typical).clamp(min=_TINY) ** _OWN


@dataclass(frozen=True)
class Counts(Likelihood):
    """Counts with the mean s f(p), of any variance.

    Parameters
    ----------
    mean
        Mean count at size factor 1 of every gene, (n_genes, 1).
    softness
        τ of every gene, (n_genes, 1).
    typical_size
        Size factor of a typical cell.
    """

    mean: Tensor
    softness: Tensor
    typical_size: float = 1.0

    first: ClassVar[str] = "tobit"
    has_sizes: ClassVar[bool] = True
    values: ClassVar[str] = "counts"
    zeros_are_values: ClassVar[bool] = False

    @classmethod
    def of(cls, x: Tensor, size: Tensor | None) -> Self:
        """Rates and softness by the mean counts."""
        counts = x.sum(1, keepdim=True, dtype=torch.float64)
        if size is None:
            size = torch.ones(max(1, x.shape[1]), dtype=torch.float64)
        rate = counts / float(size.sum())
        return cls(rate, softness_of(rate), typical_size=float(size.mean()))

    @property
    @abstractmethod
    def excess(self) -> Tensor | None:
        """φ of the variance μ + φ μ², (n_genes, 1); None where it is μ."""

    def block(self, x: Tensor, size: Tensor | None = None, without: Tensor | None = None) -> Block:
        """Counts with the logarithm that their loss has in any case."""
        size = x.new_ones(x.shape[1]) if size is None else size.to(x)
        return Block(x, size=size, log_x=x.clamp(min=1).log())

    def expected(self, p: Tensor) -> Tensor:
        """f(p)."""
        return softplus(p / self.softness) * self.softness

    def loss(self, block: Block, p: Tensor) -> Tensor:
        """Deviance: twice the log-likelihood ratio of a perfect prediction to s f(p)."""
        (c, size, log_c), u = block.counted(), p / self.softness
        soft = softplus(u.clamp(min=LEAST_EXPONENT))
        # log μ; f is exp far below zero, where softplus rounds to nothing
        log_mu = torch.where(u < -FAR, u, soft.clamp(min=1e-30).log()) + (
            self.softness.log() + size.log()
        )
        mu = soft * self.softness * size
        ratio = c * (log_c - log_mu)  # c log(c / μ)
        if self.excess is None:
            return 2 * (ratio - c + mu)
        phi = self.excess
        return 2 * (ratio - (c + 1 / phi) * ((1 + phi * c) / (1 + phi * mu)).log())

    def link(self, block: Block, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ratios f' / f and f'' / f, and the expected count μ, of every entry, (n_genes, n_cells) each."""
        u = p / self.softness
        seen = u.clamp(min=LEAST_EXPONENT)
        soft, up = softplus(seen), seen.sigmoid()
        slope = torch.where(u < -FAR, 1.0, up / soft.clamp(min=1e-30)) / self.softness
        bend = slope * (1 - up) / self.softness
        return slope, bend, soft * self.softness * block.counted()[1]

    def work(self, block: Block, p: Tensor) -> tuple[Tensor, Tensor]:
        """Minus half the slope of the deviance, and a positive weight.

        The weight is half the curvature of the Poisson deviance, over 1 + φμ. Both terms of it
        are positive. Where a count lies far below zero it vanishes, but the slope does not; a
        small share of the weight that log f would have as a straight line keeps the step finite.
        """
        c, (slope, bend, mu) = block.x, self.link(block, p)
        square = slope.square()
        r = (c - mu) * slope
        weight = mu * bend + c * ((square - bend).clamp(min=0) + FLAT * square)
        if self.excess is None:
            return r, weight
        damp = 1 / (1 + self.excess * mu)
        return r * damp, weight * damp

    def bend(self, block: Block, p: Tensor) -> Tensor:
        """Half the second derivative of the deviance, and the small share of the weight.

        With overdispersion it is below zero where a count is far below its mean.
        """
        if self.excess is None:
            return self.work(block, p)[1]
        c, (slope, bend, mu) = block.x, self.link(block, p)
        square, damp = slope.square(), 1 / (1 + self.excess * mu)
        of_slope = c + self.excess * mu * (2 * c - mu)
        return damp * (bend * (mu - c) + square * (of_slope * damp + FLAT * c))

    def compiled(self) -> CountGenes | None:
        """Softness, and dispersion."""
        phi = torch.zeros_like(self.softness) if self.excess is None else self.excess
        return CountGenes(self.softness[:, 0].numpy(), phi[:, 0].numpy())

    def curvature(self, size: Tensor | None = None) -> Tensor:
        """s² over the variance μ + φ μ² of counts at the mean μ of their gene, s times its rate."""
        typical = self.mean.mean()
        lowest = _TINY * typical if bool((self.mean > 0).any()) else torch.ones_like(typical)
        mean = torch.maximum(self.mean, lowest)
        s = self.typical_size if size is None else size.to(mean)
        return s / (mean if self.excess is None else mean * (1 + self.excess * mean * s))

    def working(self, block: Block) -> Tensor:
        """Rates c / s."""
        c, size, _ = block.counted()
        return c / size


@dataclass(frozen=True)
class Poisson(Counts):
    """Counts whose variance is their mean."""

    name: ClassVar[str] = "poisson"

    @property
    def excess(self) -> None:
        """There is none."""
        return None


@dataclass(frozen=True)
class NegativeBinomial(Counts):
    """Counts with the variance μ + φ μ².

    Parameters
    ----------
    dispersion
        φ of every gene, (n_genes, 1); None before it has been estimated, from residuals of a short
        Poisson fit.
    """

    dispersion: Tensor | None = None

    name: ClassVar[str] = "nb"
    warm_up: ClassVar[int] = 5

    @property
    def excess(self) -> Tensor | None:
        """The dispersion."""
        return self.dispersion

    def updated(self, blocks: list[Block], p: list[Tensor], *, n_parameters: int) -> Self:
        """With the dispersion that the residuals leave."""
        rates = [self.expected(part) for part in p]
        phi = shrunk_dispersion(blocks, rates, n_parameters=n_parameters)
        return replace(self, dispersion=phi[:, None].to(self.mean))


def shrunk_dispersion(blocks: list[Block], rates: list[Tensor], *, n_parameters: int) -> Tensor:
    """φ of the variance μ + φ μ², ``(n_genes,)`` float64.

    By moments φ = Σ ((c - μ)² - μ) / Σ μ² over the cells of a gene, the squares corrected for
    the parameters that μ was fitted with. Each gene's value is then drawn towards the pooled
    one by the share of the spread between genes that its own uncertainty accounts for. ``rates`` are those
    fitted at size factor 1, (n_genes, n_cells) of every block, with ``n_parameters`` behind them.
    """
    n_entries = sum(block.x.numel() for block in blocks)
    inflate = n_entries / max(1, n_entries - n_parameters)
    excess, squares, noise = rates[0].new_zeros(3, len(rates[0]), dtype=torch.float64)
    for block, rate in zip(blocks, rates, strict=True):
        c, size, _ = block.counted()
        mu = rate.double() * size
        excess += (inflate * (c - mu).square() - mu).sum(1)
        squares += mu.square().sum(1)
    pooled = excess.sum() / squares.sum().clamp(min=torch.finfo(squares.dtype).tiny)
    pooled = pooled.clamp(min=_LEAST, max=_MOST)
    seen = squares > 0
    of_gene = torch.where(seen, excess / squares, pooled).clamp(max=_MOST)
    for block, rate in zip(blocks, rates, strict=True):
        mu = rate.double() * block.counted()[1]
        variance = mu + pooled * mu.square()
        # a negative binomial has the excess kurtosis 6 φ + 1 / variance
        noise += ((2 + 6 * pooled) * variance.square() + variance).sum(1)
    noise = torch.where(seen, noise / squares.square(), torch.inf)
    # precision-weighted variance between genes beyond what noise explains
    trust = 1 / (noise + pooled.square())
    beyond = (trust * ((of_gene - pooled).square() - noise))[seen].sum()
    between = (beyond / trust[seen].sum().clamp(min=1e-300)).clamp(min=0)
    share = between / (between + noise)
    return (pooled + share * (of_gene - pooled)).clamp(min=_LEAST)
