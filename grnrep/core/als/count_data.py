"""Counts as the solver takes them: size factors, rates, blocks of cells, and the unit of the penalties."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.counts import Counted, cell_size_factors

COUNT_LIKELIHOODS = ("poisson", "nb")
_BLOCK_ENTRIES = 2**19  # values of a block of cells


@dataclass(frozen=True, eq=False)
class CountFit(Fit):
    """A fit to counts, with what new cells need besides the decoder.

    Parameters
    ----------
    mean
        Mean rate of every gene, at size factor 1, ``(n_genes,)``.
    softness
        τ of every gene's link, ``(n_genes,)``.
    dispersion
        φ of the variance μ + φ μ² of every gene, ``(n_genes,)``; None under Poisson.
    depth
        Total counts of a cell with size factor 1; NaN where size factors were given.
    """

    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    softness: np.ndarray = field(default_factory=lambda: np.zeros(0))
    dispersion: np.ndarray | None = None
    depth: float = float("nan")


def size_factors_of(
    counts: np.ndarray, given: np.ndarray | None, depth: float | None = None
) -> tuple[Tensor, float]:
    """Size factors, float64, and the depth that they refer to."""
    if given is None:
        s, depth = cell_size_factors(counts, depth)
        return torch.as_tensor(s), depth
    s = np.asarray(given, dtype=np.float64)
    if s.shape != (len(counts),) or not np.all(np.isfinite(s) & (s > 0)):
        raise ValueError(f"size_factors must be {len(counts)} finite numbers above 0, one per cell")
    return torch.as_tensor(s.copy()), float("nan")


def to_rates(counts: np.ndarray, s: Tensor, device: str | torch.device | None) -> Tensor:
    """Counts over size factors, (n_genes, n_cells)."""
    c = torch.as_tensor(np.ascontiguousarray(counts), device=device)
    c = c if c.dtype == torch.float64 else c.float()
    return (c / s.to(c)[:, None]).mT.contiguous()


def block_cells(c: Tensor) -> int:
    """Cells of a block of counts (n_genes, n_cells)."""
    return max(1, min(c.shape[1], _BLOCK_ENTRIES // max(1, len(c))))


def count_blocks(c: Tensor, s: Tensor) -> list[Counted]:
    """Blocks of cells from counts (n_genes, n_cells)."""
    cuts = [slice(k, k + block_cells(c)) for k in range(0, c.shape[1], block_cells(c))]
    return [Counted.of(c[:, cut].contiguous(), s[cut]) for cut in cuts]


def unit_of_rates(
    x: Tensor, s: Tensor, mean: Tensor, intercept: bool
) -> tuple[float, dict[str, float]]:
    """Factor on rates that makes the average weight 1, and the sums that set the penalties' unit.

    In this unit the sum of squares of the rates is the same with and without Poisson weights,
    so that ridge and prior mean what they mean for expression of variance 1.
    """
    weight = torch.where(mean > 0, 1 / mean, 0.0)
    s = s.to(mean)
    squares = x.double().square()
    total = float(weight @ squares @ s)
    spread = total
    if intercept:
        spread = float(weight @ (x.double() - mean[:, None]).square() @ s)
    unit = float(np.sqrt(total / float(squares.sum()))) if total > 0 else 1.0
    return unit, {"sum_squares": total, "energy": spread}


def check_count_likelihood(likelihood: str) -> None:
    """Raise ``ValueError`` unless ``likelihood`` is one of :data:`COUNT_LIKELIHOODS`."""
    if likelihood not in COUNT_LIKELIHOODS:
        raise ValueError(f"likelihood must be one of {COUNT_LIKELIHOODS}; found {likelihood!r}")
