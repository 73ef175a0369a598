"""Regressions of genes, each on activities that were inferred without it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from grnrep.core.normal_tail import below_and_above

# degrees of freedom that the fit's noise counts for beside squared residuals (after Smyth 2004)
_MODERATION = 10.0
_JITTER = 1e-9  # of the diagonal, against collinear regulators
# share of an activity beyond the gene's own regulators, below which it is rounding
_EXPLAINED = 1e-6
_MAX_STEPS = 8  # of Newton's method
# that a step must promise, of twice the log likelihood: a tenth of a standard error
_MIN_GAIN = 0.01
_LEAST_SQUARE = 1e-3  # added to squared residuals, by their mean, of which logarithms are taken
# standard deviations of its prediction beyond which a gene's noise is taken for the same
_FAR = 3.0
_MOST_OWN = 0.99  # share of a gene's noise that its activities have taken up, at most
_TINY = 1e-12


class Genes(NamedTuple):
    """Some genes, each in units of its noise.

    Parameters
    ----------
    own
        Their own regulators, as they are inferred without the gene, (genes, d, cells); zeros in padded slots.
    y
        Expression, (genes, cells).
    seen
        What is not censored, (genes, cells) bool.
    n_own
        Number of their own regulators, ``(genes,)``.
    variance
        Of expression about its prediction, (genes, cells): noise, and what is not known of activities.
    pull, share
        What a gene had done to representations: ``pull`` (genes, m) times ``share`` (genes, cells).
    """

    own: Tensor
    y: Tensor
    seen: Tensor
    n_own: Tensor
    variance: Tensor
    pull: Tensor
    share: Tensor

    @classmethod
    def without_own_part(
        cls,
        own: Tensor,
        y: Tensor,
        seen: Tensor,
        n_own: Tensor,
        weight: Tensor,
        column: Tensor,
        sigma: Tensor,
    ) -> Genes:
        """Take from representations what the gene itself said of them.

        ``weight`` and ``column`` are of the gene's edges, (genes, d), and ``sigma`` is the posterior covariance Σ of
        representations. Without a gene their precision is Σ⁻¹ - D w w', D being 1 of a value that is seen and the
        curvature of log Φ at a zero. So z is z̄ - Σ w r / (1 - D h), with h = w'Σ w and the residual r of z̄
        (Sherman & Morrison 1950).
        """
        m = len(sigma)
        decoder = weight.new_zeros(len(y), m + 1)
        decoder.scatter_add_(1, column.clamp(max=m), torch.where(column < m, weight, 0.0))
        pull = decoder[:, :m] @ sigma
        h = (pull * decoder[:, :m]).sum(1).clamp(max=_MOST_OWN)
        r, curvature, _ = slope(y, _prediction(weight, own), seen, torch.ones_like(y))
        share = r / (1 - curvature * h[:, None])
        pull_own = torch.where(column < m, pull.gather(1, column.clamp(max=m - 1)), 0.0)
        own = own - pull_own[:, :, None] * share[:, None, :]
        return cls(own, y, seen, n_own, (1 / (1 - h))[:, None].expand_as(y), pull, share)

    def of(self, which: Tensor) -> Genes:
        """Some of them."""
        return self if len(which) == len(self.y) else Genes(*(a[which] for a in self))


def with_growth(batch: Genes, weight: Tensor) -> Genes:
    """Variances that grow or fall with the prediction, as the logarithms of squared residuals do at these weights.

    log r² = const + γ p, over the values that are seen, with p in standard deviations; γ is drawn to 0 as far as chance
    alone makes it. Of normal noise log r² has the variance π² / 2, whatever its size, and outliers count for little.
    """
    p = _prediction(weight, batch.own)
    r, n = batch.y - p, batch.seen.sum(1, keepdim=True).clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return torch.where(batch.seen, values, 0.0).sum(1, keepdim=True) / n

    centred = p - mean(p)
    standard = centred / mean(centred.square()).sqrt().clamp(min=_TINY)
    size = mean(r.square()).clamp(min=_TINY)
    log = (r.square() / size + _LEAST_SQUARE).log()
    growth = mean(standard * (log - mean(log)))
    chance = torch.pi**2 / 2 / n
    growth = growth * (1 - chance / growth.square().clamp(min=_TINY)).clamp(min=0)
    relative = (growth * standard.clamp(-_FAR, _FAR)).exp()
    return batch._replace(variance=batch.variance * relative / mean(relative))


def refine(batch: Genes, weight: Tensor, ridge: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Best weights (genes, d) of every gene, by Newton's method; slopes and curvatures of its values there.

    The likelihood has one optimum: its logarithm is concave. A step that would lower it is not taken, and the next
    one of the gene is a quarter of it.
    """

    def at(part: Genes, w: Tensor, lam: Tensor) -> list[Tensor]:
        """Weights, slopes, curvatures and losses."""
        r, curvature, loss = slope(part.y, _prediction(w, part.own), part.seen, part.variance)
        return [w, r, curvature, loss + (lam * w * w).sum(1)]

    state, length = at(batch, weight.clone(), ridge), weight.new_ones(len(weight))
    todo = torch.arange(len(weight))  # genes that are not at their optimum
    for _ in range(_MAX_STEPS):
        part, lam, (w, r, curvature, loss) = batch.of(todo), ridge[todo], (a[todo] for a in state)
        # half the Hessian, Σ D z z' + λ; minus half the gradient, Σ r z - λ w
        system = torch.bmm(part.own * curvature[:, None, :], part.own.mT)
        system.diagonal(dim1=1, dim2=2).add_(lam)
        downhill = torch.bmm(part.own, r[:, :, None])[:, :, 0] - lam * w
        step = torch.linalg.solve(system, downhill)
        more = (downhill * step).sum(1) > _MIN_GAIN
        if not bool(more.any()):
            break
        todo = todo[more]
        following = at(batch.of(todo), w[more] + length[todo, None] * step[more], lam[more])
        lower = following[-1] <= loss[more]
        length[todo] = torch.where(lower, (2 * length[todo]).clamp(max=1), length[todo] / 4)
        for old, new in zip(state, following, strict=True):
            old[todo[lower]] = new[lower]
    return state[0], state[1], state[2]


def steps_and_variances(
    batch: Genes, r: Tensor, curvature: Tensor, z: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """One step from 0 and its variance of any regulator, (genes, m) each, and variances of own weights, (genes, d).

    With D the curvatures and r the slopes, A = Σ D z z' of own regulators. Another regulator's activity z_j is
    taken beyond these, e = z_j - z'A⁻¹ Σ D z z_j: the step is Σ r z_j / Σ D e², its variance Σ r² e² / (Σ D e²)².
    That of own weights is the diagonal of A⁻¹ (Σ r² z z') A⁻¹ (White 1980).
    """
    own, share, pull = batch.own, batch.share, batch.pull[:, : len(z)]
    square = r.square()

    def products(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Σ v z z' of own regulators, Σ v z z_j of own and others, Σ v z_j² of others; all without the gene."""
        weighted = own * values[:, None, :]
        moved = values * share
        cross = (weighted.flatten(0, 1) @ z.mT).view(*own.shape[:2], -1)
        cross -= torch.bmm(weighted, share[:, :, None]) * pull[:, None, :]
        whole = values @ z.square().mT - 2 * pull * (moved @ z.mT)
        whole += pull.square() * (moved * share).sum(1, keepdim=True)
        return torch.bmm(weighted, own.mT), cross, whole

    system, cross, whole = products(curvature)
    # columns of zeros, and padded slots, get a 1
    diagonal = system.diagonal(dim1=1, dim2=2)
    diagonal.add_(torch.where(diagonal > 0, _JITTER * diagonal, 1.0))
    inverse = torch.linalg.inv(system)
    on_own = inverse @ cross
    beyond = whole - (cross * on_own).sum(1)
    noise, noise_cross, noise_whole = products(square)
    of_step = noise_whole + (on_own * (noise @ on_own - 2 * noise_cross)).sum(1)
    of_own = (inverse @ noise @ inverse).diagonal(dim1=1, dim2=2)

    def moderated(squares: Tensor, information: Tensor) -> Tensor:
        """Squares, as of n - d cells, and what the noise of the fit would make them, as of some more."""
        n = (curvature * batch.variance).sum(1, keepdim=True)  # a zero counts for what it says
        dof = (n - batch.n_own[:, None]).clamp(min=1)
        return (n * squares + _MODERATION * information) / (dof + _MODERATION)

    known = beyond > _EXPLAINED * whole
    score = r @ z.mT - pull * (r * share).sum(1, keepdim=True)
    score -= (on_own * torch.bmm(own, r[:, :, None])).sum(1)  # 0 at the optimum
    step = torch.where(known, score / beyond, 0.0)
    of_step = torch.where(known, moderated(of_step, beyond) / beyond.square(), torch.nan)
    return (step, of_step), moderated(of_own, inverse.diagonal(dim1=1, dim2=2))


def _prediction(weight: Tensor, own: Tensor) -> Tensor:
    """Pre-activations (genes, cells) of weights (genes, d) and activities (genes, d, cells)."""
    return torch.bmm(weight[:, None, :], own)[:, 0]


def slope(y: Tensor, p: Tensor, seen: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slope and curvature of the log likelihood of every value by p, (genes, cells), and -2 of it, ``(genes,)``.

    Of y ~ N(p, v), a zero if that is negative: (y - p) / v and 1 / v, or -h(u) / √v and h(u) (h(u) - u) / v with
    u = p / √v and h(u) = φ(u) / Φ(-u). The curvature is that of minus the log likelihood.
    """
    r, curvature = (y - p) / variance, 1 / variance
    loss = r * (y - p)
    if not bool(seen.all()):
        sd = variance[~seen].sqrt()
        u = p[~seen] / sd
        below, h = below_and_above(u)
        r[~seen], curvature[~seen] = -h / sd, (h * (h - u)).clamp(0, 1) / sd.square()
        loss[~seen] = -2 * below
    return r, curvature, loss.sum(1)
