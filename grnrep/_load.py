"""How well data and network determine a fit."""

from __future__ import annotations

from typing import NamedTuple

from grnrep.core.load import decoder_load, effective_load, n_obs_for_load
from grnrep.core.network import Network

# Below this, fits of simulated data are no longer reliable; at 1 there are as many parameters as constraints.
ENOUGH = 1.2


class Loads(NamedTuple):
    """Loads of a network on data.

    Parameters
    ----------
    decoder
        Constraints per parameter, Eq. 3.
    effective
        The same without the zeros that a ReLU censors.
    n_obs_needed
        Cells, as dense in positive values as these, for an effective load of
        1.2; None where no number of cells is enough.
    """

    decoder: float
    effective: float
    n_obs_needed: int | None


def loads(n_obs: int, n_constraints: int, network: Network, *, n_known: int) -> Loads:
    """Compute the loads of a network on cells whose values constrain so many times.

    ``n_known`` columns, intercepts and covariates, have a weight on every gene too.
    """
    n_vars, m = network.n_genes, network.n_regulators
    n_edges = network.n_edges + n_known * n_vars
    decoder = decoder_load(n_obs, n_vars, n_regulators=m, n_edges=n_edges)
    effective = effective_load(n_constraints, n_obs, n_regulators=m, n_edges=n_edges)
    per_cell, needed = n_constraints / n_obs, None
    if per_cell > ENOUGH * m:
        needed = int(n_obs_for_load(ENOUGH, per_cell, n_regulators=m, n_edges=n_edges))
    return Loads(float(decoder), float(effective), needed)


def advice(found: Loads) -> str:
    """Say what to do about a low load; empty where the load is enough."""
    if found.effective >= ENOUGH:
        return ""
    if found.n_obs_needed is None:
        reach, more = "no number of such cells reaches it", "more genes"
    else:
        reach, more = f"{found.n_obs_needed} such cells would reach it", "more cells"
    return (
        f"effective load {found.effective:.2f} is below {ENOUGH}: too few values per parameter for reliable "
        f"activities and weights ({reach}). What helps: {more}, fewer regulators, "
        "prior signs on more edges, denser data"
    )
