"""The decoder: learned from a sample, then from all cells where asked for, with its uncertainty."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from typing import Any, TypeVar, cast

import numpy as np

from grnrep._cells import Cells
from grnrep._record import Decoder
from grnrep.core.als.data import Data as Prepared
from grnrep.core.als.evidence_passes import refine_evidence
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.genes import GeneSolver
from grnrep.core.als.learn import fit_evidence
from grnrep.core.als.moments import Sums
from grnrep.core.als.passes import refine
from grnrep.core.als.project import Projection
from grnrep.core.als.stats import Stats
from grnrep.core.design import full_network
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.network import Network, with_known_columns
from grnrep.core.reliability import kept_by_new_cells
from grnrep.core.signs import orient
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.tl._checkpoint import Checkpoint, bringing, once
from grnrep.tl._choose import Choices
from grnrep.tl._config import SOLVERS, FitConfig
from grnrep.tl._data import Data
from grnrep.tl._orient import oriented, report_signs, skewness_tells
from grnrep.tl._posterior import Uncertainty

S = TypeVar("S", Stats, Sums)
F = TypeVar("F", bound=Callable[..., Any])

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
    uncertainty
        None where it was not asked for.
    kept
        As :func:`grnrep.core.reliability.kept_by_new_cells` returns it, of a fit by evidence.
    """

    decoder: Decoder
    sign_confidence: np.ndarray
    sign_source: np.ndarray
    uncertainty: Uncertainty | None = None
    kept: float = 1.0


def learn(
    data: Data, choices: Choices, config: FitConfig, checkpoint: Checkpoint | None
) -> Learned:
    """Learn the decoder; steps that the checkpoint has are not done again.

    Raises
    ------
    Interrupted
        At Ctrl-C, with what was learned so far, where that is anything.
    """
    decoder_of = partial(
        Decoder,
        network=choices.matched.network,
        genes=choices.matched.genes,
        regulators=choices.matched.regulators,
        likelihood=choices.model.likelihood,
        solver=config.solver,
        layer=config.layer,
        covariates=data.covariates,
    )
    try:
        fit = once(checkpoint, "learned", Fit, partial(learn_from_sample, choices, config))
        if choices.passes:
            with bringing(fit):
                fit = learn_from_all(fit, data, choices, config, checkpoint)
        with bringing(fit):
            turned, confidence, source, uncertainty = oriented(fit, choices, config, checkpoint)
            kept = _kept_by_new_cells(turned, choices, config)
    except Interrupted as stop:
        so_far, confidence, source = orient(
            stop.so_far, choices.matched.network, skewness=skewness_tells(choices)
        )
        stop.so_far = Learned(decoder_of(fit=so_far), confidence, source)
        raise
    if not fit.converged:
        limit = SOLVERS[config.solver]
        logger.warning("fit %r: not converged; more %s may help", config.key_added, limit)
    report_signs(source, turned.activity, choices, config.key_added)
    return Learned(decoder_of(fit=turned), confidence, source, uncertainty, kept)


def _kept_by_new_cells(fit: Fit, choices: Choices, config: FitConfig) -> float:
    """What new cells keep of what those of the sample vary; all, where most cells learned from are others."""
    if choices.assumed is None or choices.passes:
        return 1.0
    return kept_by_new_cells(
        fit,
        choices.sample.x,
        choices.matched.network,
        choices.assumed,
        device=config.device,
        progress=config.progress,
    )


def learn_from_sample(choices: Choices, config: FitConfig) -> Fit:
    """Learn decoder and activities from the cells of the sample."""
    sample, cells, model = choices.sample, choices.sample_cells, choices.model
    network, penalties = choices.matched.network, choices.penalties
    fit: Fit
    if choices.assumed is not None:
        fit = _limited(fit_evidence, max_iter=config.max_iter)(
            sample.x,
            network,
            likelihood=model.likelihood,
            intercept=model.intercept,
            covariates=cells.covariates,
            assumptions=choices.assumed,
            rng=config.rng,
            device=config.device,
            progress=config.progress,
        )
    elif penalties is None:
        from grnrep.nn.recipe import fit_gradient

        fit = _limited(fit_gradient, epochs=config.epochs)(
            sample.x,
            network,
            link=model.link,
            intercept=model.intercept,
            rng=config.rng,
            device=config.device,
            progress=config.progress,
        )
    else:
        fit = _limited(fit_decoder, max_iter=config.max_iter)(
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


def _limited(solve: F, **limit: int | None) -> F:
    """The solver with a limit, if one is given, else its own."""
    given = {name: value for name, value in limit.items() if value is not None}
    return cast(F, partial(solve, **given)) if given else solve


def check_finite(solver: str, *results: np.ndarray) -> None:
    """Keep a solver's failure from being stored."""
    if not all(np.isfinite(result).all() for result in results):
        raise RuntimeError(f"solver={solver!r} diverged: some weights or activities are not finite")


def learn_from_all(
    fit: Fit,
    data: Data,
    choices: Choices,
    config: FitConfig,
    checkpoint: Checkpoint | None,
) -> Fit:
    """Go on from a fit to the sample to the decoder of all cells; activities are still of the sample.

    Every pass over blocks, here or on a cluster, is kept in the checkpoint, so that a run that was killed
    repeats none.
    """
    network, sample, cells = choices.matched.network, choices.sample, choices.sample_cells
    client, blocks = active_client(config.client, data.blocks), data.blocks
    if client is not None:
        blocks = blocks.portable()
    constant, numbers = fit.likelihood.constant_curvature, count()

    def in_one_pass(decoder: Fit, total: S) -> S:
        """Sums over all cells at their activities under a decoder, added to none."""
        name, none = f"pass-{next(numbers)}", np.zeros((0, network.n_regulators))
        bare = replace(decoder, activity=none, factors=None, covariates=None, history=[])
        of_block = BlockSums(blocks, choices.cells, network, bare, config.device)

        def one_pass() -> S:
            parts = map_blocks(
                of_block, len(blocks), client=client, desc=name, progress=config.progress
            )
            with closing(parts):  # threads are put back where it ends
                for _, part in parts:
                    total.merge(cast(Any, part))
            return total

        return once(checkpoint, name, type(total), one_pass)

    if choices.assumed is not None:
        unit = _units(data, centred=choices.model.intercept)
        fit = _limited(refine_evidence, max_iter=config.max_iter)(
            fit,
            network,
            lambda decoder: in_one_pass(decoder, Sums.none(full_network(network, decoder)[0])),
            unit,
            data.scan.n_obs,
            choices.assumed,
            progress=config.progress,
        )
        return Projection.of(fit, network, device=config.device).into(fit, sample.x)
    penalties = choices.penalties
    if penalties is None:
        raise RuntimeError("a fit by gradients makes no passes")
    n_known = data.n_known(intercept=choices.model.intercept)
    genes = GeneSolver(with_known_columns(network, n_known), shared=constant)
    model, share = choices.model, data.scan.n_obs / len(sample.x)
    prepared = Prepared.of(
        sample.x, model.likelihood, cells.size_factors, model.intercept, cells.covariates, None
    )
    # sums of the sample, as those of all cells
    squares = float(data.scan.squares.sum()) if constant else prepared.scale.squares * share
    beyond_known = prepared.scale.beyond_known * share
    scale = replace(
        prepared.scale, squares=squares, beyond_known=beyond_known, n_cells=data.scan.n_obs
    )
    fit = _limited(refine, max_iter=config.max_iter)(
        fit,
        network,
        lambda decoder: in_one_pass(decoder, genes.no_stats()),
        scale,
        ridge=penalties.ridge,
        prior=penalties.sign_shrinkage,
        shared=penalties.shared,
        progress=config.progress,
    )
    projection = Projection.of(fit, network, device=config.device)
    activity = projection(sample.x, cells.covariates, cells.size_factors)
    if not constant:
        return replace(fit, activity=activity)
    loss = projection.sums(sample.x, cells.covariates).loss.sum()
    return replace(fit, activity=activity, squared_error=float(loss))


def _units(data: Data, *, centred: bool) -> np.ndarray:
    """Spread of every gene in all cells, as :func:`grnrep.core.als.assumed.units` has it of some."""
    scan = data.scan
    spread = np.sqrt((scan.deviation if centred else scan.squares) / max(1, scan.n_obs))
    return np.where(spread > 0, spread, 1.0)


@dataclass(frozen=True, eq=False)
class BlockSums:
    """A function of a block, to be run wherever the block is: what a decoder step needs of its cells."""

    blocks: Blocks
    cells: Cells
    network: Network
    fit: Fit
    device: str | None

    @cached_property
    def projection(self) -> Projection:
        """The decoder, made ready once in every process."""
        return Projection.of(self.fit, self.network, device=self.device)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "projection"}

    def __call__(self, k: int) -> Stats | Sums:
        """Sums over the cells of block ``k``."""
        cells = self.cells.part(self.blocks.rows(k))
        x = self.blocks.read(k)
        if self.fit.covariance is not None:
            return self.projection.expected_sums(x, cells.covariates).cpu()
        return self.projection.sums(x, cells.covariates, cells.size_factors).cpu()
