"""Systems of all cells and of all genes at a fit to counts, where every entry has a weight of its own.

A step of the solver does without them; an inverse needs them whole: cells in blocks and genes in
batches, of bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.count_data import CountFit, size_factors_of
from grnrep.core.als.genes import _append, _similar, _take
from grnrep.core.decoder import Pattern
from grnrep.core.design import full_network, known_columns
from grnrep.core.likelihoods.counts import Counted, CountModel
from grnrep.core.network import Network
from grnrep.core.posterior.laplace import _pairs

_ENTRIES = 2**22  # of the systems, and of the counts, of a block of cells
_TINY = torch.finfo(torch.float64).tiny


class Block(NamedTuple):
    """Some cells.

    Which they are, their counts, representations z (m + q, n_cells), pre-activations p, and of every entry
    minus half the slope and half the curvature of the deviance, (n_genes, n_cells); and the inverse of
    every cell's system, (n_cells, m, m).
    """

    rows: slice
    counts: Counted
    z: Tensor
    p: Tensor
    slope: Tensor
    curvature: Tensor
    inverse: Tensor


class CountSystems:
    """A decoder with the products of its weights, ready for the systems of any cells. All in float64.

    Parameters
    ----------
    fit
        Decoder, and the activities of the cells in question.
    network
        Edges, in the order of ``fit.weight``.
    """

    def __init__(self, fit: CountFit, network: Network):
        self.fit, self.m = fit, network.n_regulators
        self.full, weight = full_network(network, fit)
        self.weight, self.pattern = torch.as_tensor(weight), Pattern(self.full)
        self.pairs, self.product = _pairs(self.full, self.weight)
        phi = (
            None if fit.dispersion is None else torch.as_tensor(fit.dispersion, dtype=torch.float64)
        )
        mean, softness = (torch.as_tensor(a, dtype=torch.float64) for a in (fit.mean, fit.softness))
        self.model = CountModel.of(mean, phi, softness)
        ridge = np.zeros(self.m) if fit.ridge is None else fit.ridge
        self.ridge = torch.as_tensor(ridge, dtype=torch.float64)
        degree = self.full.regulators_per_gene()
        self._first_pair = np.cumsum(degree**2) - degree**2

    def blocks(self, counts: np.ndarray, size_factors: np.ndarray | None) -> Iterator[Block]:
        """The cells of the fit, (n_cells, n_genes), some at a time."""
        fit = self.fit
        s, _ = size_factors_of(counts, size_factors, fit.depth)
        known = known_columns(len(s), intercept=fit.bias is not None, covariates=fit.covariates)
        columns = np.concatenate([fit.activity, known], axis=1)
        n = max(1, _ENTRIES // max(1, self.full.n_regulators**2, self.full.n_genes))
        for start in range(0, len(s), n):
            rows = slice(start, start + n)
            z = torch.as_tensor(columns[rows], dtype=torch.float64).mT.contiguous()
            c = torch.as_tensor(
                np.ascontiguousarray(counts[rows]), dtype=torch.float64
            ).mT.contiguous()
            block, p = Counted.of(c, s[rows]), self.pattern.matmul(self.weight, z)
            slope, curvature = self.model.work(block, p)
            system = self.of_cells(curvature) + torch.diag(self.ridge)
            size = system.diagonal(dim1=1, dim2=2).mean(1, keepdim=True)
            system.diagonal(dim1=1, dim2=2).add_((size * 1e-10).clamp(min=_TINY))
            yield Block(rows, block, z, p, slope, curvature, _inverse(system))

    def of_cells(self, values: Tensor) -> Tensor:
        """Σ values w w' over the genes, of every cell, (n_cells, m, m)."""
        size = self.full.n_regulators
        both = self.pairs.matmul_t(self.product, values.contiguous()).mT
        return both.reshape(-1, size, size)[:, : self.m, : self.m]

    def of_genes(self, values: Tensor, z: Tensor) -> Tensor:
        """Σ values z z' over the cells, of every gene at its own columns, in rows, ``(n_pairs,)``."""
        return self.pairs.edge_products(values, _squares(z))

    def from_cells(self, covariance: Tensor) -> Tensor:
        """Variance w' C w of every entry, (n_genes, n_cells), by a covariance of every cell."""
        known = self.full.n_regulators - self.m
        wide = torch.nn.functional.pad(covariance, (0, known, 0, known)).reshape(
            len(covariance), -1
        )
        return self.pairs.matmul(self.product, wide.mT.contiguous())

    def from_genes(self, covariance: Tensor, z: Tensor) -> Tensor:
        """Variance z' C z of every entry, (n_genes, n_cells), by a covariance of every gene."""
        return self.pairs.matmul(covariance, _squares(z))

    def inverse(self, values: Tensor, prior: Tensor, on: Tensor) -> tuple[Tensor, Tensor]:
        """Of every gene's ``values`` of pairs plus ``prior`` of edges; and what it makes of ``on``."""
        on = torch.cat([on, on.new_zeros(1, on.shape[1])])
        inverse, product = values.new_zeros(len(values) + 1), torch.zeros_like(on)
        values, prior = _append(values, 0.0), _append(prior, 1.0)
        for edge, pair in self._groups():
            system = _take(values, pair)
            system.diagonal(dim1=1, dim2=2).add_(_take(prior, edge))
            found = _inverse(system)
            inverse[pair.reshape(-1)] = found.reshape(-1)
            product[edge.reshape(-1)] = (found @ on[edge]).flatten(0, 1)
        return inverse[:-1], product[:-1]

    def diagonal(self, values: Tensor) -> Tensor:
        """Values of the pairs of every edge with itself, ``(n_edges,)``."""
        gene, degree = self.full.gene, self.full.regulators_per_gene()
        slot = np.arange(self.full.n_edges) - self.full.indptr[gene]
        return values[torch.as_tensor(self._first_pair[gene] + slot * (degree[gene] + 1))]

    def _groups(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Edges and pairs of genes with similar numbers of edges; padded slots stand behind the last."""
        full, degree = self.full, self.full.regulators_per_gene()
        for genes in _similar(degree):
            slot, n = np.arange(degree[genes].max()), degree[genes][:, None]
            edge = np.where(slot < n, full.indptr[genes][:, None] + slot, full.n_edges)
            pair = (self._first_pair[genes][:, None] + slot * n)[:, :, None] + slot
            real = (slot < n)[:, :, None] & (slot < n)[:, None, :]
            yield torch.as_tensor(edge), torch.as_tensor(np.where(real, pair, len(self.product)))


def _parts(model: CountModel, block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """Slope f' / f, σ(p / τ) and the expected count of every entry."""
    u = block.p / model.softness
    soft, up = torch.nn.functional.softplus(u).clamp(min=_TINY), u.sigmoid()
    return up / soft / model.softness, up, soft * model.softness * block.counts.s


def expected_curvature(model: CountModel, block: Block) -> tuple[Tensor, Tensor]:
    """Fisher information, and expected count, of every entry."""
    slope, _, mu = _parts(model, block)
    information = mu * slope.square()
    if model.dispersion is not None:
        information = information / (1 + model.dispersion * mu)
    return information, mu


def curvature_of_counts(model: CountModel, block: Block) -> Tensor:
    """The part of the curvature that comes from counts above zero, -c (log f)''."""
    slope, up, mu = _parts(model, block)
    found = block.counts.c * (slope.square() - slope * (1 - up) / model.softness).clamp(min=0)
    return found if model.dispersion is None else found / (1 + model.dispersion * mu)


def _squares(z: Tensor) -> Tensor:
    """All products of two rows, (rows², n_cells)."""
    return (z[:, None] * z[None]).reshape(-1, z.shape[1])


def _inverse(system: Tensor) -> Tensor:
    return torch.cholesky_inverse(torch.linalg.cholesky(system))
