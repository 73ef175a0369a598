"""How much the data want every possible edge: score tests, and standard errors of those there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grnrep.core.decoder import Pattern
from grnrep.core.fitted import Fit
from grnrep.core.genes import GeneSolver
from grnrep.core.likelihood import residual
from grnrep.core.network import Network

_BLOCK = 512  # cells
_ENTRIES = 2**22  # activities that are gathered at once
_FEWEST = 30  # degrees of freedom by which a gene can be judged; three times its regulators, too
_MODERATION = 4.0  # degrees of freedom that the typical variance counts, against chance (after Smyth 2004)
_JITTER = 1e-9  # of the mean diagonal, against collinear regulators


class EdgeScores(NamedTuple):
    """Evidence on edges at a fit.

    Parameters
    ----------
    add
        t statistic of every gene and regulator that is not in the network, (n_genes, n_regulators):
        the score of its weight at zero; 0 inside the network.
    weight
        Weight that one step would give it, same shape.
    std_err
        Standard error of every weight in the network, ``(n_edges,)``; NaN where the gene has too
        few values above zero to judge by.
    dof
        Degrees of freedom of every gene, ``(n_genes,)``.
    """

    add: np.ndarray
    weight: np.ndarray
    std_err: np.ndarray
    dof: np.ndarray


def edge_scores(x: np.ndarray, fit: Fit, network: Network, *, link: str = "relu") -> EdgeScores:
    """Score test of every possible edge, given the activities of a fit.

    The residuals of a gene are regressed on the activity of another regulator, after that
    of its own ones. The sums over cells are those of the gene solver; zeros count under a ReLU
    as residuals, but not as evidence on how precise a weight is. Memory is n_genes times
    n_regulators, and a bit per value.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    fit
        Weights, intercepts and activities.
    network
        Edges of the fit.
    link
        "relu" or "identity".
    """
    rz, squares, seen, spent = _sums(x, fit, network, link)
    z, active = torch.as_tensor(fit.activity), seen.sum(1, dtype=torch.float64)
    gram, share = z.mT @ z, active / len(x)
    degree = torch.as_tensor(network.regulators_per_gene())
    dof = active * (1 - spent) - degree
    # genes that are hardly ever seen tell nothing, least of all how noisy they are
    judged = dof >= torch.clamp(3 * degree, min=_FEWEST)
    dof = dof.clamp(min=1)
    variance = squares / dof
    typical = variance[judged].median() if bool(judged.any()) else variance.new_ones(())
    variance = (dof * variance + _MODERATION * typical) / (dof + _MODERATION)
    left = _conditional(gram, network)
    information = left * share[:, None]
    scale = (variance[:, None] * information).sqrt()
    inside = (network.gene, network.regulator)
    add, weight = (torch.where(b > 0, rz / b, 0.0) for b in (scale, information))
    add[inside] = weight[inside] = 0
    add[~judged] = weight[~judged] = 0
    gene = torch.as_tensor(network.gene)
    std_err = (variance[gene] * _inverse_diagonal(z, seen, network)).sqrt()
    std_err[~judged[gene]] = torch.nan
    return EdgeScores(add.numpy(), weight.numpy(), std_err.numpy(), dof.numpy())


def _sums(x: np.ndarray, fit: Fit, network: Network, link: str) -> tuple[Tensor, Tensor, Tensor, float]:
    """Σ residual · z, Σ residual² per gene, what is above zero, and share of values spent on activities."""
    pattern, w = Pattern(network), torch.as_tensor(fit.weight)
    bias = 0.0 if fit.bias is None else torch.as_tensor(fit.bias)[:, None]
    n, m = network.n_genes, network.n_regulators
    rz, squares = torch.zeros(n, m, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    seen = torch.ones(n, len(x), dtype=torch.bool)
    n_values = 0
    for k in range(0, len(x), _BLOCK):
        z = torch.as_tensor(fit.activity[k : k + _BLOCK]).mT.contiguous()
        xb = torch.as_tensor(x[k : k + _BLOCK]).double().mT
        p = pattern.matmul(w, z) + bias
        r = residual(xb, p, link)
        if link == "relu":
            # a zero predicted just above zero would be explained as well by anything below
            seen[:, k : k + _BLOCK] = xb > 0
        rz += r @ z.mT
        squares += r.square().sum(1)
        n_values += int((xb > 0).sum()) if link == "relu" else xb.numel()
    return rz, squares, seen, m / max(n_values / max(1, len(x)), m + 1)


def _conditional(gram: Tensor, network: Network) -> Tensor:
    """Σ z² of every regulator beyond a gene's own ones, over all cells, (n_genes, n_regulators)."""
    left = gram.diagonal().expand(network.n_genes, network.n_regulators).clone()
    flat = torch.cat([gram.reshape(-1), gram.new_zeros(1)])
    gene, column = torch.as_tensor(network.gene), torch.as_tensor(np.append(network.regulator, 0))
    jitter = _JITTER * gram.diagonal().mean()
    for edge, entry in GeneSolver(network).groups:
        real = edge < network.n_edges
        system = flat[entry]
        system.diagonal(dim1=1, dim2=2).add_(torch.where(real, jitter, 1.0))
        cross = gram[column[edge]] * real[:, :, None]  # (genes, d, m)
        left[gene[edge[:, 0]]] -= (cross * torch.linalg.solve(system, cross)).sum(1)
    return left.clamp(min=1e-6 * gram.diagonal())


def _inverse_diagonal(z: Tensor, seen: Tensor, network: Network) -> Tensor:
    """Diagonal of (Σ z z')⁻¹ over a gene's regulators and the cells that it is seen in, ``(n_edges,)``."""
    out = torch.zeros(network.n_edges + 1, dtype=torch.float64)
    gene, column = torch.as_tensor(network.gene), torch.as_tensor(np.append(network.regulator, 0))
    for edges, _ in GeneSolver(network).groups:
        for edge in edges.split(max(1, _ENTRIES // (len(z) * edges.shape[1]))):
            real = edge < network.n_edges
            own = z[:, column[edge]].permute(1, 0, 2) * real[:, None, :]  # (genes, cells, d)
            system = own.mT @ (own * seen[gene[edge[:, 0]], :, None])
            jitter = _JITTER * system.diagonal(dim1=1, dim2=2).mean(1, keepdim=True).clamp(min=1e-12)
            system.diagonal(dim1=1, dim2=2).add_(torch.where(real, jitter, 1.0))
            out[edge] = torch.linalg.inv(system).diagonal(dim1=1, dim2=2)
    return out[:-1]
