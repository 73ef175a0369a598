"""The decoder: learned from a sample, then from all cells where asked for, with its uncertainty."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from grnrep._record import Decoder
from grnrep.core.als.fit import fit_decoder
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.posterior.sample import Posterior
from grnrep.core.signs import orient
from grnrep.tl._checkpoint import Checkpoint, bringing, once
from grnrep.tl._choose import Choices
from grnrep.tl._config import SOLVERS, FitConfig, limited
from grnrep.tl._data import Data
from grnrep.tl._passes import learn_from_all
from grnrep.tl._posterior import (
    Curvature,
    Oriented,
    arrays_of_draws,
    arrays_of_fit,
    draw_posterior,
    draws_of,
    fit_of,
    posterior_by_curvature,
)

logger = logging.getLogger("grnrep")


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned.

    Parameters
    ----------
    decoder
        In the convention of scale and sign, with the activities of the sample.
    sign_confidence, sign_source
        Of every regulator, as :func:`grnrep.core.signs.orient` returns them.
    posterior
        None where no uncertainty was asked for.
    """

    decoder: Decoder
    sign_confidence: np.ndarray
    sign_source: np.ndarray
    posterior: Posterior | Curvature | None = None


def learn(
    data: Data, choices: Choices, config: FitConfig, checkpoint: Checkpoint | None
) -> Learned:
    """Learn the decoder; steps that the checkpoint has are not done again.

    Raises
    ------
    Interrupted
        At Ctrl-C, with what was learned so far, where that is anything.
    """
    try:
        fit = once(
            checkpoint,
            "learned",
            partial(learn_from_sample, choices, config),
            to_arrays=arrays_of_fit,
            from_arrays=fit_of,
        )
        if choices.passes:
            with bringing(fit):
                fit = learn_from_all(fit, data, choices, config, checkpoint)
        with bringing(fit):
            oriented = orient_or_draw(fit, choices, config, checkpoint)
    except Interrupted as stop:
        so_far = Oriented(*orient(stop.so_far, choices.matched.network))
        stop.so_far = named(so_far, data, choices, config)
        raise
    if not fit.converged:
        limit = SOLVERS[config.solver]
        logger.warning("fit %r: not converged; more %s may help", config.key_added, limit)
    return named(oriented, data, choices, config)


def named(oriented: Oriented, data: Data, choices: Choices, config: FitConfig) -> Learned:
    """What was learned, with the names of genes and regulators."""
    decoder = Decoder(
        network=choices.matched.network,
        fit=oriented.fit,
        genes=choices.matched.genes,
        regulators=choices.matched.regulators,
        likelihood=choices.model.likelihood,
        solver=config.solver,
        layer=config.layer,
        covariates=data.covariates,
    )
    return Learned(decoder, oriented.sign_confidence, oriented.sign_source, oriented.posterior)


def learn_from_sample(choices: Choices, config: FitConfig) -> Fit:
    """Learn decoder and activities from the cells of the sample."""
    sample, cells, model = choices.sample, choices.sample_cells, choices.model
    network, penalties = choices.matched.network, choices.penalties
    fit: Fit
    if penalties is None:
        from grnrep.nn.recipe import fit_gradient

        fit = limited(fit_gradient, epochs=config.epochs)(
            sample.x,
            network,
            link=model.link,
            intercept=model.intercept,
            rng=config.rng,
            device=config.device,
            progress=config.progress,
        )
    else:
        fit = limited(fit_decoder, max_iter=config.max_iter)(
            sample.x,
            network,
            likelihood=model.likelihood,
            intercept=model.intercept,
            covariates=cells.covariates,
            size_factors=cells.size_factors,
            ridge=penalties.ridge,
            prior=penalties.sign_shrinkage,
            shared=penalties.shared,
            rng=config.rng,
            device=config.device,
            progress=config.progress,
        )
    if cells.depth is not None:  # size factors are those of all genes
        fit = replace(fit, depth=cells.depth)
    check_finite(config.solver, fit.weight, fit.activity)
    return fit


def check_finite(solver: str, *results: np.ndarray) -> None:
    """Keep a solver's failure from being stored."""
    if not all(np.isfinite(result).all() for result in results):
        raise RuntimeError(f"solver={solver!r} diverged: some weights or activities are not finite")


def orient_or_draw(
    fit: Fit, choices: Choices, config: FitConfig, checkpoint: Checkpoint | None
) -> Oriented:
    """The convention of scale and sign; with uncertainty, of the means of the posterior."""
    sample, network, penalties = choices.sample, choices.matched.network, choices.penalties
    if not config.uncertainty or penalties is None:
        return Oriented(*orient(fit, network))
    if not fit.likelihood.constant_curvature:
        return posterior_by_curvature(sample.x, fit, network, choices.sample_cells)
    draw = partial(
        draw_posterior,
        sample.x,
        fit,
        network,
        likelihood=choices.model.likelihood,
        prior=penalties.sign_shrinkage,
        shared=penalties.shared,
        rng=config.rng,
        device=config.device,
        progress=config.progress,
    )
    return once(checkpoint, "posterior", draw, to_arrays=arrays_of_draws, from_arrays=draws_of)
