"""Uncertainty as part of a fit: posterior means, and standard deviations beside them."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from anndata import AnnData

from grnrep import _keys
from grnrep.core.exact import project
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.posterior import Posterior, sample_posterior
from grnrep.core.uncertainty import activity_sd
from grnrep.tl._store import activity_table

logger = logging.getLogger("grnrep")

_MAX_CELLS = 1000  # from which the decoder's posterior is drawn
_RHAT = 1.1  # above which a chain was too short (Gelman & Rubin 1992)


def check_uncertainty(uncertainty: object, *, solver: str) -> None:
    """Check whether to draw from the posterior."""
    if not isinstance(uncertainty, bool | np.bool_):
        raise TypeError(f"uncertainty must be True or False; found {uncertainty!r}")
    if uncertainty and solver != "exact":
        raise ValueError(f"uncertainty is an option of solver='exact' only; found solver={solver!r}")


def posterior_of(
    x: np.ndarray,
    fit: Fit,
    network: Network,
    *,
    link: str,
    prior: float,
    rng: int,
    device: str | None,
    progress: bool,
) -> tuple[Posterior, np.ndarray, np.ndarray]:
    """Posterior of decoder and activities, from the fit on; with sign confidence and source.

    The chain runs over at most 1,000 cells; the others get the deviation of a Laplace
    approximation at the posterior means of the decoder.
    """
    cells = np.sort(np.random.default_rng(rng).permutation(len(x))[:_MAX_CELLS])
    some = replace(fit, activity=fit.activity[cells])
    options = {"rng": rng, "device": device, "progress": progress}
    found = sample_posterior(x[cells], some, network, link=link, prior=prior, **options)
    found, confidence, source = found.orient(network)
    if np.median(found.rhat) > _RHAT:
        logger.warning("uncertainty: the chain was short (median R-hat %.2f)", np.median(found.rhat))
    if len(cells) < len(x):
        every = replace(found.fit, activity=project(x, found.fit, network, link=link, device=device))
        spread = {"noise_variance": found.noise_variance, "weight_sd": found.weight_sd}
        sd = activity_sd(x, every, network, link=link, **spread)
        every.activity[cells], sd[cells] = found.fit.activity, found.activity_sd
        found = replace(found, fit=every, activity_sd=sd)
    return found, confidence, source


def add_uncertainty(results: dict, posterior: Posterior, adata: AnnData, cells: np.ndarray) -> None:
    """Add standard deviations to what a fit is about to store; row i belongs to cell ``cells[i]``."""
    tables, activity = results["uns"], results["obsm"]
    sd = activity_table(adata, posterior.activity_sd, cells, regulators=activity.columns)
    results["obsm_sd"] = sd
    tables[_keys.NETWORK]["std_err"] = posterior.weight_sd
    tables[_keys.GENES]["noise_variance"] = posterior.noise_variance
    tables[_keys.REGULATORS]["rhat"] = posterior.rhat
