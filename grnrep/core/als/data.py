"""Expression as a fit takes it: precision, size factors, known columns, blocks, and the unit of penalties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grnrep.core.design import known_columns, without_known
from grnrep.core.likelihoods import check_likelihood
from grnrep.core.likelihoods.base import Block, Likelihood
from grnrep.core.likelihoods.counts import size_factors_of
from grnrep.core.likelihoods.gaussian import squared_sum

_BLOCK = 512  # cells a block at most
_BLOCK_ENTRIES = 2**19  # values a block at most, so that its products stay in the processor's cache
_WHOLE = 16  # cells that fill vectors of either precision
_LOW_LOAD = 1.5  # effective load below which a fit does not find its optimum from anywhere


class Sums(NamedTuple):
    """Σ a x² of working values x with their typical curvatures a, and what known columns leave of it."""

    squares: float
    beyond_known: float


@dataclass(frozen=True, eq=False)
class Data:
    """What there is to fit, and the unit of p in which it is fitted.

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
    def unit(self) -> float:
        """Factor on p that makes the average typical curvature 1; 1 under squared error.

        The sum of squares of ``unit`` times working values is that of working values with their curvatures. In it
        ridge and prior mean what they mean under squared error.
        """
        if self.likelihood.constant_curvature:
            return 1.0
        total = float(squared_sum(self.working))
        return math.sqrt(self.sums.squares / total) if total > 0 else 1.0

    @cached_property
    def sums(self) -> Sums:
        """What there is to explain."""
        values = self.working
        rest = without_known(values, self.known) if self.known.shape[1] else values
        if self.likelihood.constant_curvature:
            return Sums(float(squared_sum(values)), float(squared_sum(rest)))
        root = self.likelihood.curvature(self.size).to(values).sqrt().mT
        return Sums(float(squared_sum(values * root)), float(squared_sum(rest * root)))

    def blocks(self, without: np.ndarray | None = None) -> list[Block]:
        """Blocks of cells; entries ``without`` (n_cells, n_genes) are left out."""
        out = None if without is None else torch.as_tensor(without, device=self.x.device)
        return [
            self.likelihood.block(
                self.x[cut].mT.contiguous(),
                None if self.size is None else self.size[cut],
                None if out is None else out[cut].mT.contiguous(),
            )
            for cut in cuts(self.x)
        ]

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
    """Cells (n_cells, n_genes) in blocks."""
    size = max(1, min(_BLOCK, _BLOCK_ENTRIES // max(1, x.shape[1])))
    if size > _WHOLE:
        size -= size % _WHOLE
    return [slice(k, k + size) for k in range(0, len(x), size)]
