"""Repair of the prior network before a fit: with names, and a table of what became of every edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._cells import Cells, Model
from grnrep._load import loads
from grnrep._match import Match
from grnrep._record import Decoder
from grnrep.core.repair import LEAST_LOAD, Repaired, repair_network
from grnrep.tl._config import FitConfig
from grnrep.tl._data import Data, Sample

# so that genes that are mostly zero are seen often enough to judge their edges
_FEWEST_CELLS: Final = 2000


def repair(
    data: Data,
    sample: Sample,
    cells: Cells,
    config: FitConfig,
    model: Model,
) -> Repaired:
    """Repair the network; refuses where there are too few values to judge edges by.

    It is learned from the cells that the decoder is learned from, but from 2,000 at least.

    Parameters
    ----------
    data, sample, cells
        What is fitted, the cells that the decoder is learned from, and facts on all cells.
    config
        Seed, device and progress.
    model
        Likelihood and intercept.
    """
    network, n_obs = data.matched.network, data.scan.n_obs
    n_known = int(model.intercept) + cells.n_covariates
    load = loads(n_obs, data.scan.n_constraints(model.link), network, n_known=n_known)
    if load.effective < LEAST_LOAD:
        raise ValueError(
            f"repair needs an effective load of at least {LEAST_LOAD:g}, as additions would explain noise "
            f"below it; found {load.effective:.2f}. Use more cells, fewer regulators, or no repair"
        )
    if len(sample.rows) < min(_FEWEST_CELLS, n_obs):
        sample = sample.resized(data.blocks, _FEWEST_CELLS)
    return repair_network(
        sample.x,
        network,
        likelihood=model.likelihood,
        intercept=model.intercept,
        covariates=cells.part(sample.rows).covariates,
        rng=config.rng,
        device=config.device,
        progress=config.progress,
    )


def with_edges(matched: Match, repaired: Repaired) -> Match:
    """The match with the edges of a repaired network, of which added ones have no prior weight."""
    network = repaired.network
    ends = {
        _keys.SOURCE: matched.regulators[network.regulator],
        _keys.TARGET: matched.genes[network.gene],
    }
    edges = pd.DataFrame(ends).merge(matched.edges, how="left", on=[_keys.SOURCE, _keys.TARGET])
    return replace(matched, network=network, edges=edges)


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
    std_err = np.abs(scale) * repaired.std_err
    return edge_table(repaired, decoder.regulators, decoder.genes, learned, std_err)


def edge_table(
    repaired: Repaired,
    regulators: pd.Index,
    genes: pd.Index,
    learned: np.ndarray,
    std_err: np.ndarray,
) -> pd.DataFrame:
    """Tabulate what became of every edge of the prior network or added."""
    status = np.select([~repaired.prior, repaired.kept], ["added", "kept"], "dropped")
    return pd.DataFrame(
        {
            _keys.SOURCE: regulators[repaired.regulator],
            _keys.TARGET: genes[repaired.gene],
            "prior": repaired.prior,
            _keys.LEARNED: learned,
            "std_err": std_err,
            "status": status.astype(object),
            "fdr": repaired.fdr,
        }
    )
