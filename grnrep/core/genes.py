"""The decoder given the representations: one small system per gene, all genes at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grnrep.core.decoder import Pattern
from grnrep.core.network import Network


@dataclass
class Stats:
    """Sums over cells that the decoder half-step needs; they add over blocks of cells.

    Parameters
    ----------
    gram
        Σ z z', (m + q, m + q) float64.
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
            torch.zeros(n_columns, n_columns, **kind), torch.zeros(n_edges, **kind), torch.zeros((), **kind)
        )

    def add(self, pattern: Pattern, z: Tensor, r: Tensor) -> None:
        """Add a block of cells: representations (m + q, cells), residuals (n_genes, cells)."""
        wide = z.double()
        self.gram += wide @ wide.mT
        self.edge += pattern.edge_products(r, z).double()
        self.loss += torch.linalg.vector_norm(r, dim=1).double().square().sum()


class GeneSolver:
    """Batches the normal equations of all genes by their number of regulators.

    Genes are grouped so that padding wastes at most about a tenth of a side; each
    group is one batched Cholesky factorisation. No loop over genes.
    """

    def __init__(self, network: Network, device: torch.device | str | None = None):
        degree = network.regulators_per_gene()
        edges = np.unique(np.ceil(1.1 ** np.arange(200)).astype(np.int64))
        group = np.searchsorted(edges, degree)
        self.groups: list[tuple[Tensor, Tensor, Tensor]] = []
        for g in np.unique(group[degree > 0]):
            genes = np.flatnonzero((group == g) & (degree > 0))
            slot = np.arange(degree[genes].max())
            real = slot < degree[genes][:, None]
            edge = np.where(real, network.indptr[genes][:, None] + slot, 0)
            self.groups.append(
                tuple(torch.as_tensor(a, device=device) for a in (edge, network.regulator[edge], real))
            )

    def step(self, stats: Stats, weight: Tensor, ridge: Tensor, anchor: Tensor) -> Tensor:
        """Weights that minimise the majoriser at which ``stats`` were summed, float64.

        Parameters
        ----------
        stats
            Sums at the point where the residuals were taken.
        weight
            Weights at that point, ``(n_edges,)``.
        ridge
            λ of the penalty λ‖w - anchor‖², one per column of the decoder, ``(m + q,)``.
        anchor
            What weights are shrunk to, ``(n_edges,)``.
        """
        weight, pull = weight.double(), (anchor - weight).double()
        ridge = ridge.double()
        out = weight.clone()
        for edge, column, real in self.groups:
            lam = ridge[column]
            system = stats.gram[column[:, :, None], column[:, None, :]]
            system = system * (real[:, :, None] & real[:, None, :])
            system.diagonal(dim1=1, dim2=2).add_(torch.where(real, lam, 1.0))
            rhs = (stats.edge[edge] + lam * pull[edge]) * real
            change = _solve_spd(system, rhs[:, :, None])[:, :, 0]
            out[edge[real]] = (weight[edge] + change)[real]
        return out


def _solve_spd(system: Tensor, rhs: Tensor) -> Tensor:
    """Batched Cholesky solve; systems that are not definite get the least-norm solution."""
    factor, info = torch.linalg.cholesky_ex(system)
    out = torch.cholesky_solve(rhs, factor)
    bad = info > 0
    if bool(bad.any()):
        out[bad] = torch.linalg.pinv(system[bad], hermitian=True) @ rhs[bad]
    return out
