"""How many cells a decoder needs to be learned from."""

from __future__ import annotations

import numpy as np

from grnrep.core.load import count_constraints
from grnrep.core.network import Network

_PER_WEIGHT = 80  # constraints for every weight, after each cell has paid for its activities
_FEWEST = 1000


def sufficient_cells(x: np.ndarray, network: Network, *, link: str = "relu", intercept: bool = False) -> int:
    """Number of cells beyond which more of them hardly improve the decoder, at most ``len(x)``.

    A cell with c constraining values spends m of them on its own activities; the other
    c - m are evidence on the weights. From 80 of them for every weight on, and 1,000 cells,
    the rest of the cells add less than 0.0002 to the correlation with the truth at noise sd 0.2,
    and about 0.006 at noise sd 3 (``benchmarks/subsample.py``). Where c - m is not positive,
    no number of cells is enough.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges.
    link, intercept
        As in the fit.
    """
    constraints = count_constraints(x) if link == "relu" else x.size
    spare = constraints / max(1, len(x)) - network.n_regulators
    n_weights = network.n_edges + (network.n_genes if intercept else 0)
    if spare <= 0:
        return len(x)
    return min(len(x), max(_FEWEST, int(np.ceil(_PER_WEIGHT * n_weights / spare))))
