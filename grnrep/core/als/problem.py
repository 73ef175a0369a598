"""What is minimised: data, penalty and likelihood, with the two half-steps of an iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from grnrep.core.als.cells import cell_solver
from grnrep.core.als.genes import GeneSolver, Stats, Work
from grnrep.core.als.newton import NewtonCells, backtrack
from grnrep.core.als.penalty import Penalty
from grnrep.core.decoder import Pattern
from grnrep.core.likelihoods.base import Block, Likelihood
from grnrep.core.network import Network


class Cells(Protocol):
    """A decoder, ready to find the representations (m + q, n_cells) of any cells under it."""

    def begin(self, block: Block, known: Tensor) -> Tensor:
        """First representations, beside known columns (q, n_cells)."""

    def step(self, block: Block, z: Tensor) -> Tensor:
        """Better representations."""

    def work(self, block: Block, z: Tensor) -> Work:
        """What the cells say at representations."""

    def project(self, block: Block, known: Tensor, *, max_iter: int, tol: float) -> Tensor:
        """Representations at the minimum."""


@dataclass(frozen=True)
class State:
    """Weights and representations of one iterate; z in the blocks of the data."""

    weight: Tensor
    z: list[Tensor]

    def extrapolated(self, previous: State, beta: float) -> State:
        """From ``previous`` through this iterate, and on by the share ``beta``."""
        if beta == 0:
            return self
        z = [torch.lerp(b, a, 1 + beta) for a, b in zip(self.z, previous.z, strict=True)]
        return State(torch.lerp(previous.weight, self.weight, 1 + beta), z)

    def rescaled(self, column: Tensor, scale: Tensor) -> State:
        """Multiply w by ``scale`` and divide z by it; predictions stay."""
        return State(self.weight * scale[column], [z / scale.to(z)[:, None] for z in self.z])


@dataclass
class Problem:
    """Data in blocks of cells, and known rows (q, cells) of each, and all that is fixed during a search.

    Parameters
    ----------
    blocks, known
        Data in memory; none where ``sums`` are given.
    network
        Edges, those of known columns too.
    n_free
        m, the number of regulators.
    penalty
        Of weights and representations.
    likelihood
        How expression scatters about W z.
    map
        Over blocks: side by side, if it can.
    sums
        Of cells that are in no block, at given weights and at their best representations.
    """

    blocks: list[Block]
    known: list[Tensor]
    network: Network
    n_free: int
    penalty: Penalty
    likelihood: Likelihood
    map: Callable[..., Iterator] = map
    sums: Callable[[Tensor], Stats] | None = None
    pattern: Pattern = field(init=False)
    genes: GeneSolver = field(init=False)
    precision: torch.dtype = field(init=False)  # of residuals

    def __post_init__(self) -> None:
        self.precision = self.blocks[0].x.dtype if self.blocks else torch.float32
        device = self.penalty.z.device
        self.pattern = Pattern(self.network).to(device)
        shared = self.likelihood.constant_curvature
        self.genes = GeneSolver(self.network, device, shared=shared)

    def cells(self, weight: Tensor) -> Cells:
        """What finds representations under a decoder, in the precision of the data."""
        ridge = self.penalty.z[: self.n_free]
        if self.likelihood.constant_curvature:
            return cell_solver(self.pattern, weight.to(self.precision), self.n_free, ridge)
        return NewtonCells.of(self.likelihood, self.pattern, weight, self.n_free, ridge)

    def begin(self, weight: Tensor) -> State:
        """First iterate of all cells."""
        return State(weight, list(self.map(self.cells(weight).begin, self.blocks, self.known)))

    def cell_step(self, at: State) -> tuple[list[Tensor], Stats, float]:
        """Cells given decoder: new representations, the sums for the decoder, and the objective there."""
        z: list[Tensor] = []
        if self.sums is not None:
            stats = self.sums(at.weight)
        else:
            cells, stats = self.cells(at.weight), self.genes.no_stats(at.weight.device)

            def step(block: Block, before: Tensor) -> tuple[Tensor, Stats]:
                after = cells.step(block, before)
                return after, self.genes.stats(self.pattern, after, cells.work(block, after))

            for after, part in self.map(step, self.blocks, at.z):
                z.append(after)
                stats.merge(part)
        penalty = self.penalty.z @ stats.gram.diagonal()
        penalty += self.penalty.w @ (at.weight - self.penalty.anchor).square()
        return z, stats, float(stats.loss.sum() + penalty)

    def gene_step(self, stats: Stats, at: State) -> Tensor:
        """Decoder given cells: weights, from the sums at the weights and representations ``at``.

        Where curvatures change on the way, every gene halves its step until its own objective does not rise.
        Cells that are in no block are not there to ask; :func:`alternate` sees to it then.
        """
        penalty = self.penalty
        weight = self.genes.step(stats, at.weight, penalty.w, penalty.anchor, self.precision)
        if self.likelihood.constant_curvature or not self.blocks:
            return weight
        gene, change = self.pattern.gene, weight - at.weight
        matrix, other = (self.pattern.matrix(w.to(at.z[0])) for w in (at.weight, change))
        # z must be the rows that stats were summed at
        p = list(self.map(lambda z: (matrix @ z, other @ z), at.z))

        def objective(length: Tensor, some: Tensor | None) -> Tensor:
            whole = length if some is None else none.index_copy(0, some, length)
            likelihood = self.likelihood if some is None else self.likelihood.genes(some)

            def loss(block: Block, parts: tuple[Tensor, Tensor]) -> Tensor:
                if some is not None:
                    block, parts = block.genes(some), (parts[0][some], parts[1][some])
                at_length = parts[0] + length.to(parts[0])[:, None] * parts[1]
                return likelihood.loss(block, at_length).sum(1, dtype=torch.float64)

            total = self.shrinkage(at.weight + whole[gene] * change)
            total = total if some is None else total[some]
            for part in self.map(loss, self.blocks, p):
                total = total + part
            return total

        none = torch.zeros_like(stats.loss)
        length = backtrack(objective, self.by_gene(stats, at.weight), none, self.precision)
        return at.weight + length[gene] * change

    def shrinkage(self, weight: Tensor) -> Tensor:
        """Σ λ (w - a)² over the edges of every gene, ``(n_genes,)``."""
        squares = self.penalty.w * (weight - self.penalty.anchor).square()
        zero = torch.zeros(self.network.n_genes, dtype=torch.float64, device=weight.device)
        return zero.index_add_(0, self.pattern.gene, squares)

    def by_gene(self, stats: Stats, weight: Tensor) -> Tensor:
        """Loss and penalty of every gene's weights, at which ``stats`` were summed, ``(n_genes,)``."""
        return stats.loss + self.shrinkage(weight)

    def balance(self, squares: Tensor, weight: Tensor) -> Tensor:
        """Scale of every column at which ‖w_j‖ = ‖z_j‖ in the unit of penalties, so that these are least.

        ``squares`` are Σ z². Columns whose scale is not free have 1.
        """
        of_weights = torch.zeros_like(squares).index_add_(
            0, self.pattern.regulator, weight.double().square()
        )
        scale = (self.penalty.p_unit**2 * squares / of_weights).sqrt().sqrt()
        return torch.where(self.penalty.balanced & scale.isfinite() & (scale > 0), scale, 1.0)
