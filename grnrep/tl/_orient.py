"""Scale and sign of what was learned, and what is said where nothing tells a sign."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np

from grnrep.core.fitted import Fit
from grnrep.core.posterior.sample import Posterior
from grnrep.core.signs import are_log_counts, orient
from grnrep.tl._checkpoint import Checkpoint, once
from grnrep.tl._choose import Choices
from grnrep.tl._config import FitConfig
from grnrep.tl._posterior import (
    Uncertainty,
    draw_posterior,
    uncertainty_by_curvature,
    uncertainty_of,
)

logger = logging.getLogger("grnrep")


def oriented(
    fit: Fit, choices: Choices, config: FitConfig, checkpoint: Checkpoint | None
) -> tuple[Fit, np.ndarray, np.ndarray, Uncertainty | None]:
    """The fit in the convention of scale and sign, confidence and source of signs, and the uncertainty.

    A chain has means of its own, which then are the fit.
    """
    network, skewness = choices.matched.network, skewness_tells(choices)
    if config.uncertainty and config.solver == "exact" and fit.likelihood.constant_curvature:
        draw = partial(draw_posterior, fit, choices, config)
        drawn = once(checkpoint, "posterior", Posterior, draw)
        posterior, confidence, source = drawn.orient(network, skewness=skewness)
        return posterior.fit, confidence, source, uncertainty_of(posterior)
    fit, confidence, source = orient(fit, network, skewness=skewness)
    if not config.uncertainty or config.solver != "exact":
        return fit, confidence, source, None
    return fit, confidence, source, uncertainty_by_curvature(fit, network, choices)


def skewness_tells(choices: Choices) -> bool:
    """Whether the skewness of activities says which way they point."""
    return choices.model.likelihood != "tobit" or not are_log_counts(choices.sample.x)


def report_signs(source: np.ndarray, activity: np.ndarray, choices: Choices, key: str) -> None:
    """Say of how many regulators nothing says which way they point, where that is for want of skewness."""
    n_unknown = np.count_nonzero((source == "none") & (activity != 0).any(0))
    if n_unknown and not skewness_tells(choices):
        logger.warning(
            "fit %r: nothing says which way %d of %d regulators point: net has no signs of theirs, and on logarithms "
            "of counts the skewness of activities is no guide. They are turned so that most of their weight is "
            "positive, with a sign_confidence of 0.5; prior signs settle it", key, n_unknown, len(source)
        )  # fmt: skip
