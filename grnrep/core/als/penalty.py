"""Shrinkage of weights and representations, in units that follow the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from grnrep.core.network import Network


def typical_gram(sum_squares: float, n_regulators: int) -> float:
    """‖w_j‖² = ‖z_j‖² of a balanced regulator that explains its share of Σx²: sqrt(Σx² / m).

    The unit of penalties and start weights, so that scaling the data by c scales
    w and z by sqrt(c) and changes nothing else.
    """
    return float(np.sqrt(sum_squares / max(1, n_regulators)))


@dataclass(frozen=True)
class Penalty:
    """Shrinkage of a fit, in the units of the data.

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
    unit
        Their typical ‖w_j‖², see :func:`typical_gram`.
    p_unit
        Factor on p, and so on z, at which ‖w_j‖ = ‖z_j‖ is meant.
    """

    z: Tensor
    anchor: Tensor
    signed: Tensor
    unsigned: Tensor
    noise: float
    balanced: Tensor
    unit: float
    p_unit: float = 1.0

    @classmethod
    def build(
        cls,
        network: Network,
        n_free: int,
        *,
        sum_squares: float,
        energy: float,
        n_cells: int,
        ridge: float,
        prior: float,
        shared: bool = False,
        p_unit: float = 1.0,
    ) -> Penalty:
        """Turn the relative ``ridge`` and ``prior`` of :func:`fit_decoder` into λs, ``shared`` into anchors.

        Penalties are σ² by the variance of a prior. Where weights are as the prior has them, activities have
        the variance τ² = energy / (squares · n_cells); with λ_z = σ² / τ² the ridge says what σ² is. All of this is
        meant for ``p_unit`` times p, in which the typical curvature of the loss is 1.
        """
        column = torch.as_tensor(network.regulator)
        signed = torch.zeros(network.n_regulators, dtype=torch.float64)
        signed.index_add_(0, column, torch.as_tensor(network.sign).abs())
        free = torch.arange(network.n_regulators) < n_free
        anchored = free & (signed > 0) & (prior > 0)
        balanced = free & ~anchored
        of_gene = np.ones(network.n_genes)
        if shared:
            regulators = np.bincount(
                network.gene[network.regulator < n_free], minlength=network.n_genes
            )
            of_gene = 1 / np.sqrt(np.maximum(1, regulators))
        size = torch.as_tensor(of_gene[network.gene])
        # of weights as the prior has them
        squares = float(size[column < n_free].square().sum()) or 1.0
        unit = typical_gram(sum_squares, n_free)
        z = torch.where(balanced, ridge * unit, 0.0) + torch.where(
            anchored, ridge * squares / n_free, 0.0
        )
        w = torch.where(balanced, ridge * unit, 0.0) + torch.where(
            anchored, prior * energy / squares, 0.0
        )
        sign = torch.as_tensor(network.sign)
        anchor = torch.where(anchored[column], sign * size, 0.0)
        unsigned = torch.where(anchored[column] & (sign == 0), size.square(), 0.0)
        noise = ridge * energy / max(1, n_free * n_cells)
        z, signed_w = z.double() * p_unit**2, w[column].double()
        return cls(z, anchor.double(), signed_w, unsigned.double(), noise, balanced, unit, p_unit)

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

    def to(self, device: torch.device) -> Penalty:
        """Move to a device."""
        names = ("z", "anchor", "signed", "unsigned", "balanced")
        moved = {name: getattr(self, name).to(device) for name in names}
        return replace(self, **moved)
