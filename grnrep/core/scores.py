"""How much the data want every possible edge: score tests, and standard errors of those there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.genes import similar
from grnrep.core.design import full_network, known_columns
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.gaussian import residual
from grnrep.core.network import Network
from grnrep.core.threads import threads_for

_ENTRIES = 2**19  # activities that are gathered at once, so that they stay in the processor's cache
_FEWEST = 5  # degrees of freedom by which a gene can be judged
# degrees of freedom that the typical variance counts, against chance (after Smyth 2004)
_MODERATION = 4.0
_JITTER = 1e-9  # of the diagonal, against collinear regulators
# share of an activity beyond the gene's own regulators, below which it is rounding
_EXPLAINED = 1e-6
_MAX_STEPS = 6  # of refinement
_MIN_GAIN = 1e-4  # that a step of refinement must promise, as a share of the loss
_RIDGE = 1e-5  # of Σ z², the mean of regulators', for genes that are hardly ever seen


class EdgeScores(NamedTuple):
    """Evidence on edges at a fit.

    Parameters
    ----------
    refined
        Weights of the network that are best for the activities of the fit, ``(n_edges,)``.
    std_err
        Their standard errors; NaN where the gene has too few values above zero to judge by.
    add
        t statistic of every gene and regulator that is not in the network, (n_genes, n_regulators):
        the score of its weight at zero; 0 inside the network and where the gene cannot be judged.
    weight
        Weight that one step would give it, same shape.
    dof
        Degrees of freedom of every gene, at least 1, ``(n_genes,)``.
    """

    refined: np.ndarray
    std_err: np.ndarray
    add: np.ndarray
    weight: np.ndarray
    dof: np.ndarray


def edge_scores(
    x: np.ndarray, fit: Fit, network: Network, *, likelihood: str = "tobit"
) -> EdgeScores:
    """Score test of every possible edge, given the activities of a fit.

    The weights of every gene are refined first: alternation is slowest for genes that are
    mostly zero, and weights that are not at their optimum look like wrong edges. Then the residuals
    are regressed on the activity of another regulator beyond that of the gene's own ones. Zeros
    count under a ReLU as residuals, but not as evidence on how precise a weight is: a gene that
    is nearly always zero fits with any negative weights. Memory is n_genes times n_regulators.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    fit
        Weights, intercepts and activities.
    network
        Edges of the fit.
    likelihood
        "relu" or "identity".
    """
    m, n_cells = network.n_regulators, len(x)
    full, fitted = full_network(network, fit)
    known = known_columns(n_cells, intercept=fit.bias is not None, covariates=fit.covariates)
    z = torch.as_tensor(np.concatenate([fit.activity, known], axis=1)).mT.contiguous()
    ridge = _ridges(z, full, m)
    # padded slots read and write what stands behind the last edge
    weight = torch.as_tensor(np.append(fitted, 0.0))
    inverse = torch.zeros(full.n_edges + 1, dtype=torch.float64)
    score = torch.zeros(network.n_genes, m, dtype=torch.float64)
    information = torch.zeros_like(score)
    squares, n_seen = torch.zeros(2, network.n_genes, dtype=torch.float64)
    activity, activity_squares = z[:m].mT, z[:m].square().mT
    with threads_for(n_cells * full.n_edges):
        for genes, edge, block in _blocks(x, z, full, likelihood):
            real = edge < full.n_edges
            refined, r = _refine(block, weight[edge] * real, ridge[edge], likelihood)
            weight[edge] = torch.where(real, refined, 0.0)
            # -½ ∂ loss / ∂ (weight of another regulator) at zero: Σ_cells r z
            score[genes], squares[genes] = r @ activity, r.square().sum(1)
            n_seen[genes] = block.seen.sum(1).double()
            inverse[edge], information[genes] = _informations(block, activity, activity_squares)

    dof, judged = _degrees_of_freedom(n_seen, full, m, n_cells)
    variance = _variances(squares, dof, judged)
    information[~judged] = 0
    information[network.gene, network.regulator] = 0
    # t = Σ r z / sqrt(σ² I), and the step of Newton's method Σ r z / I
    sd = (variance[:, None] * information).sqrt()
    add, step = (torch.where(b > 0, score / b, 0.0) for b in (sd, information))
    gene, free = torch.as_tensor(network.gene), torch.as_tensor(full.regulator < m)
    std_err = (variance[gene] * inverse[:-1][free]).sqrt()
    std_err[~judged[gene]] = torch.nan
    return EdgeScores(
        weight[:-1][free].numpy(), std_err.numpy(), add.numpy(), step.numpy(), dof.numpy()
    )


def _ridges(z: Tensor, full: Network, m: int) -> Tensor:
    """Ridge of every edge, and 1 of padded slots, ``(n_edges + 1,)``; ``z`` is (m + q, cells)."""
    ridge = _RIDGE * z.square().sum(1)
    ridge[:m] = ridge[:m].mean().clamp(min=torch.finfo(ridge.dtype).tiny)
    return torch.cat([ridge[torch.as_tensor(full.regulator)], ridge.new_ones(1)])


def _degrees_of_freedom(
    n_seen: Tensor, full: Network, m: int, n_cells: int
) -> tuple[Tensor, Tensor]:
    """Degrees of freedom of every gene, at least 1, and whether they are enough to judge it.

    Activities take an equal share of all values that are seen: m by their number per cell. Weights take
    one each.
    """
    spent = m / max(float(n_seen.sum()) / max(1, n_cells), m + 1)
    dof = n_seen * (1 - spent) - torch.as_tensor(full.regulators_per_gene())
    return dof.clamp(min=1), dof >= _FEWEST


def _variances(squares: Tensor, dof: Tensor, judged: Tensor) -> Tensor:
    """Variance of every gene's noise, drawn to the typical one as by so many degrees of freedom more."""
    variance = squares / dof
    typical = variance[judged].median() if bool(judged.any()) else variance.new_ones(())
    return (dof * variance + _MODERATION * typical) / (dof + _MODERATION)


class _Block(NamedTuple):
    """Some genes.

    Parameters
    ----------
    regulators
        Activities of their own regulators, (genes, d, cells); zeros in padded slots.
    x
        Expression, (genes, cells).
    seen
        What is not censored, (genes, cells) bool.
    """

    regulators: Tensor
    x: Tensor
    seen: Tensor

    def of(self, which: Tensor) -> _Block:
        """Some of them."""
        return self if len(which) == len(self.x) else _Block(*(a[which] for a in self))


def _blocks(
    x: np.ndarray, z: Tensor, network: Network, likelihood: str
) -> Iterator[tuple[Tensor, Tensor, _Block]]:
    """Genes of similar numbers of regulators, their edges padded with ``n_edges``, and their data."""
    degree, values = network.regulators_per_gene(), torch.as_tensor(x).mT.contiguous()
    column = torch.as_tensor(np.append(network.regulator, 0))
    for group in [*similar(degree), np.flatnonzero(degree == 0)]:
        slot = np.arange(max(1, degree[group].max(initial=0)))
        edge = np.where(
            slot < degree[group][:, None], network.indptr[group][:, None] + slot, network.n_edges
        )
        size = max(1, _ENTRIES // (len(slot) * max(1, len(x))))
        for k in range(0, len(group), size):
            genes, edges = (torch.as_tensor(a[k : k + size]) for a in (group, edge))
            regulators = z.index_select(0, column[edges].flatten()).view(*edges.shape, -1)
            regulators *= (edges < network.n_edges)[:, :, None]
            y = values[genes].double()
            seen = y > 0 if likelihood == "tobit" else torch.ones_like(y, dtype=torch.bool)
            yield genes, edges, _Block(regulators, y, seen)


def _informations(
    block: _Block, activity: Tensor, activity_squares: Tensor
) -> tuple[Tensor, Tensor]:
    """Diagonal of the inverse information on a gene's own weights, and information on any other one.

    Another regulator's weight is judged by what of its activity z the gene's own regulators Z leave unexplained
    where the gene is seen: Σ z² - z'Z (Z'Z)⁻¹ Z'z, (genes, m).
    """
    seen = block.regulators * block.seen[:, None, :]
    system = torch.bmm(seen, block.regulators.mT)
    # columns of zeros, and padded slots, get a 1
    diagonal = system.diagonal(dim1=1, dim2=2)
    diagonal.add_(torch.where(diagonal > 0, _JITTER * diagonal, 1.0))
    inverse = torch.linalg.inv(system)
    cross = (seen.flatten(0, 1) @ activity).view(*seen.shape[:2], -1)
    whole = block.seen.double() @ activity_squares
    beyond = whole - (cross * (inverse @ cross)).sum(1)
    return inverse.diagonal(dim1=1, dim2=2), torch.where(beyond > _EXPLAINED * whole, beyond, 0.0)


def _refine(block: _Block, weight: Tensor, ridge: Tensor, likelihood: str) -> tuple[Tensor, Tensor]:
    """Newton's method on the loss of every gene, which is convex in its weights; these and residuals.

    A step that would raise the loss of a gene is not taken, and its next one is a quarter of it.
    """

    def at(part: _Block, w: Tensor, lam: Tensor) -> list[Tensor]:
        """Weights, pre-activations, residuals and losses."""
        p = torch.bmm(w[:, None, :], part.regulators)[:, 0]
        r = residual(part.x, p, likelihood)
        return [w, p, r, r.square().sum(1) + (lam * w * w).sum(1)]

    state, length = at(block, weight, ridge), weight.new_ones(len(weight))
    todo = torch.arange(len(weight))  # genes that are not at their optimum
    for _ in range(_MAX_STEPS):
        part, lam, (w, p, r, loss) = block.of(todo), ridge[todo], (a[todo] for a in state)
        # half the Hessian, Σ z z' + λ over cells with a residual; minus half the gradient, Σ r z - λ w
        curved = part.regulators * (part.seen | (p > 0))[:, None, :]
        system = torch.bmm(curved, part.regulators.mT)
        system.diagonal(dim1=1, dim2=2).add_(lam)
        slope = torch.bmm(part.regulators, r[:, :, None])[:, :, 0] - lam * w
        step = torch.linalg.solve(system, slope)
        more = (slope * step).sum(1) > _MIN_GAIN * loss
        if not bool(more.any()):
            break
        todo = todo[more]
        following = at(block.of(todo), w[more] + length[todo, None] * step[more], lam[more])
        lower = following[-1] <= loss[more]
        length[todo] = torch.where(lower, (2 * length[todo]).clamp(max=1), length[todo] / 4)
        for old, new in zip(state, following, strict=True):
            old[todo[lower]] = new[lower]
    return state[0], state[2]
