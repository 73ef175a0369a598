"""What a fit by evidence takes for given, and the model that this makes of data and network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.evidence import Model
from grnrep.core.als.moments import Prior
from grnrep.core.likelihoods.base import Block
from grnrep.core.network import Network, with_known_columns


@dataclass(frozen=True)
class Assumptions:
    """What is taken for given of priors; see :class:`grnrep.core.als.moments.Prior`.

    Parameters
    ----------
    tau2
        Variance of weights about their prior signs, in squared sizes; None to learn it.
    correlated
        Whether regulators' activities correlate.
    inflation
        How many genes that share their noise count for one: ψ is so many times the variance of residuals (the
        variance inflation factor of Wu & Smyth 2012, CAMERA, of all regulators at once).
    n_factors
        Free factors at most; those that explain nothing, or few genes, are dropped.
    exactly
        Whether none is dropped.
    """

    tau2: float | None = None
    correlated: bool = False
    inflation: float = 1.0
    n_factors: int = 0
    exactly: bool = False


def units(x: Tensor, *, centred: bool) -> Tensor:
    """Spread of every gene of expression (n_cells, n_genes), ``(n_genes,)`` float64; 1 where there is none."""
    spread = x.double().std(0, correction=0) if centred else x.double().square().mean(0).sqrt()
    return torch.where(spread > 0, spread, 1.0)


def model_of(
    blocks: list[Block],
    network: Network,
    n_known: int,
    n_factors: int,
    assumed: Assumptions,
    each: Callable[..., Iterator] = map,
    *,
    n_cells: int,
    device: torch.device | str | None,
    intercept: bool,
    censored: bool,
) -> Model:
    """The problem with so many free factors, whose columns stand between regulators and known ones."""
    m = network.n_regulators
    full = with_known_columns(network, n_factors + n_known)
    column = full.regulator
    n_own = np.maximum(1, network.regulators_per_gene())
    size = 1 / np.sqrt(n_own[full.gene])
    free, signed = column < m, (column < m) & (full.sign != 0)
    group = np.where((column >= m) & (column < m + n_factors), column - m, -1)
    if censored and intercept:
        group[column == m + n_factors] = n_factors
    prior = Prior(
        anchor=torch.as_tensor(np.where(signed, full.expected * size, 0.0), device=device),
        size=torch.as_tensor(size, device=device),
        signed=torch.as_tensor(signed, device=device),
        unsigned=torch.as_tensor(free & ~signed, device=device),
        group=torch.as_tensor(group, device=device),
        tau2=assumed.tau2,
        correlated=assumed.correlated,
        inflation=assumed.inflation,
    )
    return Model(blocks, full, m + n_factors, n_factors, prior, n_cells, intercept, each)
