"""Uncertainty as part of a fit: posterior means, and standard deviations beside them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from grnrep._cells import Cells
from grnrep._record import Decoder
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods import restored
from grnrep.core.network import Network
from grnrep.core.posterior.laplace import Spread, activity_sd
from grnrep.core.posterior.sample import Posterior, sample_posterior
from grnrep.core.posterior.spread import curvature_spread
from grnrep.core.signs import orient
from grnrep.tl._checkpoint import Arrays, arrays_of

logger = logging.getLogger("grnrep")

_MAX_CELLS: Final = 1000  # from which the decoder's posterior is drawn
_RHAT: Final = 1.1  # above which a chain was too short (Gelman & Rubin 1992)
# before the names of arrays of the fit, and of parameters of its likelihood
_FIT: Final = "fit."
_LIKELIHOOD: Final = "likelihood."


@dataclass(frozen=True, eq=False)
class Curvature:
    """A fit with standard deviations from its curvature, of all cells that it was learned from."""

    fit: Fit
    activity_sd: np.ndarray
    spread: Spread
    cells: None = None

    @property
    def weight_sd(self) -> np.ndarray:
        """Standard error of every edge."""
        return self.spread.weight_sd


@dataclass(frozen=True, eq=False)
class Oriented:
    """A fit in the convention of scale and sign, the posterior that it is of, and the signs' evidence.

    Parameters
    ----------
    fit
        From :func:`grnrep.core.signs.orient`, or the means of ``posterior``.
    sign_confidence, sign_source
        Of every regulator, as :func:`grnrep.core.signs.orient` returns them.
    posterior
        None where no uncertainty was asked for.
    """

    fit: Fit
    sign_confidence: np.ndarray
    sign_source: np.ndarray
    posterior: Posterior | Curvature | None = None


def draw_posterior(
    x: np.ndarray,
    fit: Fit,
    network: Network,
    *,
    likelihood: str,
    prior: float,
    shared: bool,
    rng: int,
    device: str | None,
    progress: bool,
) -> Oriented:
    """Posterior of decoder and activities, from the fit on.

    The chain runs over at most 1,000 cells: ``posterior.cells`` of ``x``. Others get the deviation of a
    Laplace approximation at the posterior means of the decoder.
    """
    cells = np.sort(np.random.default_rng(rng).permutation(len(x))[:_MAX_CELLS])
    covariates = None if fit.covariates is None else fit.covariates[cells]
    posterior = sample_posterior(
        x[cells],
        replace(fit, activity=fit.activity[cells], covariates=covariates),
        network,
        likelihood=likelihood,
        prior=prior,
        shared=shared,
        rng=rng,
        device=device,
        progress=progress,
    )
    posterior, confidence, source = posterior.orient(network)
    if np.median(posterior.rhat) > _RHAT:
        logger.warning(
            "uncertainty: the chain was short (median R-hat %.2f)", np.median(posterior.rhat)
        )
    return Oriented(posterior.fit, confidence, source, replace(posterior, cells=cells))


def posterior_by_curvature(x: np.ndarray, fit: Fit, network: Network, cells: Cells) -> Oriented:
    """The fit with its deviations, from the curvature of the likelihood there."""
    fit, confidence, source = orient(fit, network)
    spread = curvature_spread(x, fit, network, size_factors=cells.size_factors)
    sd = activity_sd(x, fit, network, spread, size_factors=cells.size_factors)
    return Oriented(fit, confidence, source, Curvature(fit, sd, spread))


def spread_of(posterior: Posterior | Curvature) -> Spread:
    """What the deviations of activities in other cells follow from."""
    if isinstance(posterior, Curvature):
        return posterior.spread
    # the mean square of all, so that blocks do not matter
    mean_square = np.square(posterior.fit.activity).mean(0)
    return Spread(posterior.weight_sd, posterior.noise_variance, mean_square)


def deviations(
    x: np.ndarray, z: np.ndarray, decoder: Decoder, cells: Cells, spread: Spread
) -> np.ndarray:
    """Standard deviations of the activities ``z`` that were inferred of cells, (n_cells, n_regulators)."""
    fit = replace(decoder.fit, activity=z, covariates=cells.covariates)
    return activity_sd(x, fit, decoder.network, spread, size_factors=cells.size_factors)


def arrays_of_fit(fit: Fit) -> Arrays:
    """What a fit is kept as; :func:`fit_of` reads it."""
    parts = fit.likelihood.arrays() | fit.likelihood.numbers()
    parameters = {_LIKELIHOOD + name: np.asarray(value) for name, value in parts.items()}
    return arrays_of(fit) | parameters | {"likelihood": np.array(fit.likelihood.name)}


def fit_of(arrays: Arrays) -> Fit:
    """A fit from its arrays."""
    plain = {name: value for name, value in arrays.items() if not name.startswith(_LIKELIHOOD)}
    values: dict[str, Any] = {"bias": None}
    values |= {name: value if value.ndim else value.item() for name, value in plain.items()}
    values["history"] = arrays["history"].tolist()
    parameters = {
        name.removeprefix(_LIKELIHOOD): value
        for name, value in arrays.items()
        if name.startswith(_LIKELIHOOD)
    }
    values["likelihood"] = restored(
        str(arrays["likelihood"]),
        {name: value for name, value in parameters.items() if value.ndim},
        {name: value.item() for name, value in parameters.items() if not value.ndim},
    )
    return Fit(**values)


def arrays_of_draws(oriented: Oriented) -> Arrays:
    """What a posterior that was drawn is kept as; :func:`draws_of` reads it."""
    arrays = {name: value for name, value in arrays_of(oriented.posterior).items() if name != "fit"}
    of_fit = {_FIT + name: value for name, value in arrays_of_fit(oriented.fit).items()}
    signs = {"confidence": oriented.sign_confidence, "source": oriented.sign_source}
    return arrays | of_fit | signs


def draws_of(arrays: Arrays) -> Oriented:
    """A posterior from its arrays."""
    of_fit = {n.removeprefix(_FIT): value for n, value in arrays.items() if n.startswith(_FIT)}
    values: dict[str, Any] = {field.name: arrays.get(field.name) for field in fields(Posterior)}
    values["fit"] = fit_of(of_fit)
    posterior = Posterior(**values)
    return Oriented(posterior.fit, arrays["confidence"], arrays["source"], posterior)
