"""Shrinkage of weights and representations, in units that follow the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    z, w
        λ_z and λ_w of every column of the decoder, ``(m + q,)``; 0 for known columns.
    anchor
        What weights are shrunk to, ``(n_edges,)``.
    balanced
        Columns whose scale is free, ``(m + q,)`` bool: ‖w_j‖ = ‖z_j‖ is kept there.
    unit
        Their typical ‖w_j‖², see :func:`typical_gram`.
    """

    z: Tensor
    w: Tensor
    anchor: Tensor
    balanced: Tensor
    unit: float

    @classmethod
    def build(
        cls,
        network: Network,
        n_free: int,
        *,
        sum_squares: float,
        energy: float,
        ridge: float,
        prior: float,
        shared: bool = False,
    ) -> Penalty:
        """Turn the relative ``ridge`` and ``prior`` of :func:`fit_exact` into λs, ``shared`` into anchors."""
        column = torch.as_tensor(network.regulator)
        signed = torch.zeros(network.n_regulators, dtype=torch.float64)
        signed.index_add_(0, column, torch.as_tensor(network.sign).abs())
        free = torch.arange(network.n_regulators) < n_free
        anchored = free & (signed > 0) & (prior > 0)
        balanced = free & ~anchored
        size = np.ones(network.n_genes)
        if shared:
            regulators = np.bincount(network.gene[network.regulator < n_free], minlength=network.n_genes)
            size = 1 / np.sqrt(np.maximum(1, regulators))
        size = torch.as_tensor(size[network.gene])
        squares = float(size[column < n_free].square().sum()) or 1.0  # of weights as the prior has them
        unit = typical_gram(sum_squares, n_free)
        z = torch.where(balanced, ridge * unit, 0.0) + torch.where(anchored, ridge * squares / n_free, 0.0)
        w = torch.where(balanced, ridge * unit, 0.0) + torch.where(anchored, prior * energy / squares, 0.0)
        anchor = torch.where(anchored[column], torch.as_tensor(network.sign) * size, 0.0)
        return cls(z.double(), w.double(), anchor.double(), balanced, unit)

    def to(self, device: torch.device) -> Penalty:
        """Move to a device."""
        moved = {name: getattr(self, name).to(device) for name in ("z", "w", "anchor", "balanced")}
        return replace(self, **moved)
