"""What the cells that a decoder was learned from leave open of it, from the curvature of the likelihood (Laplace).

Half the loss is minus the log-likelihood, so that a cell (gene) has the precision
Σ a d d' + λ, with a the curvature of an entry and d the weights of a gene (the activities of a
cell). What one of the two leaves open is further noise of the other. Of counts, three things are beyond
the curvature at the fit, and are estimated: counts scatter more than the likelihood says; noise
inside the link, as in Eq. 6 of Schuster & Krogh (2021), bounds what a count can say; and the
softness of the link, which a fit takes for given, shifts the weights of a gene.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.counts import Counts
from grnrep.core.network import Network
from grnrep.core.posterior.laplace import CellPart, Spread, Systems

_NOISE_CELLS = 4.0  # how many cells the scatter of all genes counts for in that of one gene
_SEEN = 1.0  # expected count from which an entry tells noise inside the link from that of counting
# changes of the logarithm of the softness that are tried
_SOFTER = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
_TINY = torch.finfo(torch.float64).tiny


def curvature_spread(
    x: np.ndarray, fit: Fit, network: Network, *, size_factors: np.ndarray | None = None
) -> Spread:
    """Standard errors of edges, and what :func:`grnrep.core.posterior.laplace.activity_sd` needs of a decoder.

    The curvature a of an entry loses the share that the activities of its cell take. A weight has the prior
    variance that the weights of its regulator have.

    The precision of the weights of counts comes from counts above zero: what zeros say hangs on how the link
    bends, which is a convention. Of their curvature, a / (ψ + κ a) counts, with κ the variance of noise inside the
    link and ψ the scatter of the gene. To the variance comes the square of the step that weights would take with
    another softness, where that suits their gene's counts better.

    Parameters
    ----------
    x
        Expression of the cells of ``fit``, (n_cells, n_genes).
    fit
        From :func:`grnrep.core.als.fit.fit_decoder`, in any scale.
    network
        Edges, in the order of ``fit.weight``.
    size_factors
        As in the fit.
    """
    at = Systems(fit, network)
    column, model = at.pattern.regulator, at.likelihood
    size = torch.zeros(at.full.n_regulators, dtype=torch.float64)
    size.index_add_(0, column, at.weight.square())
    prior = (torch.bincount(column, minlength=len(size)) / size.clamp(min=_TINY))[column]
    scatter, inside = torch.ones(at.full.n_genes, dtype=torch.float64), 0.0
    shift = torch.zeros_like(prior)  # what softness leaves open of the variance
    if isinstance(model, Counts):
        sums = _CountSums(at, model)
        for part in at.cells(x, size_factors):
            sums.add(part)
        scatter, inside = sums.scatter(), sums.inside()
        _, steps = at.inverse(sums.system, prior, sums.pull)
        shift = sums.softness_step(steps, scatter).square()
    precision = torch.zeros_like(at.product)  # of the weights of every gene
    for part in at.cells(x, size_factors):
        a = part.curvature
        if isinstance(model, Counts):
            a = _curvature_above_zero(model, part)
        a = a * _left(at, part)
        precision += at.of_genes(a / (scatter[:, None] + inside * a), part.z)
    covariance, _ = at.inverse(precision, prior, prior.new_zeros(len(prior), 0))
    sd = (at.diagonal(covariance) + shift).sqrt().minimum(prior.rsqrt())
    mean_square = np.square(fit.activity).mean(0)
    return Spread(sd[at.free].numpy(), scatter.numpy(), mean_square, covariance.numpy())


class _CountSums:
    """Sums over cells, of every gene."""

    def __init__(self, at: Systems, model: Counts):
        self.at, self.model = at, model
        self.others = [
            replace(model, softness=model.softness * float(np.exp(by))) for by in _SOFTER
        ]
        self.system = torch.zeros_like(at.product)
        self.pull = at.weight.new_zeros(len(at.weight), len(_SOFTER))
        self.worse = at.weight.new_zeros(at.full.n_genes, len(_SOFTER))
        self.squares, self.weight, self.weight2 = at.weight.new_zeros(3, at.full.n_genes)
        self.excess = self.evidence = 0.0

    def add(self, part: CellPart) -> None:
        """Add some cells."""
        at, block, p = self.at, part.block, part.p
        left = _left(at, part)
        a = part.curvature * left
        self.system += at.of_genes(a, part.z)
        self.squares += part.slope.square().sum(1)
        self.weight += a.sum(1)
        self.weight2 += a.square().sum(1)
        expected, mu = _expected_curvature(self.model, part)
        seen = mu > _SEEN
        self.excess += float((part.slope.square() - expected * left)[seen].sum())
        self.evidence += float(expected[seen].square().sum())
        loss = self.model.loss(block, p).sum(1)
        for k, other in enumerate(self.others):
            slope, _ = other.work(block, p)
            self.pull[:, k] += at.pattern.edge_products(slope - part.slope, part.z)
            self.worse[:, k] += (other.loss(block, p).sum(1) - loss) / 2

    def inside(self) -> float:
        """Variance of noise inside the link: what slopes vary beyond their information, over its square."""
        return max(0.0, self.excess / self.evidence) if self.evidence > 0 else 0.0

    def scatter(self) -> Tensor:
        """Squared slopes by their curvature, less the degrees of freedom that activities and weights take."""
        degree = torch.as_tensor(self.at.full.regulators_per_gene())
        # that the curvature is spread over
        cells = self.weight.square() / self.weight2.clamp(min=_TINY)
        weight = self.weight * (1 - degree / cells.clamp(min=1)).clamp(min=0)
        pooled = self.squares.sum() / weight.sum().clamp(min=_TINY)
        more = _NOISE_CELLS * self.weight / cells.clamp(min=1)
        of_gene = (self.squares + pooled * more) / (weight + more).clamp(min=_TINY)
        return torch.where(weight + more > 0, of_gene, pooled).clamp(min=1)

    def softness_step(self, steps: Tensor, scatter: Tensor) -> Tensor:
        """Steps of weights to the softness that suits their gene best, of ``steps`` to each that was tried.

        The logarithm of the softness has the prior N(0, 1) about that of the fit.
        """
        gene = self.at.pattern.gene
        better = torch.zeros_like(self.worse).index_add_(0, gene, steps * self.pull) / 2
        loss = (self.worse - better) / scatter[:, None] + torch.as_tensor(_SOFTER).square() / 2
        least, best = loss.min(1)
        best = torch.where(least < 0, best, len(_SOFTER))[gene]
        return pad(steps, (0, 1)).gather(1, best[:, None])[:, 0]


def _left(at: Systems, part: CellPart) -> Tensor:
    """Share of every entry that the activities of its cell do not follow, (n_genes, n_cells)."""
    return (1 - part.curvature * at.from_cells(part.inverse)).clamp(min=0)


def _expected_curvature(model: Counts, part: CellPart) -> tuple[Tensor, Tensor]:
    """Fisher information μ (f' / f)² / (1 + φ μ), and the expected count, of every entry."""
    slope, _, mu = model.link(part.block, part.p)
    information = mu * slope.square()
    if model.excess is not None:
        information = information / (1 + model.excess * mu)
    return information, mu


def _curvature_above_zero(model: Counts, part: CellPart) -> Tensor:
    """The part of the curvature that comes from counts above zero, -c (log f)''."""
    slope, bend, mu = model.link(part.block, part.p)
    above = part.block.x * (slope.square() - bend).clamp(min=0)
    return above if model.excess is None else above / (1 + model.excess * mu)
