"""Repair of the prior network as part of a fit: with names, and a table of what became of every edge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._load import loads
from grnrep._match import Match
from grnrep._record import Decoder
from grnrep.core.repair import LEAST_LOAD, Repaired, repair_network
from grnrep.rows.blocks import Blocks
from grnrep.rows.scan import Scan
from grnrep.tl._plan import Plan

# so that genes that are mostly zero are seen often enough to judge their edges
_FEWEST_CELLS = 2000


def repair_match(
    blocks: Blocks, scan: Scan, plan: Plan, matched: Match, **options
) -> tuple[Match, Repaired]:
    """Repair the network of a match; refuses where there are too few values to judge edges by.

    The network is learned from the cells that the decoder is learned from, but from 2,000 at least.

    Parameters
    ----------
    blocks, scan, plan
        Expression of ``matched.genes``, sums over all cells, and what the fit starts from.
    matched
        Names and prior edges.
    options
        Of :func:`grnrep.core.repair.repair_network`.
    """
    found = loads(scan.n_obs, scan.n_constraints(plan.link), matched.network, n_known=plan.n_known)
    if found.effective < LEAST_LOAD:
        raise ValueError(
            f"repair=True needs an effective load of at least {LEAST_LOAD:g}, as additions would explain "
            f"noise below it; found {found.effective:.2f}. Use more cells, fewer regulators, or repair=False"
        )
    x, some = plan.x, plan.some
    if len(x) < min(_FEWEST_CELLS, scan.n_obs):
        rows = plan.first(blocks, _FEWEST_CELLS)
        x, some = blocks.take(rows), plan.cells.part(rows)
    shape = {"link": plan.model["link"], "intercept": plan.model["intercept"]}
    repaired = repair_network(x, matched.network, **shape, covariates=some.covariates, **options)
    network = repaired.network
    ends = {
        _keys.SOURCE: matched.regulators[network.regulator],
        _keys.TARGET: matched.genes[network.gene],
    }
    edges = pd.DataFrame(ends).merge(matched.edges, how="left", on=[_keys.SOURCE, _keys.TARGET])
    return replace(matched, network=network, edges=edges), repaired


def repair_table(repaired: Repaired, decoder: Decoder) -> pd.DataFrame:
    """Tabulate every edge of the prior network or added, in the scale and sign of the fit."""
    network, weight = decoder.network, decoder.fit.weight
    before = repaired.start_weight
    m = network.n_regulators
    size = np.bincount(network.regulator, before**2, m)
    overlap = np.bincount(network.regulator, before * weight, m)
    scale = np.divide(overlap, size, out=np.zeros(m), where=size > 0)[repaired.regulator]
    learned = repaired.weight * scale
    learned[repaired.kept] = weight  # both are sorted by gene, then regulator
    return pd.DataFrame(
        {
            _keys.SOURCE: decoder.regulators[repaired.regulator],
            _keys.TARGET: decoder.genes[repaired.gene],
            "prior": repaired.prior,
            _keys.LEARNED: learned,
            "std_err": np.abs(scale) * repaired.std_err,
            "status": np.select(
                [~repaired.prior, repaired.kept], ["added", "kept"], "dropped"
            ).astype(object),
            "fdr": repaired.fdr,
        }
    )
