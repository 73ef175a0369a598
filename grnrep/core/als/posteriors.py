"""Weights given representations, of a fit by evidence: a Bayesian regression of every gene on its regulators.

With E[z z'] = z̄ z̄' + Σ, noise ψ and the prior N(a, v) the posterior of the weights of a gene is N(w̄, V),

    V⁻¹ = Σ_k E[z z'] / ψ + 1 / v,   w̄ = w + V (Σ_k E[r z] / ψ + (a - w) / v),

written as a correction of any w with residuals r, of which Σ_k E[r z] = Σ_k r z̄ - N Σ w.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.genes import GeneSolver, append, take
from grnrep.core.als.moments import Sums
from grnrep.core.kernels import add_doubt, regress_genes
from grnrep.core.network import Network


class Regressions(NamedTuple):
    """What the regressions of all genes are given.

    Parameters
    ----------
    sums
        Over cells, at ``weight``.
    spread
        N Σ, (m + q, m + q); 0 of known columns.
    n_cells
        N.
    weight
        w of every edge, ``(n_edges,)`` float64.
    noise
        ψ of every gene, ``(n_genes,)``.
    precision, pull
        1 / v and (a - w) / v of every edge.
    """

    sums: Sums
    spread: Tensor
    n_cells: int
    weight: Tensor
    noise: Tensor
    precision: Tensor
    pull: Tensor


class Posteriors(NamedTuple):
    """Of the weights of all genes.

    Parameters
    ----------
    weight, variance
        w̄ and the diagonal of V, of every edge.
    change
        What Σ E[(x - w'z)²] is more than Σ r² at the weights before, ``(n_genes,)``.
    signal
        Variance of predictions w̄'z̄ over cells, ``(n_genes,)``.
    log_det
        Σ_i log |V_i⁻¹|.
    doubt
        Function of ψ: Σ_i V_i / ψ_i over all columns, (m + q, m + q).
    """

    weight: Tensor
    variance: Tensor
    change: Tensor
    signal: Tensor
    log_det: float
    doubt: Callable[[Tensor], Tensor]


def posteriors(given: Regressions, genes: GeneSolver, network: Network) -> Posteriors:
    """Regress all genes: compiled, one by one, or on a device in groups."""
    by = _one_by_one if given.weight.device.type == "cpu" else in_groups
    return by(given, genes, network)


def _one_by_one(given: Regressions, genes: GeneSolver, network: Network) -> Posteriors:
    sums, n_genes = given.sums, network.n_genes
    variance, pairs = np.empty(network.n_edges), np.empty(genes.n_pairs)
    weight, of_gene = given.weight.clone(), np.zeros((3, n_genes))
    parts = (
        sums.gram, given.spread, sums.z / given.n_cells, sums.edge, given.noise, given.precision,
        given.pull,
    )  # fmt: skip
    arrays = (part.double().contiguous().numpy() for part in parts)
    place = (network.indptr, network.regulator, genes.first_pair)
    regress_genes(*place, *arrays, given.n_cells, weight.numpy(), variance, pairs, of_gene)

    def doubt(noise: Tensor) -> Tensor:
        out = np.zeros((network.n_regulators, network.n_regulators))
        add_doubt(*place, pairs, noise.numpy(), out)
        return torch.from_numpy(out)

    change, signal, log_det = torch.from_numpy(of_gene)
    of_edges = torch.from_numpy(variance)
    return Posteriors(weight, of_edges, change, signal, float(log_det.sum()), doubt)


def in_groups(given: Regressions, genes: GeneSolver, network: Network) -> Posteriors:
    """All genes of similar numbers of regulators at once, on any device."""
    sums, n = given.sums, given.n_cells
    gram, both, spread = (
        append(a.reshape(-1), 0.0) for a in (sums.gram, sums.gram + given.spread, given.spread)
    )
    lam, edge_products = append(given.precision, 1.0), append(sums.edge, 0.0)
    pull, before = append(given.pull, 0.0), append(given.weight, 0.0)
    mean, log_det = append(sums.z / n, 0.0), 0.0
    rise, signal = torch.zeros_like(given.noise), torch.zeros_like(given.noise)
    weights, own, variances = [before[:0]], [before[:0]], []
    for some, edge, column, entry in genes.groups:
        noise, w, rz = given.noise[some, None], take(before, edge), take(edge_products, edge)
        left, of_both = take(spread, entry), take(both, entry)
        system = of_both / noise[:, :, None]
        system.diagonal(dim1=1, dim2=2).add_(take(lam, edge))
        slope = (rz - _times(left, w)) / noise + take(pull, edge)
        factor = torch.linalg.cholesky(system)
        v = torch.cholesky_inverse(factor)
        change = _times(v, slope)
        # Σ E[(x - w'z)²] = Σ (x - w̄'z̄)² + w̄'N Σ w̄ + tr V Σ E[z z']
        fall = 2 * (change * rz).sum(1) - (change * _times(take(gram, entry), change)).sum(1)
        w = w + change
        mean_p = (w * take(mean, column)).sum(1)
        signal[some] = (w * _times(take(gram, entry), w)).sum(1) / n - mean_p.square()
        rise[some] = (w * _times(left, w)).sum(1) + (v * of_both).sum((1, 2)) - fall
        log_det += 2 * float(factor.diagonal(dim1=1, dim2=2).log().sum())
        weights.append(w.reshape(-1))
        own.append(v.diagonal(dim1=1, dim2=2).reshape(-1))
        variances.append(v)
    slot = genes.slot_of_edge
    doubt = partial(_doubt, genes, variances, network.n_regulators)
    return Posteriors(torch.cat(weights)[slot], torch.cat(own)[slot], rise, signal, log_det, doubt)


def _doubt(genes: GeneSolver, variances: list[Tensor], columns: int, noise: Tensor) -> Tensor:
    """Σ_i V_i / ψ_i over all columns."""
    flat = noise.new_zeros(columns**2 + 1)
    for (some, _, _, entry), v in zip(genes.groups, variances, strict=True):
        flat.index_add_(0, entry.reshape(-1), (v / noise[some, None, None]).reshape(-1))
    lower = flat[:-1].view(columns, columns)  # to which both triangles were added
    return (lower + lower.mT) / 2


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Products (b, d) of matrices (b, d, d) and vectors (b, d)."""
    return (matrix @ vector[:, :, None])[:, :, 0]
