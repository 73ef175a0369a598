"""Tables of what became of every edge in a repair."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._record import Decoder
from grnrep.core.repair import Repaired


def repair_table(repaired: Repaired, decoder: Decoder) -> pd.DataFrame:
    """Tabulate every edge of the prior network or added, in the scale and sign of the fit."""
    network, weight = decoder.network, decoder.fit.weight
    # the weights of a gene that is never seen are in no unit
    judged = np.isfinite(repaired.std_err[repaired.kept])
    before = np.where(judged, repaired.start_weight, 0.0)
    m = network.n_regulators
    size = np.bincount(network.regulator, before**2, m)
    overlap = np.bincount(network.regulator, before * weight, m)
    scale = np.divide(overlap, size, out=np.zeros(m), where=size > 0)[repaired.regulator]
    learned = np.where(np.isfinite(repaired.std_err), repaired.weight * scale, np.nan)
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
