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
from grnrep.core.als.count_data import CountFit
from grnrep.core.als.counts import fit_counts
from grnrep.core.als.exact import fit_exact
from grnrep.core.als.genes import Stats
from grnrep.core.als.passes import refine
from grnrep.core.als.project import Projection
from grnrep.core.design import known_columns, without_known
from grnrep.core.fitted import Fit
from grnrep.core.interrupted import Interrupted
from grnrep.core.likelihoods.gaussian import squared_sum
from grnrep.core.network import Network
from grnrep.core.posterior.sample import Posterior
from grnrep.core.signs import orient
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.tl._checkpoint import Checkpoint, arrays_of, once
from grnrep.tl._choose import Choices, Penalties
from grnrep.tl._config import SOLVERS, FitConfig
from grnrep.tl._data import Data
from grnrep.tl._posterior import (
    CountPosterior,
    Oriented,
    arrays_of_draws,
    draw_posterior,
    draws_of,
    fit_of,
    posterior_of_counts,
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
    elif cells.depth is None:
        fit = _limited(fit_exact, max_iter=config.max_iter)(
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
        fit = _limited(fit_counts, max_iter=config.max_iter)(
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


@dataclass(frozen=True, eq=False)
class BlockSums:
    """A function of a block, to be run wherever the block is: what a decoder step needs of its cells.

    Parameters
    ----------
    blocks, cells, network
        Expression of all cells, facts on them, and edges.
    fit
        The decoder.
    link, device
        As in :meth:`grnrep.core.als.project.Projection.of`.
    """

    blocks: Blocks
    cells: Cells
    network: Network
    fit: Fit
    link: str
    device: str | None

    @cached_property
    def projection(self) -> Projection:
        """The decoder, made ready once in every process."""
        return Projection.of(self.fit, self.network, link=self.link, device=self.device)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "projection"}

    def __call__(self, k: int) -> Stats:
        """Sums over the cells of block ``k``."""
        covariates = self.cells.part(self.blocks.rows(k)).covariates
        return self.projection.sums(self.blocks.read(k), covariates).cpu()


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
    link, blocks = choices.model.link, data.blocks
    client = active_client(config.client, blocks)
    if client is not None:
        blocks = blocks.portable()
    number = count()

    def sums(decoder: Fit) -> Stats:
        name = f"pass-{next(number)}"
        saved = None if checkpoint is None else checkpoint.load(name)
        if saved is not None:
            return Stats(*(torch.as_tensor(saved[part]) for part in ("gram", "edge", "loss")))
        bare = replace(
            decoder, activity=np.zeros((0, network.n_regulators)), covariates=None, history=[]
        )
        of_block = BlockSums(blocks, choices.cells, network, bare, link, config.device)
        total = Stats.zero(
            network.n_regulators + choices.n_known,
            network.n_edges + choices.n_known * network.n_genes,
        )
        parts = map_blocks(
            of_block, len(blocks), client=client, desc=name, progress=config.progress
        )
        with closing(parts):  # threads are put back where it ends
            for _, part in parts:
                total.merge(part)
        if checkpoint is not None:
            checkpoint.save(
                name,
                {
                    "gram": total.gram.numpy(),
                    "edge": total.edge.numpy(),
                    "loss": total.loss.numpy(),
                },
            )
        return total

    fit = _limited(refine, max_iter=config.max_iter)(
        fit,
        network,
        sums,
        sum_squares=float(data.scan.squares.sum()),
        energy=_unexplained(choices) * data.scan.n_obs / len(sample.x),
        n_cells=data.scan.n_obs,
        ridge=penalties.ridge,
        prior=penalties.sign_shrinkage,
        shared=penalties.shared,
        progress=config.progress,
    )
    projection = Projection.of(fit, network, link=link, device=config.device)
    covariates = choices.sample_cells.covariates
    return replace(
        fit,
        activity=projection(sample.x, covariates),
        squared_error=float(projection.sums(sample.x, covariates).loss),
    )


def _unexplained(choices: Choices) -> float:
    """Σx² of the sample that known columns leave."""
    x, covariates = torch.as_tensor(choices.sample.x), choices.sample_cells.covariates
    if choices.n_known == 0:
        return float(squared_sum(x))
    known = known_columns(len(x), intercept=choices.model.intercept, covariates=covariates)
    return float(squared_sum(without_known(x, torch.as_tensor(known))))
