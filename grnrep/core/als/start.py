"""Where a search starts: at the first principal component of every regulon, or at another fit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.data import Data, cuts, typical_gram
from grnrep.core.als.evidence import LEAST_VARIANCE
from grnrep.core.als.moments import Moments, Prior
from grnrep.core.als.problem import Problem
from grnrep.core.design import full_network, regress, without_known
from grnrep.core.fitted import Fit
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network

_POWER_ITERATIONS = 5


def first_weights(
    problem: Problem,
    data: Data,
    network: Network,
    rng: int | np.random.Generator,
    start: np.ndarray | None,
) -> np.ndarray:
    """Weights of all edges to start from, those of known columns too, ``(n_edges,)``.

    Of regulators as given; or else prior signs where weights are shrunk to them, elsewhere principal components of
    what covariates leave of their targets, balanced. Of covariates those of a regression on known columns:
    activities would start with a share of them.
    """
    free, penalty = problem.network.regulator < network.n_regulators, problem.penalty
    weight = np.zeros(len(free))
    if data.covariates is not None:
        on_known = regress(data.working, data.known)
        on_known[: int(data.intercept)] = 0
        weight[~free] = on_known.mT.cpu().numpy().ravel()
    if start is not None:
        weight[free] = start
        return weight
    anchor = penalty.anchor.cpu().numpy()[free]
    if (anchor != 0).all():
        weight[free] = anchor
        return weight
    blocks = [block.x for block in problem.blocks]
    if data.covariates is not None:
        rest = without_known(data.x, data.known)
        blocks = [rest[cut].mT.contiguous() for cut in cuts(rest)]
    draw, column = start_weights(blocks, network, rng).cpu().numpy(), network.regulator
    # a component has either sign; edges without a prior sign must not start against those with one
    agree = np.bincount(column, weights=draw * network.sign, minlength=network.n_regulators)
    draw *= np.where(agree < 0, -1.0, 1.0)[column]
    gram = typical_gram(penalty.scale.squares, network.n_regulators)
    size = np.sqrt(gram / network.targets_per_regulator()[column])
    balanced = penalty.balanced.cpu().numpy()[column]
    weight[free] = np.where(balanced, draw * size, np.where(anchor != 0, anchor, 0.1 * draw))
    return weight


def start_weights(blocks: list[Tensor], network: Network, rng: int | np.random.Generator) -> Tensor:
    """Weights to start from, ``(n_edges,)`` float64, root mean square 1 per regulator.

    A few power iterations, of all regulators at once, turn ±1 (where the sign of
    an edge is known) or random draws (where not) towards the loadings of the first
    principal component of each regulator's targets. Alternating from random draws
    alone can end with regulators in each other's place; from here it did not in
    any of the simulations under docs, and it needs a third fewer iterations. ``blocks`` hold expression,
    (n_genes, cells) each.
    """
    draw = np.random.default_rng(rng).standard_normal(network.n_edges)
    weight = torch.as_tensor(np.where(network.sign != 0, network.sign, draw)).to(blocks[0])
    pattern = Pattern(network).to(weight.device)
    mean, sd = _mean_and_sd(blocks)
    scale = torch.where(sd > 0, 1 / sd, 0.0)
    for _ in range(_POWER_ITERATIONS):
        following = torch.zeros_like(weight, dtype=torch.float64)
        for block in blocks:
            standard = (block - mean[:, None]) * scale[:, None]
            following += pattern.edge_products(
                standard, pattern.matmul_t(weight, standard)
            ).double()
        weight = _unit(following, weight, pattern)
    return _unit(weight * sd[pattern.gene], weight, pattern).double()


def _mean_and_sd(blocks: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every gene over all cells, in the precision of the data."""
    n_cells = sum(block.shape[1] for block in blocks)
    mean, variance = blocks[0].new_zeros(2, len(blocks[0]), dtype=torch.float64)
    for block in blocks:
        mean += block.sum(1, dtype=torch.float64) / n_cells
    for block in blocks:
        variance += (block - mean[:, None]).square().sum(1) / n_cells
    return mean.to(blocks[0]), variance.sqrt().to(blocks[0])


def _unit(weight: Tensor, fallback: Tensor, pattern: Pattern) -> Tensor:
    """Scale to root mean square 1 per regulator; regulators of constant genes keep ``fallback``."""
    m = pattern.shape[1]
    count = torch.bincount(pattern.regulator, minlength=m)
    squares = torch.zeros(m, dtype=weight.dtype, device=weight.device)
    squares.index_add_(0, pattern.regulator, weight.square())
    size = (squares / count.clamp(min=1)).sqrt()[pattern.regulator]
    return torch.where(
        size > 0, weight / size.clamp(min=torch.finfo(size.dtype).tiny), fallback
    ).to(fallback)


def moments_of(
    fit: Fit, network: Network, unit: Tensor, prior: Prior, known: list[Tensor] | None = None
) -> Moments:
    """The iterate that a fit by evidence stands for; what is not kept of it the first step finds again.

    ``known`` are the known rows (q, cells) of the blocks of cells of the fit; without, the iterate is without cells.
    """
    m, n, device, unit = network.n_regulators, fit.n_factors, unit.device, unit.cpu()
    full, weight = full_network(network, fit)
    gene, column = torch.as_tensor(full.gene), torch.as_tensor(full.regulator)
    scaled = torch.as_tensor(weight) / unit[gene]
    noise = torch.as_tensor(fit.noise()) / unit.square()
    covariance = torch.eye(m + n, dtype=torch.float64)
    covariance[:m, :m] = torch.as_tensor(fit.covariance)
    weight_sd = torch.zeros_like(scaled)
    sd = torch.as_tensor(fit.weight_sd) / unit[torch.as_tensor(network.gene)]
    weight_sd[column < m] = sd
    of_group = [
        scaled[column == m + k].square().mean().clamp(min=LEAST_VARIANCE)
        for k in range(prior.n_groups)
    ]
    doubt = scaled.new_zeros(full.n_regulators).index_add_(
        0, column, weight_sd.square() / noise[gene]
    )
    tau2 = 1.0 if prior.tau2 is None else prior.tau2
    if prior.tau2 is None and network.sign.any():
        signed = torch.as_tensor(network.sign != 0)
        anchor, size = (part.cpu()[column < m] for part in (prior.anchor, prior.size))
        off = (scaled[column < m] - anchor).square() + sd.square()
        tau2 = float((off / size.square())[signed].mean())
    z = list[Tensor]()
    if known is not None:
        both, sizes = torch.as_tensor(fit.representation()), [row.shape[1] for row in known]
        parts = zip(both.split(sizes), known, strict=True)
        z = [torch.cat([part.mT.to(row), row]) for part, row in parts]
    variances = torch.stack(of_group) if of_group else scaled.new_zeros(0)
    return Moments(
        scaled.to(device), z, noise.to(device), covariance.to(device), tau2, variances.to(device),
        torch.diag(doubt).to(device), weight_sd.to(device),
    )  # fmt: skip
