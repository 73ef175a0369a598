"""How well cells and network determine a decoder, and how many cells it needs to be learned from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grnrep.core.load import decoder_load, effective_load, n_obs_for_load
from grnrep.core.network import Network

# below this load fits of simulated data are no longer reliable; at 1 there are as many parameters as constraints
_ENOUGH = 1.2
# constraining values for every weight, after each cell has paid for its activities
_PER_WEIGHT = 80
_PER_WEIGHT_SHRUNK = 20  # constraining values for every weight, where a cell has none to spare
_FEWEST = 1000  # cells, where there are as many


class Loads(NamedTuple):
    """Loads of a network on data.

    Parameters
    ----------
    decoder
        Constraints per parameter, Eq. 3.
    effective
        The same without the zeros that a ReLU censors.
    n_obs_needed
        Cells, as dense in positive values as these, for an effective load of 1.2; None where no number is enough.
    """

    decoder: float
    effective: float
    n_obs_needed: int | None

    def advice(self) -> str:
        """What to do about a low load; empty where the load is enough."""
        if self.effective >= _ENOUGH:
            return ""
        reach, more = "no number of such cells reaches it", "More genes"
        if self.n_obs_needed is not None:
            reach, more = f"{self.n_obs_needed} such cells would reach it", "More cells"
        return (
            f"effective load {self.effective:.2f} is below {_ENOUGH}: too few values per parameter for reliable "
            f"activities and weights ({reach}). {more}, fewer regulators, prior signs on more edges or denser "
            "data help"
        )


def loads(n_obs: int, n_constraints: int, network: Network, *, n_known: int) -> Loads:
    """Loads of a network on cells; arguments are those of :func:`sufficient_cells`."""
    n_vars, m = network.n_genes, network.n_regulators
    n_edges = network.n_edges + n_known * n_vars
    decoder = decoder_load(n_obs, n_vars, n_regulators=m, n_edges=n_edges)
    effective = effective_load(n_constraints, n_obs, n_regulators=m, n_edges=n_edges)
    per_cell, needed = n_constraints / n_obs, None
    if per_cell > _ENOUGH * m:
        needed = int(n_obs_for_load(_ENOUGH, per_cell, n_regulators=m, n_edges=n_edges))
    return Loads(float(decoder), float(effective), needed)


def sufficient_cells(n_obs: int, n_constraints: int, network: Network, *, n_known: int = 0) -> int:
    """Number of cells beyond which more of them hardly improve the decoder, at most ``n_obs``.

    A cell with c constraining values spends m of them on its own activities; the other
    c - m are evidence on the weights. From 80 of them for every weight on, and 1,000 cells,
    the rest of the cells add less than 0.0002 to the correlation with the truth at noise sd 0.2,
    and about 0.006 at noise sd 3 (``benchmarks/subsample.py``).

    Where c - m is not positive, shrinkage settles the activities, and more cells improve the weights less:
    20 constraining values for every weight are then taken as enough. With 2,000 genes, 700 regulators, 40,000
    edges with signs and 90 % zeros (c = 200) these are about 4,000 cells. The correlation of held-out
    cells is .688, .692, .694, .695 and .695 after 1,000, 2,000, 4,000, 8,000 and 16,000.

    Parameters
    ----------
    n_obs
        Cells that there are.
    n_constraints
        Values in them that constrain: under a ReLU those above zero.
    network
        Edges.
    n_known
        Known columns, each with a weight on every gene: intercepts and covariates.
    """
    per_cell = n_constraints / max(1, n_obs)  # c
    if per_cell == 0:
        return n_obs
    n_weights = network.n_edges + n_known * network.n_genes
    spare = per_cell - network.n_regulators  # c - m
    values, wanted = (spare, _PER_WEIGHT) if spare > 0 else (per_cell, _PER_WEIGHT_SHRUNK)
    enough = wanted * n_weights / values
    return min(n_obs, max(_FEWEST, int(np.ceil(enough))))
