"""How far the data leave a fit open: posterior means with standard deviations, by a chain or from the curvature."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.posterior.laplace import Spread, activity_sd
from grnrep.core.posterior.sample import Posterior, sample_posterior
from grnrep.core.posterior.spread import curvature_spread
from grnrep.tl._choose import Choices
from grnrep.tl._config import FitConfig

logger = logging.getLogger("grnrep")

_MAX_CELLS: Final = 1000  # from which the decoder's posterior is drawn
_RHAT: Final = 1.1  # above which a chain was too short (Gelman & Rubin 1992)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Standard deviations of a fit.

    Parameters
    ----------
    activity_sd
        Of the activities of the fit, (n_cells, n_regulators).
    spread
        What is left open of the decoder, from which deviations of other cells follow.
    cells
        Which cells of the sample the chain was run over; None: all, and no chain.
    noise_variance, rhat
        Of a chain, as :class:`grnrep.core.posterior.sample.Posterior` has them; else None.
    """

    activity_sd: np.ndarray
    spread: Spread
    cells: np.ndarray | None = None
    noise_variance: np.ndarray | None = None
    rhat: np.ndarray | None = None


def draw_posterior(fit: Fit, choices: Choices, config: FitConfig) -> Posterior:
    """Posterior of decoder and activities by a chain from the fit on, over at most 1,000 cells of the sample."""
    x, penalties = choices.sample.x, choices.penalties
    cells = np.sort(np.random.default_rng(config.rng).permutation(len(x))[:_MAX_CELLS])
    covariates = None if fit.covariates is None else fit.covariates[cells]
    factors = None if fit.factors is None else fit.factors[cells]
    posterior = sample_posterior(
        x[cells],
        replace(fit, activity=fit.activity[cells], factors=factors, covariates=covariates),
        choices.matched.network,
        likelihood=choices.model.likelihood,
        prior=0.0 if penalties is None else penalties.sign_shrinkage,
        shared=penalties is not None and penalties.shared,
        rng=config.rng,
        device=config.device,
        progress=config.progress,
    )
    return replace(posterior, cells=cells)


def uncertainty_of(posterior: Posterior) -> Uncertainty:
    """Standard deviations by a chain; cells outside it get that of a Laplace approximation at the means."""
    if np.median(posterior.rhat) > _RHAT:
        logger.warning(
            "uncertainty: the chain was short (median R-hat %.2f)", np.median(posterior.rhat)
        )
    # the mean square of all, so that blocks do not matter
    mean_square = np.square(posterior.fit.activity).mean(0)
    return Uncertainty(
        posterior.activity_sd,
        Spread(
            posterior.weight_sd,
            posterior.scatter,
            mean_square,
            share_variance=posterior.share_variance,
        ),
        posterior.cells,
        posterior.noise_variance,
        posterior.rhat,
    )


def uncertainty_by_curvature(fit: Fit, network: Network, choices: Choices) -> Uncertainty:
    """Standard deviations of an oriented fit from the curvature of the likelihood there."""
    x, size_factors = choices.sample.x, choices.sample_cells.size_factors
    spread = curvature_spread(x, fit, network, size_factors=size_factors)
    sd = activity_sd(x, fit, network, spread, size_factors=size_factors)
    return Uncertainty(sd, spread)
