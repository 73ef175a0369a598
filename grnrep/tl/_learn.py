"""The decoder: learned from a sample, then from all cells where asked for, with its uncertainty."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from grnrep._record import Decoder
from grnrep.core.als.count_data import CountFit
from grnrep.core.als.counts import fit_counts
from grnrep.core.als.exact import fit_exact
from grnrep.core.fitted import Fit
from grnrep.core.interrupted import Interrupted
from grnrep.core.posterior.sample import Posterior
from grnrep.core.signs import orient
from grnrep.tl._checkpoint import Checkpoint, arrays_of, bringing, once
from grnrep.tl._choose import Choices, Penalties
from grnrep.tl._config import SOLVERS, FitConfig, limited
from grnrep.tl._data import Data
from grnrep.tl._passes import learn_from_all
from grnrep.tl._posterior import (
    CountPosterior,
    Oriented,
    arrays_of_draws,
    draw_posterior,
    draws_of,
    fit_of,
    posterior_of_counts,
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
    posterior: Posterior | CountPosterior | None = None


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
            to_arrays=arrays_of,
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
    elif cells.depth is None:
        fit = limited(fit_exact, max_iter=config.max_iter)(
            sample.x,
            network,
            link=model.link,
            intercept=model.intercept,
            covariates=cells.covariates,
            ridge=penalties.ridge,
            prior=penalties.sign_shrinkage,
            shared=penalties.shared,
            rng=config.rng,
            device=config.device,
            progress=config.progress,
        )
    else:
        fit = _learn_counts(choices, penalties, config, depth=cells.depth)
    check_finite(config.solver, fit.weight, fit.activity)
    return fit


def _learn_counts(
    choices: Choices, penalties: Penalties, config: FitConfig, *, depth: float
) -> CountFit:
    """Learn from counts; what there is at Ctrl-C is of their rates, and no use."""
    try:
        fit = limited(fit_counts, max_iter=config.max_iter)(
            choices.sample.x,
            choices.matched.network,
            likelihood=choices.model.likelihood,
            intercept=choices.model.intercept,
            covariates=choices.sample_cells.covariates,
            size_factors=choices.sample_cells.size_factors,
            ridge=penalties.ridge,
            prior=penalties.sign_shrinkage,
            rng=config.rng,
            device=config.device,
            progress=config.progress,
        )
    except Interrupted as stop:
        raise KeyboardInterrupt from stop
    return replace(fit, depth=depth)


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
    if choices.model.counts:
        return posterior_of_counts(sample.x, fit, network, choices.sample_cells)
    draw = partial(
        draw_posterior,
        sample.x,
        fit,
        network,
        link=choices.model.link,
        prior=penalties.sign_shrinkage,
        shared=penalties.shared,
        rng=config.rng,
        device=config.device,
        progress=config.progress,
    )
    return once(checkpoint, "posterior", draw, to_arrays=arrays_of_draws, from_arrays=draws_of)
