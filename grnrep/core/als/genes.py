"""The decoder given the representations: one small system per gene, all genes at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grnrep.core.decoder import Pattern
from grnrep.core.linalg import solve_spd
from grnrep.core.network import Network

_STRIP = 128  # rows of a product of which only one triangle is needed
_ENTRIES = 2**21  # of the systems that are solved at once


@dataclass
class Stats:
    """Sums over cells that the decoder half-step needs; they add over blocks of cells.

    Parameters
    ----------
    gram
        Σ z z', (m + q, m + q) float64; above the diagonal it need not be filled.
    edge
        Σ residual · z at the edges, (n_edges,) float64.
    loss
        Σ residual², float64.
    """

    gram: Tensor
    edge: Tensor
    loss: Tensor

    @classmethod
    def zero(cls, n_columns: int, n_edges: int, device: torch.device | str | None = None) -> Stats:
        """Nothing summed yet."""
        kind = {"dtype": torch.float64, "device": device}
        return cls(
            torch.zeros(n_columns, n_columns, **kind),
            torch.zeros(n_edges, **kind),
            torch.zeros((), **kind),
        )

    @classmethod
    def of(cls, pattern: Pattern, z: Tensor, r: Tensor) -> Stats:
        """Sums over a block of cells, in the precision of ``z`` until they are added to others.

        Steps are corrections of the current weights, so that rounding here does not move where they end.
        """
        loss = torch.linalg.vector_norm(r, dim=1).double().square().sum()
        return cls(_lower(z), pattern.edge_products(r, z), loss)

    def add(self, pattern: Pattern, z: Tensor, r: Tensor) -> None:
        """Add a block of cells: representations (m + q, cells), residuals (n_genes, cells)."""
        self.merge(Stats.of(pattern, z, r))

    def cpu(self) -> Stats:
        """The same in memory."""
        return Stats(self.gram.cpu(), self.edge.cpu(), self.loss.cpu())

    def merge(self, other: Stats) -> None:
        """Add the sums of other cells."""
        self.gram += other.gram
        self.edge += other.edge
        self.loss += other.loss


class GeneSolver:
    """Batches the normal equations of all genes by their number of regulators.

    Genes of similar numbers are padded to the largest of them, which adds at most about a
    third to a side, and each group is one batched Cholesky factorisation. No loop over genes.
    """

    def __init__(self, network: Network, device: torch.device | str | None = None):
        degree, n_columns = network.regulators_per_gene(), network.n_regulators
        self.groups: list[tuple[Tensor, Tensor]] = []
        slots = []
        for genes in _similar(degree):
            slot = np.arange(degree[genes].max())
            real = slot < degree[genes][:, None]
            # padded slots read what stands behind the last edge, or the last entry of the Gram matrix
            edge = np.where(real, network.indptr[genes][:, None] + slot, network.n_edges)
            column = np.append(network.regulator, n_columns)[edge]
            row, other = column[:, :, None], column[:, None, :]
            entry = np.maximum(row, other) * n_columns + np.minimum(row, other)
            entry[~(real[:, :, None] & real[:, None, :])] = n_columns**2
            self.groups.append(tuple(torch.as_tensor(a, device=device) for a in (edge, entry)))
            slots.append(edge.ravel())
        order = np.argsort(np.concatenate([*slots, []]), kind="stable")[: network.n_edges]
        self.slot_of_edge = torch.as_tensor(order, device=device)

    def step(
        self,
        stats: Stats,
        weight: Tensor,
        ridge: Tensor,
        anchor: Tensor,
        precision: torch.dtype = torch.float64,
    ) -> Tensor:
        """Weights that minimise the majoriser at which ``stats`` were summed, float64.

        Parameters
        ----------
        stats
            Sums at the point where the residuals were taken.
        weight
            Weights at that point, ``(n_edges,)``.
        ridge
            λ of the penalty λ (w - anchor)², ``(n_edges,)``.
        anchor
            What weights are shrunk to, ``(n_edges,)``.
        precision
            Of the representations that were summed.
        """
        weight, lam = weight.double(), ridge.double()
        rhs = _append(torch.addcmul(stats.edge, lam, anchor - weight), 0.0)
        lam, gram = _append(lam, 1.0), _append(stats.gram.reshape(-1), 0.0)
        change = [weight[:0]]
        for edge, entry in self.groups:
            system = _take(gram, entry)
            system.diagonal(dim1=1, dim2=2).add_(_take(lam, edge))
            change.append(solve_spd(system, _take(rhs, edge)[:, :, None], precision).reshape(-1))
        return weight + torch.cat(change)[self.slot_of_edge]


def _lower(z: Tensor) -> Tensor:
    """The lower triangle of z z', some rows at a time; above the diagonal there is something or nothing."""
    n = len(z)
    if n <= _STRIP:
        return z @ z.mT
    out = z.new_zeros(n, n)
    for start in range(0, n, _STRIP):
        rows = slice(start, start + _STRIP)
        torch.mm(z[rows], z[: rows.stop].mT, out=out[rows, : rows.stop])
    return out


def _append(values: Tensor, last: float) -> Tensor:
    """A vector with one more value behind the last."""
    return torch.cat([values, values.new_full((1,), last)])


def _take(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]`` of a vector; faster than indexing."""
    return values.index_select(0, index.reshape(-1)).view(index.shape)


def _similar(degree: np.ndarray) -> list[np.ndarray]:
    """Genes with regulators, in groups of similar numbers of them and bounded memory."""
    bounds = np.unique(np.ceil(1.3 ** np.arange(80)).astype(np.int64))
    group = np.searchsorted(bounds, degree)
    out = []
    for g in np.unique(group[degree > 0]):
        genes = np.flatnonzero((group == g) & (degree > 0))
        size = max(1, _ENTRIES // int(degree[genes].max()) ** 2)
        out += [genes[i : i + size] for i in range(0, len(genes), size)]
    return out
