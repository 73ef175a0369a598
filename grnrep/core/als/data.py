"""What a fit is given: expression, in blocks of cells, and penalties in its units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from grnrep.core.design import known_columns, without_known
from grnrep.core.likelihoods import check_likelihood
from grnrep.core.likelihoods.base import Block, Likelihood
from grnrep.core.likelihoods.counts import size_factors_of
from grnrep.core.likelihoods.gaussian import squared_sum
from grnrep.core.network import Network

_BLOCK = 512  # cells a block at most
_BLOCK_ENTRIES = 2**19  # values a block at most, so that its products stay in the processor's cache
# on another device, which has to be kept busy: some ten arrays of as many values are in its memory at a time
_DEVICE_BLOCK, _DEVICE_ENTRIES = 65_536, 2**26
_WHOLE = 16  # cells that fill vectors of either precision
_LOW_LOAD = 1.5  # effective load below which a fit does not find its optimum from anywhere


@dataclass(frozen=True)
class Scale:
    """What there is to explain: penalties are relative to it.

    Parameters
    ----------
    squares
        Σ a x² of working values x by their typical curvatures a: Σx² under squared error.
    beyond_known
        What known columns leave of it.
    n_cells
        Number of cells.
    p_unit
        Factor on p, and so on z, that makes the average typical curvature 1. In it ridge and prior mean what they
        mean under squared error.
    """

    squares: float
    beyond_known: float
    n_cells: int
    p_unit: float = 1.0


@dataclass(frozen=True, eq=False)
class Data:
    """Expression as a fit takes it, with the known columns of its cells.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    size, depth
        Size factors ``(n_cells,)`` float64, if cells have them, and the total that has size factor 1.
    covariates, known
        Covariates, and all known columns, (n_cells, q).
    intercept
        Whether the first known column is the intercept.
    likelihood
        With the parameters that expression has by itself.
    """

    x: Tensor
    size: Tensor | None
    depth: float
    covariates: np.ndarray | None
    known: Tensor
    intercept: bool
    likelihood: Likelihood

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        likelihood: str,
        size_factors: np.ndarray | None,
        intercept: bool,
        covariates: np.ndarray | None,
        device: str | torch.device | None,
    ) -> Data:
        """Prepare expression (n_cells, n_genes)."""
        member, size, depth = check_likelihood(likelihood), None, float("nan")
        if member.has_sizes:
            size, depth = size_factors_of(x, size_factors)
        elif size_factors is not None:
            raise ValueError(f"size_factors are of counts; found likelihood={likelihood!r}")
        values = torch.as_tensor(x, dtype=precision_of(x), device=device)
        known = torch.as_tensor(
            known_columns(len(x), intercept=intercept, covariates=covariates), device=device
        )
        return cls(values, size, depth, covariates, known, intercept, member.of(values.mT, size))

    @cached_property
    def working(self) -> Tensor:
        """Values of p that entries ask for by themselves, (n_cells, n_genes)."""
        if self.likelihood.constant_curvature:
            return self.x
        values = self.likelihood.working(self.likelihood.block(self.x.mT, self.size))
        return values.to(self.x).mT

    @cached_property
    def scale(self) -> Scale:
        """What there is to explain."""
        values, n_cells = self.working, len(self.x)
        rest = without_known(values, self.known) if self.known.shape[1] else values
        total = float(squared_sum(values))
        if self.likelihood.constant_curvature:
            return Scale(total, float(squared_sum(rest)), n_cells)
        root = self.likelihood.curvature(self.size).to(values).sqrt().mT
        squares, beyond_known = (float(squared_sum(part * root)) for part in (values, rest))
        unit = math.sqrt(squares / total) if total > 0 else 1.0
        return Scale(squares, beyond_known, n_cells, unit)

    def blocks(
        self, without: np.ndarray | None = None, each: Callable[..., Iterable] = map
    ) -> list[Block]:
        """Blocks of cells, made by ``each``; entries ``without`` (n_cells, n_genes) are left out."""
        out = None if without is None else torch.as_tensor(without, device=self.x.device)

        def block(cut: slice) -> Block:
            return self.likelihood.block(
                self.x[cut].mT.contiguous(),
                None if self.size is None else self.size[cut],
                None if out is None else out[cut].mT.contiguous(),
            )

        return list(each(block, cuts(self.x)))

    def is_open(self, n_parameters: int) -> bool:
        """Whether too few values constrain the fit to find its optimum from anywhere."""
        if not self.likelihood.constant_curvature:
            return False
        every = self.likelihood.zeros_are_values
        n_constraints = self.x.numel() if every else int(torch.count_nonzero(self.x > 0))
        return n_constraints < _LOW_LOAD * n_parameters


def precision_of(x: np.ndarray) -> torch.dtype:
    """Of the work on expression: float64 where it is given in that, else float32."""
    return torch.float64 if x.dtype == np.float64 else torch.float32


def cuts(x: Tensor) -> list[slice]:
    """Cells (n_cells, n_genes) in blocks of much the same size; an even number, so that two threads end together."""
    here = x.device.type == "cpu"
    most, entries = (_BLOCK, _BLOCK_ENTRIES) if here else (_DEVICE_BLOCK, _DEVICE_ENTRIES)
    largest = max(1, min(most, entries // max(1, x.shape[1])))
    if largest > _WHOLE:
        largest -= largest % _WHOLE
    n_blocks = max(1, -(-len(x) // largest))
    n_blocks += n_blocks > 1 and n_blocks % 2
    size = max(1, -(-len(x) // n_blocks))
    if size > _WHOLE:
        size += -size % _WHOLE
    return [slice(k, k + size) for k in range(0, len(x), size)]


def typical_gram(sum_squares: float, n_regulators: int) -> float:
    """‖w_j‖² = ‖z_j‖² of a balanced regulator that explains its share of Σx²: sqrt(Σx² / m).

    The unit of penalties and start weights, so that scaling the data by c scales
    w and z by sqrt(c) and changes nothing else.
    """
    return float(np.sqrt(sum_squares / max(1, n_regulators)))


@dataclass(frozen=True)
class Penalty:
    """Shrinkage of weights and representations, in the units of the data.

    Parameters
    ----------
    z
        λ_z of every column of the decoder, ``(m + q,)``; 0 for known columns.
    anchor
        What weights are shrunk to, ``(n_edges,)``.
    signed
        λ_w of every edge if its sign is known, ``(n_edges,)``; 0 for known columns.
    unsigned
        Square of the size that the prior gives to a weight but not its sign, ``(n_edges,)``: of edges without
        a sign in columns that are shrunk to prior signs; elsewhere 0.
    noise
        σ² that the ridge stands for where weights are shrunk to prior signs.
    balanced
        Columns whose scale is free, ``(m + q,)`` bool: ‖w_j‖ = ‖z_j‖ is kept there.
    scale
        What there is to explain.
    """

    z: Tensor
    anchor: Tensor
    signed: Tensor
    unsigned: Tensor
    noise: float
    balanced: Tensor
    scale: Scale

    @classmethod
    def of(
        cls,
        network: Network,
        n_free: int,
        scale: Scale,
        *,
        ridge: float,
        prior: float,
        shared: bool = False,
        device: str | torch.device | None = None,
    ) -> Penalty:
        """Turn the relative ``ridge`` and ``prior`` of :func:`fit_decoder` into λs, ``shared`` into anchors.

        Penalties are σ² by the variance of a prior. Where weights are as the prior has them, activities have
        the variance τ² = beyond_known / (squares · n_cells); with λ_z = σ² / τ² the ridge says what σ² is.
        """
        column, sign = network.regulator, network.sign
        free = np.arange(network.n_regulators) < n_free
        n_signed = np.bincount(column, np.abs(sign), minlength=network.n_regulators)
        anchored = free & (n_signed > 0) & (prior > 0)
        balanced = free & ~anchored
        size = np.ones(network.n_edges)  # of weights as the prior has them
        if shared:
            n_own = np.bincount(network.gene[column < n_free], minlength=network.n_genes)
            size /= np.sqrt(np.maximum(1, n_own))[network.gene]
        squares = float(np.square(size[column < n_free]).sum()) or 1.0
        of_balanced = ridge * typical_gram(scale.squares, n_free)
        z = np.where(balanced, of_balanced, np.where(anchored, ridge * squares / n_free, 0.0))
        of_anchored = prior * scale.beyond_known / squares
        w = np.where(balanced, of_balanced, np.where(anchored, of_anchored, 0.0))
        # to the digits of single precision, of which more are not known of a penalty
        z, w = (penalty.astype(np.float32).astype(np.float64) for penalty in (z, w))
        tensor = partial(torch.as_tensor, device=device)
        return cls(
            z=tensor(z * scale.p_unit**2),
            anchor=tensor(np.where(anchored[column], network.expected * size, 0.0)),
            signed=tensor(w[column]),
            unsigned=tensor(np.where(anchored[column] & (sign == 0), np.square(size), 0.0)),
            noise=ridge * scale.beyond_known / max(1, n_free * scale.n_cells),
            balanced=tensor(balanced),
            scale=scale,
        )

    @cached_property
    def w(self) -> Tensor:
        """λ_w of every edge, ``(n_edges,)``."""
        return self.edges(self.noise)

    def edges(self, noise: Tensor | float) -> Tensor:
        """λ_w of every edge at noise of variance σ².

        A weight of unknown sign has the prior N(±size, v), v = σ² / λ, with either sign as likely: its mean
        is 0, its variance size² + v, so that 1 / λ_w = 1 / λ + size² / σ².
        """
        total = (noise + self.signed * self.unsigned).clamp(min=torch.finfo(torch.float64).tiny)
        return torch.where(self.unsigned == 0, self.signed, self.signed * noise / total)
