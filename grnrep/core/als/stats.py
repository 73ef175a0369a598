"""What cells say to the decoder: of a block, and summed over cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass
class Stats:
    """Sums over cells that the decoder half-step needs; they add over blocks of cells.

    Parameters
    ----------
    squares
        Σ z² of every column, ``(m + q,)`` float64.
    edge
        Σ r z at the edges, (n_edges,) float64, with r minus half the slope of the loss.
    loss
        Of every gene, ``(n_genes,)`` float64.
    gram
        Σ z z', (m + q, m + q) float64; above the diagonal it need not be filled. Empty where nothing asks for more of
        it than ``systems`` hold.
    systems
        Σ a z z' of every gene at its own columns, with the curvature a of its entries, in rows, gene after gene:
        ``(n_pairs,)`` float64. None where a is 1 everywhere: ``gram`` has them all then.
    entries
        Entries of every gene with a residual, ``(n_genes,)`` float64, where ``systems`` are of these; else None.
    growth
        How many times as large ``systems`` of every gene are taken for, ``(n_genes,)`` float64, where they are of other
        representations; else None.
    """

    squares: Tensor
    edge: Tensor
    loss: Tensor
    gram: Tensor
    systems: Tensor | None = None
    entries: Tensor | None = None
    growth: Tensor | None = None

    def parts(self) -> dict[str, Tensor]:
        """Sums that are there, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def cpu(self) -> Stats:
        """The same in memory."""
        return Stats(**{name: value.cpu() for name, value in self.parts().items()})

    def merge(self, other: Stats) -> None:
        """Add the sums of other cells."""
        for name, value in other.parts().items():
            getattr(self, name).add_(value)


class Work(NamedTuple):
    """What a block of cells says at its representations.

    Parameters
    ----------
    r
        Minus half the slope of the loss of every entry, (n_genes, n_cells).
    curvature
        Half the curvature, (n_genes, n_cells); None where it is 1: of all entries, if genes share a Gram matrix,
        else of those with a residual.
    loss
        Of every gene, ``(n_genes,)`` float64.
    """

    r: Tensor
    curvature: Tensor | None
    loss: Tensor

    @classmethod
    def of_residual(cls, r: Tensor) -> Work:
        """Under squared error, of residuals (n_genes, n_cells)."""
        return cls(r, None, torch.linalg.vector_norm(r, dim=1).double().square())
