"""Standard deviations at a fitted decoder, from the curvature of the likelihood (Laplace): one for all of them.

Quick, and right where the data determine the decoder; where they leave it open, at low load,
:func:`grnrep.core.posterior.sample.sample_posterior` says more. What that, or the curvature itself
(:mod:`grnrep.core.posterior.spread`), finds of a decoder is what :func:`activity_sd` needs for any cells.

Under the ReLU the noise of Eq. 6 (Schuster & Krogh 2021) is inside the ReLU: a zero has
the probability Φ(-p/σ) and the curvature of its logarithm (Tobin 1958, Econometrica 26:24).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from grnrep.core.als.genes import GeneSolver, append, take
from grnrep.core.design import full_network, known_columns, prior_precision
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.base import Block
from grnrep.core.likelihoods.counts import size_factors_of
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network

_ENTRIES = 2**22  # of the systems, and of expression, of cells that are looked at at once
_DAMPING = 1e-10  # of a cell's system, as a share of its mean diagonal
_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True, eq=False)
class Spread:
    """What the cells that a decoder was learned from leave open of it.

    Parameters
    ----------
    weight_sd
        Standard deviation of every edge, ``(n_edges,)``.
    scatter
        Variance of a gene's expression as a multiple of what the likelihood takes it for, ``(n_genes,)``: the
        noise variance under squared error, or 1 where the likelihood has the noise of every gene.
    mean_square
        Of every regulator's activity, ``(n_regulators,)``.
    covariance
        Of all weights of a gene, also of known columns, with one another, gene after gene in rows; None where only
        ``weight_sd`` is known.
    share_variance
        Variance of the share that activities have of every free factor, (n_factors, n_regulators): it is the same
        share in all cells. None where there are no factors.
    """

    weight_sd: np.ndarray
    scatter: np.ndarray
    mean_square: np.ndarray
    covariance: np.ndarray | None = None
    share_variance: np.ndarray | None = None


def activity_sd(
    x: np.ndarray,
    fit: Fit,
    network: Network,
    spread: Spread,
    *,
    size_factors: np.ndarray | None = None,
) -> np.ndarray:
    r"""Standard deviation of activities that were inferred with a frozen decoder, (n_cells, m).

    The root of the expected squared error of :func:`grnrep.core.als.project.project`,

    .. math:: G_k^{-1} \Bigl(\sum_i a_{ki} (\psi_i + a_{ki} v_{ki}) w_i w_i' + \lambda^2 \tau^2\Bigr)
              G_k^{-1}, \quad G_k = \sum_i a_{ki} w_i w_i' + \lambda,

    with a the curvature of an entry, ψ the scatter of a gene, v = z' C z what its weights leave open of the
    pre-activation, and τ² the mean square activity: shrinkage errs too. Under squared error, with a = 1 and v = 0,
    and where λ = σ²/τ², it is Laplace's σ² G⁻¹. Where the priors of a fit were learned, λ is the matrix
    :func:`grnrep.core.design.prior_precision`, τ² the covariance of activities, and w has the loadings of free
    factors too.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    fit
        Decoder, and the activities and covariates of these cells.
    network
        Edges, in the order of ``fit.weight``.
    spread
        Of the same decoder.
    size_factors
        Of these cells, relative to the same depth as in the fit; by default totals over ``fit.depth``.
    """
    at = Systems(fit, network)
    scatter = torch.as_tensor(spread.scatter, dtype=torch.float64)[:, None]
    mean_square = torch.as_tensor(spread.mean_square, dtype=torch.float64)
    second = torch.diag(pad(mean_square, (0, fit.n_factors), value=1.0))
    if fit.covariance is not None:
        second[: len(mean_square), : len(mean_square)] = torch.as_tensor(fit.covariance)
    wrong = at.prior @ second @ at.prior
    out = np.empty((len(x), at.n_regulators))
    for part in at.cells(x, size_factors, scatter):
        a = part.curvature
        if spread.covariance is None:
            variance = torch.zeros_like(at.weight)
            variance[at.free] = torch.as_tensor(spread.weight_sd, dtype=torch.float64).square()
            left_open = at.pattern.matmul(variance, part.z.square())
        else:
            left_open = at.from_genes(torch.as_tensor(spread.covariance), part.z)
        noise = at.of_cells(a * (scatter + a * left_open)) + wrong
        error = ((part.inverse @ noise) * part.inverse).sum(2)[:, : at.n_regulators]
        if spread.share_variance is not None:
            factors = part.z[at.n_regulators : at.m].mT
            error = error + factors.square() @ torch.as_tensor(spread.share_variance)
        out[part.rows] = error.clamp(min=0).sqrt().numpy()
    return out


class CellPart(NamedTuple):
    """Some cells.

    Which they are, their expression, representations z (m + q, n_cells), pre-activations p, and of every entry
    minus half the slope and half the curvature of the loss, (n_genes, n_cells); and the inverse of
    every cell's system, (n_cells, m, m).
    """

    rows: slice
    block: Block
    z: Tensor
    p: Tensor
    slope: Tensor
    curvature: Tensor
    inverse: Tensor


class Systems:
    """A decoder with the products of its weights, ready for the systems of any cells, whole. All in float64.

    A step of the solver does without systems of cells; an inverse needs them whole: cells in blocks and genes in
    batches, of bounded memory.

    Parameters
    ----------
    fit
        Decoder, and the activities of the cells in question.
    network
        Edges, in the order of ``fit.weight``.
    """

    def __init__(self, fit: Fit, network: Network):
        self.fit, self.likelihood = fit, fit.likelihood
        self.n_regulators, self.m = network.n_regulators, network.n_regulators + fit.n_factors
        self.full, weight = full_network(network, fit)
        self.weight, self.pattern = torch.as_tensor(weight), Pattern(self.full)
        self.free = torch.as_tensor(self.full.regulator < self.n_regulators)
        self.pairs, self.product = _pairs(self.full, self.weight)
        self.prior = prior_precision(fit, network)
        self.genes = GeneSolver(self.full, shared=False)

    def cells(
        self, x: np.ndarray, size_factors: np.ndarray | None, scatter: Tensor | None = None
    ) -> Iterator[CellPart]:
        """The cells of the fit, (n_cells, n_genes), some at a time; ``scatter`` (n_genes, 1) is 1 by default."""
        fit, s = self.fit, None
        if self.likelihood.has_sizes:
            s, _ = size_factors_of(x, size_factors, fit.depth)
        known = known_columns(len(x), intercept=fit.bias is not None, covariates=fit.covariates)
        columns = np.concatenate([fit.representation(), known], axis=1)
        scatter = torch.ones(1, 1, dtype=torch.float64) if scatter is None else scatter
        n = max(1, _ENTRIES // max(1, self.full.n_regulators**2, self.full.n_genes))
        for start in range(0, len(x), n):
            rows = slice(start, start + n)
            z = torch.as_tensor(columns[rows], dtype=torch.float64).mT.contiguous()
            values = torch.as_tensor(np.ascontiguousarray(x[rows]), dtype=torch.float64)
            block = self.likelihood.block(values.mT.contiguous(), None if s is None else s[rows])
            p = self.pattern.matmul(self.weight, z)
            slope, _ = self.likelihood.work(block, p)
            curvature = self.likelihood.information(block, p, scatter) / fit.inflation
            system = self.of_cells(curvature) + self.prior
            size = system.diagonal(dim1=1, dim2=2).mean(1, keepdim=True)
            system.diagonal(dim1=1, dim2=2).add_((size * _DAMPING).clamp(min=_TINY))
            yield CellPart(rows, block, z, p, slope, curvature, _inverse(system))

    def of_cells(self, values: Tensor) -> Tensor:
        """Σ values w w' over the genes, of every cell, (n_cells, m, m)."""
        size = self.full.n_regulators
        both = self.pairs.matmul_t(self.product, values.contiguous()).mT
        return both.reshape(-1, size, size)[:, : self.m, : self.m]

    def of_genes(self, values: Tensor, z: Tensor) -> Tensor:
        """Σ values z z' over the cells, of every gene at its own columns, in rows, ``(n_pairs,)``."""
        return self.genes.systems(z, values)

    def from_cells(self, covariance: Tensor) -> Tensor:
        """Variance w' C w of every entry, (n_genes, n_cells), by a covariance of every cell."""
        known = self.full.n_regulators - self.m
        wide = pad(covariance, (0, known, 0, known)).reshape(len(covariance), -1)
        return self.pairs.matmul(self.product, wide.mT.contiguous())

    def from_genes(self, covariance: Tensor, z: Tensor) -> Tensor:
        """Variance z' C z of every entry, (n_genes, n_cells), by a covariance of every gene."""
        return self.pairs.matmul(covariance, _squares(z))

    def inverse(self, values: Tensor, prior: Tensor, on: Tensor) -> tuple[Tensor, Tensor]:
        """Of every gene's ``values`` of pairs plus ``prior`` of edges; and what it makes of ``on``."""
        on = torch.cat([on, on.new_zeros(1, on.shape[1])])
        inverse, product = values.new_zeros(len(values) + 1), torch.zeros_like(on)
        values, prior = append(values, 0.0), append(prior, 1.0)
        for _, edge, _, pair in self.genes.groups:
            system = take(values, pair)
            system.diagonal(dim1=1, dim2=2).add_(take(prior, edge))
            found = _inverse(system)
            inverse[pair.reshape(-1)] = found.reshape(-1)
            product[edge.reshape(-1)] = (found @ on[edge]).flatten(0, 1)
        return inverse[:-1], product[:-1]

    def diagonal(self, values: Tensor) -> Tensor:
        """Values of the pairs of every edge with itself, ``(n_edges,)``."""
        gene, degree = self.full.gene, self.full.regulators_per_gene()
        slot = np.arange(self.full.n_edges) - self.full.indptr[gene]
        return values[torch.as_tensor(self.genes.first_pair[gene] + slot * (degree[gene] + 1))]


def _squares(z: Tensor) -> Tensor:
    """All products of two rows, (rows², n_cells)."""
    return (z[:, None] * z[None]).reshape(-1, z.shape[1])


def _inverse(system: Tensor) -> Tensor:
    return torch.cholesky_inverse(torch.linalg.cholesky(system))


def _pairs(network: Network, weight: Tensor) -> tuple[Pattern, Tensor]:
    """All products w_ia w_ib: a pattern (n_genes, m²) and its values; it sums Gram matrices over genes."""
    degree = network.regulators_per_gene()
    n_pairs = degree[network.gene]  # per edge: as many as its gene has regulators
    first = np.repeat(np.arange(network.n_edges), n_pairs)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    second = network.indptr[network.gene[first]] + offset
    m = network.n_regulators
    entry = network.regulator[first] * m + network.regulator[second]
    both = Network.from_edges(
        network.gene[first], entry, np.zeros(len(first)), network.n_genes, m * m
    )
    return Pattern(both), weight[first] * weight[second]
