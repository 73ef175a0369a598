"""Standard deviations at a fit to counts, from the curvature of the likelihood (Laplace).

Half the deviance is minus the log-likelihood, so that a cell (gene) has the precision
Σ a d d' + λ, with a the curvature of an entry and d the weights of a gene (the activities of a
cell). What one of the two leaves open is further noise of the other. Three things are beyond
the curvature at the fit, and are estimated: counts scatter more than the likelihood says; noise
inside the link, as in Eq. 6 of Schuster & Krogh (2021), bounds what a count can say; and the
softness of the link, which a fit takes for given, shifts the weights of a gene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.count_data import CountFit
from grnrep.core.network import Network
from grnrep.core.posterior.count_systems import (
    Block,
    CountSystems,
    curvature_of_counts,
    expected_curvature,
)

_NOISE_CELLS = 4.0  # how many cells the scatter of all genes counts for in that of one gene
_SEEN = 1.0  # expected count from which an entry tells noise inside the link from that of counting
# changes of the logarithm of the softness that are tried
_SOFTER = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True, eq=False)
class CountSpread:
    """What the cells that a decoder was learned from leave open of it.

    Parameters
    ----------
    weight_sd
        Standard error of every edge, ``(n_edges,)``.
    covariance
        Of all weights of a gene, also of known columns, with one another, gene after gene in rows; at the
        softness of the fit.
    scatter
        Variance of a gene's counts as a multiple of that of the likelihood, at least 1, ``(n_genes,)``.
    mean_square
        Of every regulator's activity, ``(n_regulators,)``.
    """

    weight_sd: np.ndarray
    covariance: np.ndarray
    scatter: np.ndarray
    mean_square: np.ndarray


def count_spread(
    counts: np.ndarray, fit: CountFit, network: Network, *, size_factors: np.ndarray | None = None
) -> CountSpread:
    """Standard errors of edges, and what :func:`count_activity_sd` needs to know of a decoder.

    The precision of a gene's weights comes from counts above zero: what zeros say hangs on how the link
    bends, which is a convention. The curvature a of an entry loses the share that the activities
    of its cell take; of the rest, a / (ψ + κ a) counts, with κ the variance of noise inside the link and
    ψ the scatter of the gene. A weight has the prior variance that the weights of its regulator have. To the
    variance comes the square of the step that weights would take with another softness, where that suits
    their gene's counts better.

    Parameters
    ----------
    counts
        Of the cells of ``fit``, (n_cells, n_genes).
    fit
        From :func:`grnrep.core.als.counts.fit_counts`, in any scale.
    network
        Edges, in the order of ``fit.weight``.
    size_factors
        As in the fit.
    """
    at = CountSystems(fit, network)
    sums = _Sums(at)
    for block in at.blocks(counts, size_factors):
        sums.add(block)
    inside, scatter = sums.inside(), sums.scatter()
    said = torch.zeros_like(sums.system)
    for block in at.blocks(counts, size_factors):
        a = curvature_of_counts(at.model, block) * _left(at, block)
        said += at.of_genes(a / (scatter[:, None] + inside * a), block.z)
    column = at.pattern.regulator
    size = torch.zeros(at.full.n_regulators, dtype=torch.float64)
    size.index_add_(0, column, at.weight.square())
    prior = (torch.bincount(column, minlength=len(size)) / size.clamp(min=_TINY))[column]
    covariance, _ = at.inverse(said, prior, sums.pull[:, :0])
    _, steps = at.inverse(sums.system, prior, sums.pull)
    shift = sums.softness_step(steps, scatter).square()
    sd = (at.diagonal(covariance) + shift).sqrt().minimum(prior.rsqrt())
    edges, mean_square = at.full.regulator < at.m, np.square(fit.activity).mean(0)
    return CountSpread(sd.numpy()[edges], covariance.numpy(), scatter.numpy(), mean_square)


def count_activity_sd(
    counts: np.ndarray,
    fit: CountFit,
    network: Network,
    spread: CountSpread,
    *,
    size_factors: np.ndarray | None = None,
) -> np.ndarray:
    r"""Standard deviation of activities that were inferred with a frozen decoder, (n_cells, m).

    The root of the expected squared error of :func:`grnrep.core.als.count_projection.project_counts`,

    .. math:: G_k^{-1} \Bigl(\sum_i a_{ki} (\psi_i + a_{ki} v_{ki}) w_i w_i' + \lambda^2 \tau^2\Bigr)
              G_k^{-1}, \quad G_k = \sum_i a_{ki} w_i w_i' + \lambda,

    with a the curvature of an entry, ψ the scatter of a gene, v = z' C z what its weights leave open of the
    pre-activation, and τ² the mean square activity: shrinkage errs too.

    Parameters
    ----------
    counts
        (n_cells, n_genes).
    fit
        Decoder, and the activities of these cells.
    network
        Edges, in the order of ``fit.weight``.
    spread
        From :func:`count_spread`, of the same decoder.
    size_factors
        Of these cells, relative to the same depth as in the fit; by default totals over ``fit.depth``.
    """
    at = CountSystems(fit, network)
    scatter, covariance = (
        torch.as_tensor(spread.scatter)[:, None],
        torch.as_tensor(spread.covariance),
    )
    wrong = torch.diag(at.ridge.square() * torch.as_tensor(spread.mean_square))
    out = np.empty((len(counts), at.m))
    for block in at.blocks(counts, size_factors):
        a = block.curvature
        noise = at.of_cells(a * (scatter + a * at.from_genes(covariance, block.z))) + wrong
        error = ((block.inverse @ noise) * block.inverse).sum(2)
        out[block.rows] = error.clamp(min=0).sqrt().numpy()
    return out


class _Sums:
    """Sums over cells, of every gene."""

    def __init__(self, at: CountSystems):
        self.at = at
        self.others = [
            replace(at.model, softness=at.model.softness * float(np.exp(by))) for by in _SOFTER
        ]
        self.system = torch.zeros_like(at.product)
        self.pull = at.weight.new_zeros(len(at.weight), len(_SOFTER))
        self.worse = at.weight.new_zeros(at.full.n_genes, len(_SOFTER))
        self.squares, self.weight, self.weight2 = at.weight.new_zeros(3, at.full.n_genes)
        self.excess = self.evidence = 0.0

    def add(self, block: Block) -> None:
        """Add the cells of a block."""
        at, model = self.at, self.at.model
        left = _left(at, block)
        a = block.curvature * left
        self.system += at.of_genes(a, block.z)
        self.squares += block.slope.square().sum(1)
        self.weight += a.sum(1)
        self.weight2 += a.square().sum(1)
        expected, mu = expected_curvature(model, block)
        seen = mu > _SEEN
        self.excess += float((block.slope.square() - expected * left)[seen].sum())
        self.evidence += float(expected[seen].square().sum())
        here = model.deviance(block.counts, block.p).sum(1)
        for k, other in enumerate(self.others):
            slope, _ = other.work(block.counts, block.p)
            self.pull[:, k] += at.pattern.edge_products(slope - block.slope, block.z)
            self.worse[:, k] += (other.deviance(block.counts, block.p).sum(1) - here) / 2

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
        own = (self.squares + pooled * more) / (weight + more).clamp(min=_TINY)
        return torch.where(weight + more > 0, own, pooled).clamp(min=1)

    def softness_step(self, steps: Tensor, scatter: Tensor) -> Tensor:
        """Steps of weights to the softness that suits their gene best, of ``steps`` to each that was tried.

        The logarithm of the softness has the prior N(0, 1) about that of the fit.
        """
        gene = self.at.pattern.gene
        better = torch.zeros_like(self.worse).index_add_(0, gene, steps * self.pull) / 2
        loss = (self.worse - better) / scatter[:, None] + torch.as_tensor(_SOFTER).square() / 2
        least, best = loss.min(1)
        best = torch.where(least < 0, best, len(_SOFTER))[gene]
        return torch.nn.functional.pad(steps, (0, 1)).gather(1, best[:, None])[:, 0]


def _left(at: CountSystems, block: Block) -> Tensor:
    """Share of every entry that the activities of its cell do not follow, (n_genes, n_cells)."""
    return (1 - block.curvature * at.from_cells(block.inverse)).clamp(min=0)
