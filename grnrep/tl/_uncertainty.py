"""Uncertainty as part of a fit: posterior means, and standard deviations beside them."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.posterior import Posterior, sample_posterior

logger = logging.getLogger("grnrep")

_MAX_CELLS = 1000  # from which the decoder's posterior is drawn
_RHAT = 1.1  # above which a chain was too short (Gelman & Rubin 1992)


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
        logger.warning("uncertainty: the chain was short (median R-hat %.2f)", np.median(found.rhat))
    return replace(found, cells=cells), confidence, source


def add_uncertainty(results: dict, posterior: Posterior, sd: pd.DataFrame) -> None:
    """Add standard deviations to what a fit is about to store."""
    tables = results["uns"]
    results["obsm_sd"] = sd
    tables[_keys.NETWORK]["std_err"] = posterior.weight_sd
    tables[_keys.GENES]["noise_variance"] = posterior.noise_variance
    tables[_keys.REGULATORS]["rhat"] = posterior.rhat
