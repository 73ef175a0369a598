"""What a fit minimises, and its two half-steps: cells given decoder, decoder given cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from grnrep.core.als.active import ActiveCells, ActiveSolver
from grnrep.core.als.cells import CellSolver
from grnrep.core.als.data import Penalty
from grnrep.core.als.genes import GeneSolver
from grnrep.core.als.newton import NewtonCells, gene_lengths
from grnrep.core.als.preconditioners import cell_solver, quick_solver
from grnrep.core.als.stats import Stats
from grnrep.core.likelihoods.base import Block, Likelihood
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network

_GROUPS = 8  # of blocks, at most


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
        if bool((scale == 1).all()):  # as where prior signs hold all regulators
            return self
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
    active
        Makes steps by the curvature of entries with a residual (:mod:`grnrep.core.als.active`), of squared error under
        a ReLU; None where a bound is better.
    """

    blocks: list[Block]
    known: list[Tensor]
    network: Network
    n_free: int
    penalty: Penalty
    likelihood: Likelihood
    map: Callable[..., Iterator] = map
    sums: Callable[[Tensor], Stats] | None = None
    active: ActiveSolver | None = None
    pattern: Pattern = field(init=False)
    genes: GeneSolver = field(init=False)
    precision: torch.dtype = field(init=False)  # of residuals
    # sums whose systems may be borrowed
    last: Stats | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.precision = self.blocks[0].x.dtype if self.blocks else torch.float32
        device = self.penalty.z.device
        self.pattern = Pattern(self.network).to(device)
        active = self.active is not None
        shared = self.likelihood.constant_curvature and not active
        self.genes = GeneSolver(self.network, device, shared=shared, active=active)

    def cells(self, weight: Tensor) -> CellSolver | NewtonCells:
        """What finds representations to the end, under a decoder that is the last: :func:`solver_of`."""
        if self.active is not None:
            return self.active(weight.to(self.precision)).solver
        return self._solver(weight, frozen=True)

    def _solver(self, weight: Tensor, *, frozen: bool) -> CellSolver | NewtonCells:
        weight, m = weight.to(self.precision), self.n_free
        ridge = self.penalty.z[:m]
        return solver_of(self.likelihood, self.pattern, weight, m, ridge, frozen=frozen)

    def _steps(self, weight: Tensor) -> CellSolver | NewtonCells | ActiveCells:
        """What makes representations better, under a decoder on the way."""
        if self.active is not None:
            return self.active(weight.to(self.precision))
        return self._solver(weight, frozen=False)

    def begin(self, weight: Tensor) -> State:
        """First iterate of all cells."""
        return State(weight, list(self.map(self._steps(weight).begin, self.blocks, self.known)))

    def cell_step(self, at: State, *, anew: bool = True) -> tuple[list[Tensor], Stats, float]:
        """Cells given decoder: new representations, the sums for the decoder, and the objective there.

        Where systems of genes may lag behind, those of the last time will do unless ``anew``.
        """
        anew = anew or self.last is None
        if self.sums is not None:
            z, stats = list[Tensor](), self.sums(at.weight)
        else:
            cells = self._steps(at.weight)

            def step(some: slice) -> tuple[list[Tensor], Stats]:
                """New representations of some blocks, and their sums."""
                better = list[Tensor]()
                total = self.genes.no_stats(at.weight.device, systems=anew)
                for block, before in zip(self.blocks[some], at.z[some], strict=True):
                    z, work = cells.advance(block, before)
                    better.append(z)
                    self.genes.add(total, self.pattern, z, work)
                return better, total

            parts = self.map(step, _groups(len(self.blocks)))
            z, stats = next(parts)
            for better, part in parts:
                z += better
                stats.merge(part)
        if self.active is not None and self.active.lags:
            if self.last is None or anew:
                self.last = stats
            else:
                self.genes.borrow(stats, self.last)
        penalty = self.penalty.z @ stats.squares
        penalty += self.penalty.w @ (at.weight - self.penalty.anchor).square()
        return z, stats, float(stats.loss.sum() + penalty)

    def gene_step(self, stats: Stats, at: State) -> Tensor:
        """Decoder given cells: weights, from the sums at the weights and representations ``at``.

        Where curvatures change on the way, every gene halves its step until its own objective does not rise.
        Cells that are in no block are not there to ask; :func:`grnrep.core.als.loop.alternate` sees to it then.
        """
        penalty = self.penalty
        weight = self.genes.step(
            stats, at.weight, penalty.w, penalty.anchor, self.precision, self.map
        )
        if self.likelihood.constant_curvature or not self.blocks:
            return weight
        gene, change = self.pattern.gene, weight - at.weight
        matrix, other = (self.pattern.matrix(w.to(at.z[0])) for w in (at.weight, change))
        length = gene_lengths(
            self.likelihood,
            self.blocks,
            # z must be the rows that stats were summed at
            list(self.map(lambda z: (matrix @ z, other @ z), at.z)),
            lambda length: self.shrinkage(at.weight + length[gene] * change),
            self.by_gene(stats, at.weight),
            self.map,
        )
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
        scale = (self.penalty.scale.p_unit**2 * squares / of_weights).sqrt().sqrt()
        return torch.where(self.penalty.balanced & scale.isfinite() & (scale > 0), scale, 1.0)


def _groups(n_blocks: int) -> list[slice]:
    """Blocks whose sums are added up before they are added to others, which costs as much as some cells."""
    # the largest groups first: where one came last, a thread would be left with it
    whole, more = divmod(n_blocks, _GROUPS)
    ends = list(accumulate(whole + (k < more) for k in range(_GROUPS)))
    return [slice(a, b) for a, b in pairwise([0, *ends]) if a < b]


def solver_of(
    likelihood: Likelihood, pattern: Pattern, weight: Tensor, m: int, ridge: Tensor, *, frozen: bool
) -> CellSolver | NewtonCells:
    """What finds the representations of any cells under a decoder; ``weight`` is in the precision of the data.

    Either has the same methods: ``begin``, ``step`` and ``work`` of an iteration, and ``project`` to the end. A
    decoder that is ``frozen`` is for the last alone, by what is quickest then.
    """
    if not likelihood.constant_curvature:
        return NewtonCells.of(likelihood, pattern, weight, m, ridge)
    quick = frozen and not likelihood.zeros_are_values
    return (quick_solver if quick else cell_solver)(pattern, weight, m, ridge)
