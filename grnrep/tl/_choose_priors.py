"""How far weights and activities may go: assumptions of a fit by evidence, or penalties of a penalised one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import numpy as np

from grnrep._cells import Cells
from grnrep.core.als.assumed import Assumptions
from grnrep.core.choose.assumptions import choose_assumptions
from grnrep.core.choose.held_out import Compared
from grnrep.core.choose.ridge import RIDGES as FREE_RIDGES
from grnrep.core.choose.ridge import of_many_cells
from grnrep.core.choose.shrinkage import RIDGES, choose_shrinkage
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.core.network import Network
from grnrep.tl._choose_model import Model
from grnrep.tl._config import FitConfig

logger = logging.getLogger("grnrep")

# held-out values ask for more, which costs activities up to 0.03 of correlation
_COUNT_RIDGE: Final = 1e-3


@dataclass(frozen=True)
class Penalties:
    """Of the exact solver; see :func:`grnrep.core.als.fit.fit_decoder`."""

    ridge: float
    sign_shrinkage: float
    shared: bool


def assumptions_of(
    x: np.ndarray, network: Network, cells: Cells, config: FitConfig, model: Model
) -> Assumptions:
    """Choose how closely weights follow prior signs, and whether free factors are needed."""
    if config.assumed is not None:
        return config.assumed  # chosen before
    chosen = choose_assumptions(
        x,
        network,
        likelihood=model.likelihood,
        covariates=cells.covariates,
        n_factors=None if isinstance(config.free_factors, str) else int(config.free_factors),
        rng=config.rng,
        progress=config.progress,
    )
    if not chosen.signs_predict:
        logger.warning(
            "the signs of net predict genes that were held out no better than chance. Check the names and the signs "
            "of net: those of a shuffled network do as well"
        )
    return chosen.assumptions


def penalties_of(
    x: np.ndarray,
    network: Network,
    cells: Cells,
    config: FitConfig,
    model: Model,
    compared: Compared | None,
) -> Penalties:
    """Choose how strongly activities are shrunk, and weights to which prior values.

    Of counts, whose genes differ in scale, weights are not drawn to ±1.
    ``compared`` are cells on which models were compared before.
    """
    ridge = None if config.ridge == "auto" else float(config.ridge)
    sign_shrinkage = None if config.sign_shrinkage == "auto" else float(config.sign_shrinkage)
    if not LIKELIHOODS[model.likelihood].constant_curvature:
        return Penalties(
            ridge=_COUNT_RIDGE if ridge is None else ridge,
            sign_shrinkage=0.0 if sign_shrinkage is None else sign_shrinkage,
            shared=False,
        )
    if config.shared is not None and ridge is not None and sign_shrinkage is not None:
        return Penalties(ridge, sign_shrinkage, config.shared)  # chosen before
    chosen = choose_shrinkage(
        x,
        network,
        likelihood=model.likelihood,
        intercept=model.intercept,
        covariates=cells.covariates,
        ridge=ridge,
        prior=sign_shrinkage,
        rng=config.rng,
        progress=config.progress,
        compared=compared,
    )
    strongest = max(RIDGES) if chosen.prior > 0 else of_many_cells(max(FREE_RIDGES), len(x))
    if ridge is None and chosen.ridge >= strongest:
        logger.warning(
            "ridge='auto' chose %.3g, the strongest that it tries: noise is large beside what the network "
            "explains, and activities are shrunk towards 0. More cells and prior signs help; whether the "
            "network fits these data at all, grnrep.validation.network_information tells", chosen.ridge
        )  # fmt: skip
    if not chosen.signs_predict:
        logger.warning(
            "the signs of net predict genes that were held out no better than chance; weights are %s. "
            "Check the names and the signs of net: those of a shuffled network do as well",
            "free" if chosen.prior == 0 else f"drawn to them as sign_shrinkage={chosen.prior} does"
        )  # fmt: skip
    return Penalties(chosen.ridge, chosen.prior, chosen.shared)
