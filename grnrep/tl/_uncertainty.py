"""Uncertainty as part of a fit: posterior means, and standard deviations beside them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._cells import Cells
from grnrep._record import Decoder
from grnrep.core.als.count_data import CountFit
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.posterior.count_laplace import CountSpread, count_activity_sd, count_spread
from grnrep.core.posterior.laplace import activity_sd
from grnrep.core.posterior.sample import Posterior, sample_posterior
from grnrep.core.signs import orient

logger = logging.getLogger("grnrep")

_MAX_CELLS = 1000  # from which the decoder's posterior is drawn
_RHAT = 1.1  # above which a chain was too short (Gelman & Rubin 1992)


@dataclass(frozen=True, eq=False)
class CountPosterior:
    """A fit to counts with standard deviations around it, of all cells that it was learned from."""

    fit: CountFit
    activity_sd: np.ndarray
    spread: CountSpread
    cells: None = None

    @property
    def weight_sd(self) -> np.ndarray:
        """Standard error of every edge."""
        return self.spread.weight_sd


def posterior_of(
    x: np.ndarray,
    fit: Fit,
    network: Network,
    *,
    link: str,
    prior: float,
    shared: bool,
    rng: int,
    device: str | None,
    progress: bool,
) -> tuple[Posterior, np.ndarray, np.ndarray]:
    """Posterior of decoder and activities, from the fit on; with sign confidence and source.

    The chain runs over at most 1,000 cells: ``posterior.cells`` of ``x``. Others get the deviation of a
    Laplace approximation at the posterior means of the decoder.
    """
    cells = np.sort(np.random.default_rng(rng).permutation(len(x))[:_MAX_CELLS])
    covariates = None if fit.covariates is None else fit.covariates[cells]
    some = replace(fit, activity=fit.activity[cells], covariates=covariates)
    options = {"prior": prior, "shared": shared, "rng": rng, "device": device, "progress": progress}
    found = sample_posterior(x[cells], some, network, link=link, **options)
    found, confidence, source = found.orient(network)
    if np.median(found.rhat) > _RHAT:
        logger.warning(
            "uncertainty: the chain was short (median R-hat %.2f)", np.median(found.rhat)
        )
    return replace(found, cells=cells), confidence, source


def posterior_of_counts(
    x: np.ndarray, fit: CountFit, network: Network, cells: Cells
) -> tuple[CountPosterior, np.ndarray, np.ndarray]:
    """The fit with its deviations, in the convention of scale and sign; with sign confidence and source."""
    fit, confidence, source = orient(fit, network)
    sizes = {"size_factors": cells.size_factors}
    spread = count_spread(x, fit, network, **sizes)
    sd = count_activity_sd(x, fit, network, spread, **sizes)
    return CountPosterior(fit, sd, spread), confidence, source


def spread_of(posterior: Posterior | CountPosterior) -> dict[str, np.ndarray] | CountSpread:
    """What the deviations of activities in other cells follow from."""
    if isinstance(posterior, CountPosterior):
        return posterior.spread
    return {
        "noise_variance": posterior.noise_variance,
        "weight_sd": posterior.weight_sd,
        # of all, so that blocks do not matter
        "mean_square": np.square(posterior.fit.activity).mean(0),
    }


def deviations(
    x: np.ndarray,
    z: np.ndarray,
    decoder: Decoder,
    cells: Cells,
    spread: dict[str, np.ndarray] | CountSpread,
) -> np.ndarray:
    """Standard deviations of the activities ``z`` that were inferred of cells, (n_cells, n_regulators)."""
    fit = replace(decoder.fit, activity=z, covariates=cells.covariates)
    if isinstance(spread, CountSpread):
        return count_activity_sd(x, fit, decoder.network, spread, size_factors=cells.size_factors)
    return activity_sd(x, fit, decoder.network, link=str(decoder.params["link"]), **spread)


def add_uncertainty(results: dict, posterior: Posterior | CountPosterior, sd: pd.DataFrame) -> None:
    """Add standard deviations to what a fit is about to store."""
    tables = results["uns"]
    results["obsm_sd"] = sd
    tables[_keys.NETWORK]["std_err"] = posterior.weight_sd
    if isinstance(posterior, CountPosterior):
        return
    tables[_keys.GENES]["noise_variance"] = posterior.noise_variance
    tables[_keys.REGULATORS]["rhat"] = posterior.rhat
