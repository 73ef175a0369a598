"""What a step of :mod:`grnrep.core.als.evidence` reads and writes: prior, posterior moments, and sums over cells.

Symbols are those of that module's equations; arrays are of m free columns, then q known ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grnrep.core.linalg import Pattern
from grnrep.core.network import Network


@dataclass(frozen=True, eq=False)
class Prior:
    """Of weights and representations; variances that are not given are learned.

    Parameters
    ----------
    anchor
        a of every edge, ``(n_edges,)``; 0 where no sign is known.
    size
        Size of a typical weight, ``(n_edges,)``.
    signed, unsigned
        Which edges of regulators have a known sign, and which have not, ``(n_edges,)`` bool.
    group
        Which edges share a variance that is learned, ``(n_edges,)``: one for every free factor, one for all
        intercepts under a ReLU; -1 elsewhere.
    tau2
        v / size² of known signs; None to learn it.
    correlated
        Whether correlations of regulators are learned; else they are taken for independent.
    inflation
        ψ by the variance of residuals: how many genes that share their noise count for one.
    """

    anchor: Tensor
    size: Tensor
    signed: Tensor
    unsigned: Tensor
    group: Tensor
    tau2: float | None
    correlated: bool
    inflation: float = 1.0

    @property
    def n_groups(self) -> int:
        """Number of variances that are learned."""
        return int(self.group.max()) + 1 if len(self.group) else 0

    def variance(self, tau2: float, of_group: Tensor) -> Tensor:
        """Variance v of every edge; infinite of known columns, which nothing is known of before.

        A weight of unknown sign is N(0, size² + v): N(± size, v) with either sign as likely has that variance.
        """
        square, grouped = self.size.square(), self.group >= 0
        out = torch.where(self.signed, tau2 * square, torch.inf)
        out = torch.where(self.unsigned, (1 + tau2) * square, out)
        out[grouped] = of_group[self.group[grouped]]
        return out


@dataclass(frozen=True, eq=False)
class Moments:
    """Posteriors and parameters of an iterate.

    Parameters
    ----------
    weight
        w̄ of every edge, ``(n_edges,)`` float64, those of known columns too.
    z
        z̄, (m + q, cells) of every block, known rows last.
    noise
        ψ of every gene, ``(n_genes,)``.
    covariance
        C, (m, m).
    tau2
        v / size² of known signs.
    of_group
        v of every group of the prior, ``(n_groups,)``.
    doubt
        Σ_i V_i / ψ_i, (m + q, m + q).
    weight_sd
        √V_ee of every edge, ``(n_edges,)``.
    log_det
        Σ_i log |V_i⁻¹|.
    """

    weight: Tensor
    z: list[Tensor]
    noise: Tensor
    covariance: Tensor
    tau2: float
    of_group: Tensor
    doubt: Tensor
    weight_sd: Tensor
    log_det: float = 0.0


@dataclass(frozen=True, eq=False)
class Sums:
    """Over cells, of what a step of the decoder needs: those of blocks add up.

    Parameters
    ----------
    gram
        Σ z̄ z̄', (m + q, m + q).
    edge
        Σ r z̄ at the edges, ``(n_edges,)``, with the residuals r of expected expression.
    squares
        Σ r², ``(n_genes,)``.
    hidden
        Variance of what is below zeros, ``(n_genes,)``.
    loss
        Σ -2 log p(x | z̄, w̄), up to constants and log ψ, ``(n_genes,)``.
    penalty
        Σ_k z̄'(C⁻¹ + doubt) z̄.
    z
        Σ z̄, ``(m + q,)``.
    """

    gram: Tensor
    edge: Tensor
    squares: Tensor
    hidden: Tensor
    loss: Tensor
    penalty: Tensor
    z: Tensor

    @classmethod
    def none(cls, network: Network, device: torch.device | None = None) -> Sums:
        """Nothing summed yet."""
        n_genes, n_edges, columns = network.n_genes, network.n_edges, network.n_regulators
        shapes = [
            (columns, columns),
            (n_edges,),
            (n_genes,),
            (n_genes,),
            (n_genes,),
            (),
            (columns,),
        ]
        return cls(*(torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes))

    @classmethod
    def at(
        cls, pattern: Pattern, z: Tensor, r: Tensor, hidden: Tensor, loss: Tensor, penalty: Tensor
    ) -> Sums:
        """Of a block with representations ``z`` (m + q, n_cells) and expected residuals ``r``."""
        squares = torch.linalg.vector_norm(r, dim=1).double().square()
        edge = pattern.edge_products(r, z)
        return cls(z @ z.mT, edge, squares, hidden, loss, penalty, z.sum(1, dtype=torch.float64))

    def merge(self, other: Sums) -> None:
        """Add the sums of other cells."""
        for name, value in vars(other).items():
            getattr(self, name).add_(value)

    def cpu(self) -> Sums:
        """The same in memory."""
        return Sums(**{name: value.cpu() for name, value in vars(self).items()})

    def in_units(self, unit: Tensor, gene: Tensor) -> Sums:
        """With residuals of every gene in its ``unit``; ``gene`` is that of every edge."""
        square = unit.square()
        return replace(
            self,
            edge=self.edge / unit[gene],
            squares=self.squares / square,
            hidden=self.hidden / square,
        )
