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
_STEPS, _GAIN = 6, 1e-4  # of refinement; what a step must promise, as a share of the loss
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


def edge_scores(x: np.ndarray, fit: Fit, network: Network, *, link: str = "relu") -> EdgeScores:
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
    link
        "relu" or "identity".
    """
    m, n_cells = network.n_regulators, len(x)
    full, weight = full_network(network, fit)
    free = full.regulator < m
    weight = np.append(weight, 0.0)  # padded slots read what stands behind the last edge
    known = known_columns(n_cells, intercept=fit.bias is not None, covariates=fit.covariates)
    z = torch.as_tensor(np.concatenate([fit.activity, known], axis=1)).mT.contiguous()
    weight, inverse = torch.as_tensor(weight), torch.zeros(full.n_edges + 1, dtype=torch.float64)
    score = torch.zeros(network.n_genes, m, dtype=torch.float64)
    information = torch.zeros_like(score)
    squares, active = torch.zeros(2, network.n_genes, dtype=torch.float64)
    others, energy = z[:m].mT, z[:m].square().mT
    ridge = _RIDGE * z.square().sum(1)
    ridge[:m] = ridge[:m].mean().clamp(min=torch.finfo(ridge.dtype).tiny)
    # padded slots: 1
    ridge = torch.cat([ridge[torch.as_tensor(full.regulator)], ridge.new_ones(1)])
    with threads_for(n_cells * full.n_edges):
        for genes, edge, block in _blocks(x, z, full, link):
            real = edge < full.n_edges
            found, r = _refine(block, weight[edge] * real, ridge[edge], link)
            weight[edge] = torch.where(real, found, 0.0)
            score[genes], squares[genes] = r @ others, r.square().sum(1)
            active[genes] = block.seen.sum(1).double()
            visible = block.own * block.seen[:, None, :]
            system = torch.bmm(visible, block.own.mT)
            # columns of zeros, and padded slots, get a 1
            diagonal = system.diagonal(dim1=1, dim2=2)
            diagonal.add_(torch.where(diagonal > 0, _JITTER * diagonal, 1.0))
            system = torch.linalg.inv(system)
            inverse[edge] = system.diagonal(dim1=1, dim2=2)
            cross = (visible.flatten(0, 1) @ others).view(*edge.shape, m)
            whole = block.seen.double() @ energy
            beyond = whole - (cross * (system @ cross)).sum(1)
            information[genes] = torch.where(beyond > 1e-6 * whole, beyond, 0.0)

    degree = torch.as_tensor(full.regulators_per_gene())
    # share of the values, on activities
    spent = m / max(float(active.sum()) / max(1, n_cells), m + 1)
    dof = active * (1 - spent) - degree
    judged = dof >= _FEWEST
    dof = dof.clamp(min=1)
    variance = squares / dof
    typical = variance[judged].median() if bool(judged.any()) else variance.new_ones(())
    variance = (dof * variance + _MODERATION * typical) / (dof + _MODERATION)
    information[~judged] = 0
    information[network.gene, network.regulator] = 0
    scale = (variance[:, None] * information).sqrt()
    add, step = (torch.where(b > 0, score / b, 0.0) for b in (scale, information))
    gene = torch.as_tensor(network.gene)
    std_err = (variance[gene] * inverse[:-1][torch.as_tensor(free)]).sqrt()
    std_err[~judged[gene]] = torch.nan
    refined = weight[:-1].numpy()[free]
    return EdgeScores(refined, std_err.numpy(), add.numpy(), step.numpy(), dof.numpy())


class _Block(NamedTuple):
    """Some genes: activities of their own regulators (genes, d, cells), expression, what is not censored."""

    own: Tensor
    x: Tensor
    seen: Tensor

    def of(self, which: Tensor) -> _Block:
        return self if len(which) == len(self.x) else _Block(*(a[which] for a in self))


def _blocks(
    x: np.ndarray, z: Tensor, network: Network, link: str
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
            own = z.index_select(0, column[edges].flatten()).view(*edges.shape, -1)
            own *= (edges < network.n_edges)[:, :, None]
            y = values[genes].double()
            yield (
                genes,
                edges,
                _Block(own, y, y > 0 if link == "relu" else torch.ones_like(y, dtype=bool)),
            )


def _refine(block: _Block, weight: Tensor, ridge: Tensor, link: str) -> tuple[Tensor, Tensor]:
    """Newton's method on the loss of every gene, which is convex in its weights; these and residuals.

    A step that would raise the loss of a gene is not taken, and its next one is a quarter of it.
    """

    def at(part: _Block, w: Tensor, lam: Tensor) -> list[Tensor]:
        p = torch.bmm(w[:, None, :], part.own)[:, 0]
        r = residual(part.x, p, link)
        return [w, p, r, r.square().sum(1) + (lam * w * w).sum(1)]

    state, length = at(block, weight, ridge), weight.new_ones(len(weight))
    todo = torch.arange(len(weight))
    for _ in range(_STEPS):
        part, lam, (w, p, r, loss) = block.of(todo), ridge[todo], (a[todo] for a in state)
        counted = part.own * (part.seen | (p > 0))[:, None, :]
        system = torch.bmm(counted, part.own.mT)
        system.diagonal(dim1=1, dim2=2).add_(lam)
        slope = torch.bmm(part.own, r[:, :, None])[:, :, 0] - lam * w
        step = torch.linalg.solve(system, slope)
        more = (slope * step).sum(1) > _GAIN * loss
        if not bool(more.any()):
            break
        todo = todo[more]
        following = at(block.of(todo), w[more] + length[todo, None] * step[more], lam[more])
        lower = following[-1] <= loss[more]
        length[todo] = torch.where(lower, (2 * length[todo]).clamp(max=1), length[todo] / 4)
        for old, new in zip(state, following, strict=True):
            old[todo[lower]] = new[lower]
    return state[0], state[2]
