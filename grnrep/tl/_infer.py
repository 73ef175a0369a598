"""Activities of all cells in one pass over blocks, with a decoder that stays as it is."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from grnrep._cells import Cells
from grnrep._record import Decoder, squared_errors
from grnrep.core.als.project import Projection
from grnrep.core.posterior.laplace import Spread, activity_sd
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.rows.sink import ACTIVITY, FREE, SD, Sink, open_sink
from grnrep.tl._checkpoint import Checkpoint, bringing, once
from grnrep.tl._choose import Choices
from grnrep.tl._config import FitConfig
from grnrep.tl._data import Data
from grnrep.tl._learn import Learned, check_finite


@dataclass(frozen=True, eq=False)
class Activities:
    """Activities of all cells.

    Parameters
    ----------
    activity, sd
        Tables or stored arrays (n_obs, n_regulators); ``sd`` may be None.
    free
        The same of free factors, (n_obs, n_factors); or None.
    sums
        Of errors of every gene, as :func:`grnrep._record.squared_errors` sums them.
    """

    activity: Any
    sd: Any
    free: Any
    sums: np.ndarray


def infer(
    data: Data,
    choices: Choices,
    learned: Learned,
    config: FitConfig,
    checkpoint: Checkpoint | None,
) -> Activities:
    """Infer the activities of all cells, and their deviations.

    Raises
    ------
    Interrupted
        At Ctrl-C, with ``learned``.
    """
    decoder, cells = learned.decoder, data.adata.obs_names
    parts = parts_of(decoder)
    if learned.uncertainty is not None:
        parts[SD] = decoder.regulators
    n_rows, run = data.blocks.n_rows, None if checkpoint is None else checkpoint.run
    with (
        bringing(learned),
        open_sink(config.activity_store, cells, parts, n_rows=n_rows, run=run) as sink,
    ):
        sums = _write_all(data, choices, learned, config, checkpoint, sink)
    sd, free = (sink.result(part) if part in parts else None for part in (SD, FREE))
    return Activities(sink.result(), sd, free, sums)


def parts_of(decoder: Decoder) -> dict[str, pd.Index]:
    """What a decoder says of a cell, and the names of its columns."""
    parts = {ACTIVITY: decoder.regulators}
    if decoder.fit.n_factors:
        parts[FREE] = decoder.factors
    return parts


def _write_all(
    data: Data,
    choices: Choices,
    learned: Learned,
    config: FitConfig,
    checkpoint: Checkpoint | None,
    sink: Sink,
) -> np.ndarray:
    """Write activities and deviations of all cells; return the sums of errors of every gene.

    Cells that were learned from keep what was found there; if a posterior was drawn, those of its draws.
    """
    decoder, uncertainty, sample = learned.decoder, learned.uncertainty, choices.sample
    fit, found, x, sd = decoder.fit, sample.rows, sample.x, None
    if uncertainty is not None:
        sd, drawn = uncertainty.activity_sd, uncertainty.cells
        found, x = (found, x) if drawn is None else (found[drawn], x[drawn])
    sums = squared_errors(x, fit.activity, decoder, choices.cells.part(found))
    known = Inferred(fit.activity, fit.factors, sd, sums)
    if len(found) == data.scan.n_obs:
        known.write(sink, found)
        return sums
    none = np.zeros((0, len(decoder.regulators)))  # what is sent to workers has no cells in it
    bare = replace(fit, activity=none, factors=None, covariates=None, history=[])
    inference = Inference(
        blocks=replace(data.blocks, in_file_order=sink.in_file_order),
        decoder=replace(decoder, fit=bare),
        cells=choices.cells,
        with_errors=True,
        solver=config.solver,
        device=config.device,
        spread=None if uncertainty is None else uncertainty.spread,
        known=found,
    )
    stream = infer_blocks(
        inference, client=config.client, checkpoint=checkpoint, progress=config.progress
    )
    with closing(stream) as blocks:
        for k, (rows, block) in enumerate(blocks):
            # chunks of a store are written once, whole
            here = np.isin(found, inference.blocks.rows(k))
            block.beside(known, here).write(sink, np.concatenate([rows, found[here]]))
            if block.sums is not None:
                sums = sums + block.sums
    return sums


@dataclass(frozen=True, eq=False)
class Inferred:
    """Of the cells of a block: activities and free factors, deviations if asked for, and sums of errors per gene."""

    activity: np.ndarray
    free: np.ndarray | None
    sd: np.ndarray | None
    sums: np.ndarray | None

    def beside(self, known: Inferred, here: np.ndarray) -> Inferred:
        """These cells, then those of ``known`` where ``here`` is true; without sums."""

        def both(own: np.ndarray, other: np.ndarray) -> np.ndarray:
            return np.concatenate([own, other[here].astype(own.dtype)])

        free = None if self.free is None or known.free is None else both(self.free, known.free)
        sd = None if self.sd is None or known.sd is None else both(self.sd, known.sd)
        return Inferred(both(self.activity, known.activity), free, sd, None)

    def write(self, sink: Sink, rows: np.ndarray) -> None:
        """Put all that there is at the positions ``rows``."""
        for part, values in ((ACTIVITY, self.activity), (FREE, self.free), (SD, self.sd)):
            if values is not None:
                sink.write(rows, values, part)


@dataclass(frozen=True, eq=False)
class Inference:
    """A function of a block, to be run wherever the block is.

    Parameters
    ----------
    blocks, decoder, cells
        Expression, decoder, and facts on all cells.
    with_errors
        Whether errors are wanted.
    solver, device, epochs
        What infers, where, and the limit of the gradient solver.
    spread
        What the decoder leaves open, from which the deviations of activities follow; or None.
    known
        Positions of cells that are not to be inferred.
    """

    blocks: Blocks
    decoder: Decoder
    cells: Cells
    with_errors: bool
    solver: str
    device: str | None
    epochs: int | None = None
    spread: Spread | None = None
    known: np.ndarray | None = None

    def rows(self, k: int) -> np.ndarray:
        """Positions in the data of the cells of block ``k`` that are to be inferred."""
        return self.blocks.rows(k)[self._asked(k)]

    def _asked(self, k: int) -> np.ndarray | slice:
        """Which cells of block ``k`` are to be inferred."""
        if self.known is None:
            return slice(None)
        return ~np.isin(self.blocks.rows(k), self.known)

    @cached_property
    def projection(self) -> Projection | None:
        """What all blocks share, made once in every process; None where there is nothing."""
        if self.solver != "exact":
            return None
        return Projection.of(self.decoder.fit, self.decoder.network, device=self.device)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "projection"}

    def __call__(self, k: int) -> Inferred:
        """Infer the cells of block ``k``."""
        x, decoder, sd = self.blocks.read(k)[self._asked(k)], self.decoder, None
        cells = self.cells.part(self.rows(k))
        both, m = infer_cells(self, x, cells), decoder.network.n_regulators
        z, factors = both[:, :m], both[:, m:] if decoder.fit.n_factors else None
        if self.spread is not None:
            fit = replace(decoder.fit, activity=z, factors=factors, covariates=cells.covariates)
            sizes = cells.size_factors
            sd = activity_sd(x, fit, decoder.network, self.spread, size_factors=sizes)
            sd = sd.astype(np.float32)
        sums = squared_errors(x, z, decoder, cells) if self.with_errors else None
        free = None if factors is None else factors.astype(np.float32)
        return Inferred(z.astype(np.float32), free, sd, sums)


def infer_cells(inference: Inference, x: np.ndarray, cells: Cells) -> np.ndarray:
    """Infer activities, then free factors, (n_cells, m), of the cells ``x``; the decoder stays as it is."""
    decoder, projection = inference.decoder, inference.projection
    if projection is not None:
        activity = projection.representation(x, cells.covariates, cells.size_factors)
    else:
        from grnrep.nn.recipe import project_gradient

        limit = {} if inference.epochs is None else {"epochs": inference.epochs}
        activity = project_gradient(
            x,
            decoder.fit,
            decoder.network,
            link=decoder.link,
            device=inference.device,
            progress=False,
            **limit,
        )
    check_finite(inference.solver, activity)
    return activity


def infer_blocks(
    inference: Inference, *, client: Any, checkpoint: Checkpoint | None = None, progress: bool
) -> Generator[tuple[np.ndarray, Inferred], None, None]:
    """Positions of the cells of every block, and what was inferred of them, now or as a checkpoint has it.

    To be closed by who does not come to its end: threads are put back there.
    """
    on_worker, client = inference, active_client(client, inference.blocks)
    if client is not None:
        on_worker = replace(inference, blocks=inference.blocks.portable())
    n_blocks, kept = len(inference.blocks), frozenset[int]()
    if checkpoint is not None:
        kept = frozenset(k for k in range(n_blocks) if checkpoint.has(f"block-{k}"))
    computed = map_blocks(
        on_worker, n_blocks, client=client, skip=kept, desc="activities", progress=progress
    )
    with closing(computed):
        for k in range(n_blocks):  # in order, so that sums over blocks are the same to the last bit
            block = once(checkpoint, f"block-{k}", Inferred, lambda: next(computed)[1])
            yield inference.rows(k), block
        next(computed, None)  # to its end: the last of its blocks is done
