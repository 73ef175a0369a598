"""What expression is taken for: its likelihood, intercepts, and whether noise and priors are learned."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from grnrep._cells import Cells, is_count, link_of, read_cells
from grnrep.core.choose.assumptions import is_determined
from grnrep.core.choose.held_out import Compared, is_signed
from grnrep.core.choose.intercept import compare_intercepts
from grnrep.core.choose.likelihood import choose_likelihood
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.tl._config import BY_SIGN, FitConfig
from grnrep.tl._data import Data, Sample, sample_size

logger = logging.getLogger("grnrep")


@dataclass(frozen=True)
class Model:
    """What expression is taken for: a likelihood, and whether every gene has an intercept.

    ``by_evidence``: whether noise of every gene and priors are learned, or penalties are chosen, or given.
    """

    likelihood: str
    intercept: bool
    by_evidence: bool

    @property
    def link(self) -> str:
        """What zeros say, "relu" or "identity"."""
        return link_of(self.likelihood)


def choose_model(
    data: Data, sample: Sample, config: FitConfig
) -> tuple[Model, Cells, Sample, Compared | None]:
    """Choose likelihood and intercepts; with facts on all cells, and as many cells to learn from as these ask for.

    Also what models were compared on, if they were, and the cells to learn from are still the same.
    """
    likelihood = _likelihood(data, sample, config)
    cells = read_cells(data.adata, data.scan, data.covariates, counts=is_count(likelihood))
    compared: Compared | None = None
    intercept, by_evidence = config.intercept, _by_evidence(data, sample, config, likelihood)
    if isinstance(intercept, str):
        # Without a ReLU the zero of expression has no meaning of its own, so that every gene needs one; under a
        # ReLU the evidence says how large they are, or the data decide. Covariates are differences from an intercept.
        identity = link_of(likelihood) == "identity"
        intercept = by_evidence or identity or data.covariates is not None
        if not intercept:
            # by the cells that intercepts would ask for: where they are needed, the choice goes on with these
            sample = sample.resized(data.blocks, sample_size(data, config, intercept=True))
            x = cells.part(sample.rows).scaled(sample.x)
            intercept, compared = compare_intercepts(x, data.matched.network, rng=config.rng)
    n_cells = sample_size(data, config, intercept=intercept)
    if n_cells != len(sample.rows):
        # as if the answer had been given, with cells of this sample
        sample, compared = sample.resized(data.blocks, n_cells), None
    return Model(likelihood, intercept, by_evidence), cells, sample.settled(), compared


def _by_evidence(data: Data, sample: Sample, config: FitConfig, likelihood: str) -> bool:
    """Whether noise and priors can be learned: of squared error, without given penalties, at enough load."""
    given = config.ridge != "auto" or config.sign_shrinkage != "auto"
    constant = LIKELIHOODS[likelihood].constant_curvature
    if config.assumed is not None:
        return True  # chosen before
    # who asks for free factors gets them, at any load
    wanted = not isinstance(config.free_factors, str) and config.free_factors > 0
    if config.solver != "exact" or given or not constant:
        if wanted:
            raise ValueError(
                f"free_factors must be 'auto' or 0 of counts, by gradients, and where ridge or sign_shrinkage is "
                f"given; found {config.free_factors!r}"
            )
        return False
    return wanted or is_determined(sample.x, data.matched.network, likelihood=likelihood)


def _likelihood(data: Data, sample: Sample, config: FitConfig) -> str:
    """Choose the likelihood; neither the gradient solver nor a repair is of counts."""
    chosen = config.likelihood
    if chosen in ("auto", BY_SIGN):
        chosen = _by_values(data, sample, config)
    if config.repair and not LIKELIHOODS[chosen].constant_curvature:
        raise ValueError(
            "repair needs likelihood='gaussian' or 'tobit', and normalised expression; found values for which "
            f"{chosen!r} is used. Normalise counts, e.g. with scanpy.pp.normalize_total and log1p, or name "
            "such a layer"
        )
    return chosen


def _by_values(data: Data, sample: Sample, config: FitConfig) -> str:
    """The likelihood that values ask for: of counts, or by whether any is negative."""
    scan, network = data.scan, data.matched.network
    otherwise = "gaussian" if scan.negative.count else "tobit"
    # sums over all genes that are not finite have no size factors
    whole = not (scan.fraction.count or scan.negative.count) and np.isfinite(scan.depth).all()
    if config.likelihood == BY_SIGN or not whole:
        return otherwise
    sizes = read_cells(data.adata, scan, None, counts=True).part(sample.rows).size_factors
    chosen, reason = choose_likelihood(sample.x, network, size_factors=sizes, rng=config.rng)
    if not is_count(chosen):
        logger.info("likelihood='auto' chose %r: %s", otherwise, reason)
        return otherwise
    if is_signed(network) or config.magnitudes:
        logger.warning(
            "likelihood='auto' chose %r, because those of counts draw no weights to prior signs, though "
            "values are counts. Normalise and take logarithms, or choose likelihood=%r", otherwise, chosen
        )  # fmt: skip
        return otherwise
    logger.info("likelihood='auto' chose %r: %s", chosen, reason)
    return chosen
