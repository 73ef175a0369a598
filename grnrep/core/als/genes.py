"""The decoder given the representations: one small system per gene, all genes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.stats import Stats, Work
from grnrep.core.kernels import add_active, add_systems, solve_genes
from grnrep.core.linalg import Pattern, solve_spd, soundness
from grnrep.core.network import Network

_STRIP = 128  # rows of a product of which only one triangle is needed
_ENTRIES = 2**21  # of the systems that are solved at once
# products that the calls for a group take as long as, and those that a system's entry costs beside its factorisation
_CALLS, _PASSES = 3e6, 20
_GATHERED = 2**22  # values of representations that are laid out gene by gene at once
_PARTS = 8  # of the genes, solved side by side


class _Group(NamedTuple):
    """Genes of similar numbers of regulators, padded to the largest of them.

    Parameters
    ----------
    genes
        Which they are, ``(b,)``.
    edge, column
        Their edges, and the regulators of these, (b, d).
    entry
        Entries of their systems in ``Stats.gram`` or ``Stats.systems``, (b, d, d).

    What is padded stands behind the last edge, column or entry.
    """

    genes: Tensor
    edge: Tensor
    column: Tensor
    entry: Tensor


class GeneSolver:
    """The normal equations of all genes: compiled on the CPU, elsewhere in batches by numbers of regulators.

    There genes of similar numbers (:func:`similar`) are padded to the largest of them, and each group is one batched
    Cholesky factorisation. No loop over genes.

    Parameters
    ----------
    network
        Edges.
    device
        Where to compute.
    shared
        Whether all genes share a Gram matrix, from which their systems are taken; else each has its own.
    active
        Whether their own are of entries with a residual, whose curvature is 1, and nothing else is asked for.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device | str | None = None,
        *,
        shared: bool = True,
        active: bool = False,
    ):
        self.network, self.device = network, device
        self.shared, self.active = shared, active
        # the systems of all genes, gene after gene, each in rows
        self.first_pair = np.append(0, np.cumsum(network.regulators_per_gene() ** 2))
        self.n_pairs = int(self.first_pair[-1])

    @cached_property
    def groups(self) -> list[_Group]:
        """Genes of similar numbers of regulators."""
        network, n_columns = self.network, self.network.n_regulators
        degree, groups = network.regulators_per_gene(), list[_Group]()
        for genes in similar(degree):
            slot, n = np.arange(degree[genes].max()), degree[genes][:, None]
            real = slot < n
            edge = np.where(real, network.indptr[genes][:, None] + slot, network.n_edges)
            column = np.append(network.regulator, n_columns)[edge]
            if self.shared:
                row, other = column[:, :, None], column[:, None, :]
                entry = np.maximum(row, other) * n_columns + np.minimum(row, other)
            else:
                entry = (self.first_pair[genes][:, None] + slot * n)[:, :, None] + slot
            last = n_columns**2 if self.shared else self.n_pairs
            entry = np.where(real[:, :, None] & real[:, None, :], entry, last)
            parts = (
                torch.as_tensor(part, device=self.device) for part in (genes, edge, column, entry)
            )
            groups.append(_Group(*parts))
        return groups

    @cached_property
    def slot_of_edge(self) -> Tensor:
        """Where every edge is among those of all groups, ``(n_edges,)``."""
        none = torch.zeros(0, dtype=torch.int64, device=self.device)
        edges = torch.cat([none, *(group.edge.reshape(-1) for group in self.groups)])
        return torch.argsort(edges, stable=True)[: self.network.n_edges]

    def no_stats(self, device: torch.device | str | None = None, *, systems: bool = True) -> Stats:
        """Nothing summed yet; without ``systems`` those of genes are not summed."""
        network, n_columns = self.network, self.network.n_regulators
        side = 0 if self.active else n_columns

        def zeros(*size: int) -> Tensor:
            return torch.zeros(size, dtype=torch.float64, device=device)

        return Stats(
            squares=zeros(n_columns),
            edge=zeros(network.n_edges),
            loss=zeros(network.n_genes),
            gram=zeros(side, side),
            systems=zeros(self.n_pairs) if systems and not self.shared else None,
            entries=zeros(network.n_genes) if self.active else None,
        )

    def add(self, total: Stats, pattern: Pattern, z: Tensor, work: Work) -> None:
        """Add the sums over a block of cells with the representations ``z`` (m + q, n_cells).

        In the precision of ``z`` until they are added to others: steps are corrections of the current weights, so
        that rounding here does not move where they end.
        """
        total.squares.add_(torch.linalg.vecdot(z, z))
        total.loss.add_(work.loss)
        if total.entries is not None:
            if total.systems is not None and z.device.type == "cpu":
                sums = (z, work.r, total.systems, total.edge, total.entries)
                parts = (part.contiguous().numpy() for part in sums)
                add_active(self.network.indptr, self.network.regulator, self.first_pair, *parts)
                return
            signs = work.r.sign()  # how many are not 0, in a third of the time that counting takes
            total.entries.add_(torch.linalg.vecdot(signs, signs))
        total.edge.add_(pattern.edge_products(work.r, z))
        if len(total.gram):
            total.gram.add_(_lower(z))
        if total.systems is not None:
            resists = torch.ne(work.r, 0).to(z) if work.curvature is None else work.curvature
            total.systems.add_(self.systems(z, resists))

    def borrow(self, stats: Stats, last: Stats) -> None:
        """Give sums without systems those of the last time, larger by as much as entries with a residual are more.

        A step need not know its curvature exactly, but must not take it for much less than it is: a gene whose last
        entries were few would go far beyond where the many of now ask it to, and where these are zeros no
        residual would call it back. One without any at the last time waits.
        """
        if last.systems is None or last.entries is None or stats.entries is None:
            raise ValueError("there are no systems of entries with a residual to borrow")
        gene = torch.as_tensor(self.network.gene, device=last.entries.device)
        stats.systems = last.systems
        stats.growth = (stats.entries / last.entries.clamp(min=1)).clamp(min=1)
        stats.edge.mul_((last.entries > 0)[gene])

    def systems(self, z: Tensor, curvature: Tensor) -> Tensor:
        """Σ a z z' of every gene, as in :class:`Stats`, of z (m + q, n_cells) with curvatures (n_genes, n_cells)."""
        if z.device.type == "cpu":
            sums = np.zeros(self.n_pairs)
            parts = (part.contiguous().numpy() for part in (z, curvature))
            add_systems(self.network.indptr, self.network.regulator, self.first_pair, *parts, sums)
            return torch.from_numpy(sums)
        padded = torch.cat([z, z.new_zeros(1, z.shape[1])])
        out = z.new_zeros(self.n_pairs + 1)
        for genes, _, column, entry in self.groups:
            n = max(1, _GATHERED // max(1, column.shape[1] * z.shape[1]))
            for start in range(0, len(genes), n):
                some = slice(start, start + n)
                of_gene = padded[column[some]]  # (b, d, n_cells)
                weighted = of_gene * curvature[genes[some]][:, None]
                out[entry[some].reshape(-1)] = (weighted @ of_gene.mT).reshape(-1)
        return out[:-1]

    def step(
        self,
        stats: Stats,
        weight: Tensor,
        ridge: Tensor,
        anchor: Tensor,
        precision: torch.dtype = torch.float64,
        each: Callable[..., Iterable] = map,
    ) -> Tensor:
        """Weights that minimise the majoriser, with the penalty ridge (w - anchor)², ``(n_edges,)`` float64.

        ``stats`` were summed at ``weight``, from representations in ``precision``. On the CPU ``each`` maps over parts
        of the genes.
        """
        weight, lam = weight.double(), ridge.double()
        # every gene: (Σ a z z' + λ) Δw = Σ r z + λ (anchor - w)
        rhs = torch.addcmul(stats.edge, lam, anchor - weight)
        values = (stats.gram if stats.systems is None else stats.systems).reshape(-1)
        growth = torch.ones_like(stats.loss) if stats.growth is None else stats.growth
        if weight.device.type == "cpu":
            network, n_columns = self.network, len(stats.gram) if stats.systems is None else 0
            systems, of_genes = values.numpy(), growth.numpy()
            given, change = (lam.numpy(), rhs.numpy(), *soundness(precision)), np.empty(len(weight))

            def solve(a: int, b: int) -> None:
                """Set the changes of the genes from ``a`` up to ``b``."""
                edges = (network.indptr[a : b + 1], network.regulator, self.first_pair[a:b])
                solve_genes(*edges, systems, n_columns, of_genes[a:b], *given, change)

            ends = np.linspace(0, network.n_genes, _PARTS + 1, dtype=int)
            for _ in each(solve, ends[:-1], ends[1:]):
                pass
            return weight + torch.from_numpy(change)
        rhs, lam, values = append(rhs, 0.0), append(lam, 1.0), append(values, 0.0)
        changes = [weight[:0]]
        for genes, edge, _, entry in self.groups:
            system = take(values, entry) * growth[genes, None, None]
            system.diagonal(dim1=1, dim2=2).add_(take(lam, edge))
            changes.append(solve_spd(system, take(rhs, edge)[:, :, None], precision).reshape(-1))
        return weight + torch.cat(changes)[self.slot_of_edge]


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


def append(values: Tensor, last: float) -> Tensor:
    """A vector with one more value behind the last."""
    return torch.cat([values, values.new_full((1,), last)])


def take(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]`` of a vector; faster than indexing."""
    return values.index_select(0, index.reshape(-1)).view(index.shape)


def similar(degree: np.ndarray) -> list[np.ndarray]:
    """Genes with regulators, in groups of similar numbers of them, solved padded to the largest, and bounded memory.

    Cuts are where all systems together cost least: many groups pay for calls, few for what is padded.
    """
    sides, counts = np.unique(degree[degree > 0], return_counts=True)
    before = np.append(0, np.cumsum(counts))
    # least[j]: cost of the genes of the j lowest numbers; the last group of these begins at first[j]
    least, first = np.zeros(len(sides) + 1), np.zeros(len(sides) + 1, dtype=np.int64)
    for j, side in enumerate(sides, 1):
        padded = (before[j] - before[:j]) * float(side) ** 2 * (side + _PASSES)
        cost = least[:j] + _CALLS + padded
        first[j] = cost.argmin()
        least[j] = cost[first[j]]
    out, end = list[np.ndarray](), len(sides)
    while end:
        start, side = first[end], int(sides[end - 1])
        genes = np.flatnonzero((degree >= sides[start]) & (degree <= side))
        size = max(1, _ENTRIES // side**2)
        out = [genes[i : i + size] for i in range(0, len(genes), size)] + out
        end = start
    return out
