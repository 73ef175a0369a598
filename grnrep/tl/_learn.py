"""The decoder: learned from a sample, then from all cells where asked for, with its uncertainty."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from typing import Any, TypeVar

import numpy as np
import torch

from grnrep._cells import Cells
from grnrep._record import Decoder
from grnrep.core.als.data import Data as Prepared
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.genes import GeneSolver, Stats
from grnrep.core.als.passes import refine
from grnrep.core.als.project import Projection
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.likelihoods import restored
from grnrep.core.network import Network, with_known_columns
from grnrep.core.posterior.sample import Posterior
from grnrep.core.signs import orient
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.tl._checkpoint import Checkpoint, once
from grnrep.tl._choose import Choices
from grnrep.tl._config import SOLVERS, FitConfig
from grnrep.tl._data import Data
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


@contextmanager
def bringing(so_far: Fit | Learned) -> Iterator[None]:
    """At Ctrl-C bring what there is so far, unless who was interrupted brings something later."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        raise Interrupted(so_far) from stop


def learn_from_sample(choices: Choices, config: FitConfig) -> Fit:
    """Learn decoder and activities from the cells of the sample."""
    sample, cells, model = choices.sample, choices.sample_cells, choices.model
    network, penalties = choices.matched.network, choices.penalties
    fit: Fit
    if penalties is None:
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
        fit = replace(fit, likelihood=restored(model.likelihood, {}))
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
    return partial(solve, **given) if given else solve  # type: ignore[return-value]


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
        link=choices.model.link,
        prior=penalties.sign_shrinkage,
        shared=penalties.shared,
        rng=config.rng,
        device=config.device,
        progress=config.progress,
    )
    return once(checkpoint, "posterior", draw, to_arrays=arrays_of_draws, from_arrays=draws_of)


@dataclass(frozen=True, eq=False)
class BlockSums:
    """A function of a block, to be run wherever the block is: what a decoder step needs of its cells.

    Parameters
    ----------
    blocks, cells, network
        Expression of all cells, facts on them, and edges.
    fit
        The decoder.
    device
        As in :meth:`grnrep.core.als.project.Projection.of`.
    """

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

    def __call__(self, k: int) -> Stats:
        """Sums over the cells of block ``k``."""
        cells = self.cells.part(self.blocks.rows(k))
        x = self.blocks.read(k)
        return self.projection.sums(x, cells.covariates, cells.size_factors).cpu()


def learn_from_all(
    fit: Fit, data: Data, choices: Choices, config: FitConfig, checkpoint: Checkpoint | None
) -> Fit:
    """Go on from a fit to the sample to the decoder of all cells; activities are still of the sample.

    Every pass over blocks, here or on a cluster, is kept in the checkpoint, so that a run that was killed
    repeats none.
    """
    network, sample, penalties = choices.matched.network, choices.sample, choices.penalties
    if penalties is None:
        raise ValueError("passes over all cells are of the exact solver")
    cells, blocks = choices.sample_cells, data.blocks
    client = active_client(config.client, blocks)
    if client is not None:
        blocks = blocks.portable()
    number = count()
    full = with_known_columns(network, choices.n_known)
    genes = GeneSolver(full, shared=fit.likelihood.constant_curvature)

    def sums(decoder: Fit) -> Stats:
        name = f"pass-{next(number)}"
        saved = None if checkpoint is None else checkpoint.load(name)
        if saved is not None:
            return Stats(**{part: torch.as_tensor(values) for part, values in saved.items()})
        bare = replace(
            decoder, activity=np.zeros((0, network.n_regulators)), covariates=None, history=[]
        )
        of_block = BlockSums(blocks, choices.cells, network, bare, config.device)
        total = genes.no_stats()
        parts = map_blocks(
            of_block, len(blocks), client=client, desc=name, progress=config.progress
        )
        with closing(parts):  # threads are put back where it ends
            for _, part in parts:
                total.merge(part)
        if checkpoint is not None:
            checkpoint.save(name, {part: sums.numpy() for part, sums in total.parts().items()})
        return total

    prepared = Prepared.of(
        sample.x,
        choices.model.likelihood,
        cells.size_factors,
        choices.model.intercept,
        cells.covariates,
        None,
    )
    share = data.scan.n_obs / len(sample.x)
    squares = prepared.sums.squares * share
    if fit.likelihood.constant_curvature:
        squares = float(data.scan.squares.sum())
    fit = _limited(refine, max_iter=config.max_iter)(
        fit,
        network,
        sums,
        sum_squares=squares,
        beyond_known=prepared.sums.beyond_known * share,
        p_unit=prepared.unit,
        n_cells=data.scan.n_obs,
        ridge=penalties.ridge,
        prior=penalties.sign_shrinkage,
        shared=penalties.shared,
        progress=config.progress,
    )
    projection = Projection.of(fit, network, device=config.device)
    activity = projection(sample.x, cells.covariates, cells.size_factors)
    if not fit.likelihood.constant_curvature:
        return replace(fit, activity=activity)
    loss = projection.sums(sample.x, cells.covariates).loss.sum()
    return replace(fit, activity=activity, squared_error=float(loss))
