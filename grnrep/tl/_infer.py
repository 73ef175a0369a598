"""Activities of all cells in one pass over blocks, with a decoder that stays as it is."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from grnrep._cells import Cells
from grnrep._record import Decoder, squared_errors
from grnrep.core.als.project import Projection
from grnrep.core.posterior.laplace import Spread
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.rows.sink import ACTIVITY, SD, Sink, open_sink
from grnrep.tl._checkpoint import Checkpoint, bringing
from grnrep.tl._choose import Choices
from grnrep.tl._config import FitConfig
from grnrep.tl._data import Data
from grnrep.tl._learn import Learned, check_finite
from grnrep.tl._posterior import deviations, spread_of


@dataclass(frozen=True, eq=False)
class Activities:
    """Activities of all cells.

    Parameters
    ----------
    activity, sd
        Tables or stored arrays (n_obs, n_regulators); ``sd`` may be None.
    sums
        Of errors of every gene, as :func:`grnrep._record.squared_errors` sums them.
    """

    activity: Any
    sd: Any
    sums: np.ndarray


def infer(
    data: Data,
    choices: Choices,
    learned: Learned,
    config: FitConfig,
    checkpoint: Checkpoint | None,
) -> Activities:
    """Infer the activities of all cells, and their deviations.

    Cells that the decoder was learned from, or the posterior drawn for, keep what was found there.

    Raises
    ------
    Interrupted
        At Ctrl-C, with ``learned``.
    """
    parts = (ACTIVITY,) if learned.posterior is None else (ACTIVITY, SD)
    run = None if checkpoint is None else checkpoint.run
    with (
        bringing(learned),
        open_sink(
            config.activity_store,
            data.adata.obs_names,
            learned.decoder.regulators,
            parts,
            n_rows=data.blocks.n_rows,
            run=run,
        ) as sink,
    ):
        sums = _write_all(data, choices, learned, config, checkpoint, sink)
    sd = None if learned.posterior is None else sink.result(SD)
    return Activities(sink.result(), sd, sums)


def _write_all(
    data: Data,
    choices: Choices,
    learned: Learned,
    config: FitConfig,
    checkpoint: Checkpoint | None,
    sink: Sink,
) -> np.ndarray:
    """Write activities and deviations of all cells; return the sums of errors of every gene."""
    decoder, posterior, sample = learned.decoder, learned.posterior, choices.sample
    activity = decoder.fit.activity
    drawn = (
        None if posterior is None else posterior.cells
    )  # of a part of the sample, or of all of it
    if drawn is None and len(sample.rows) == data.scan.n_obs:
        sink.write(sample.rows, activity)
        if posterior is not None:
            sink.write(sample.rows, posterior.activity_sd, SD)
        return squared_errors(sample.x, activity, decoder, choices.sample_cells)
    inference = Inference(
        blocks=replace(data.blocks, in_file_order=sink.in_file_order),
        decoder=bare(decoder),
        cells=choices.cells,
        with_errors=True,
        solver=config.solver,
        device=config.device,
        spread=None if posterior is None else spread_of(posterior),
    )
    sums = np.zeros((4, len(decoder.genes)))
    stream = infer_blocks(
        inference, client=config.client, checkpoint=checkpoint, progress=config.progress
    )
    with closing(stream) as blocks:
        for rows, block in blocks:
            sink.write(rows, block.activity)
            if block.sd is not None:
                sink.write(rows, block.sd, SD)
            if block.sums is not None:
                sums = sums + block.sums
    if posterior is not None:
        rows = sample.rows if drawn is None else sample.rows[drawn]
        sink.write(rows, activity)
        sink.write(rows, posterior.activity_sd, SD)
    return sums


class Inferred(NamedTuple):
    """Of the cells of a block: activities, their deviations if asked for, and sums of errors per gene."""

    activity: np.ndarray
    sd: np.ndarray | None
    sums: np.ndarray | None


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
    """

    blocks: Blocks
    decoder: Decoder
    cells: Cells
    with_errors: bool
    solver: str
    device: str | None
    epochs: int | None = None
    spread: Spread | None = None

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
        x, sd = self.blocks.read(k), None
        cells = self.cells.part(self.blocks.rows(k))
        z = infer_cells(self, x, cells)
        if self.spread is not None:
            sd = deviations(x, z, self.decoder, cells, self.spread).astype(np.float32)
        sums = squared_errors(x, z, self.decoder, cells) if self.with_errors else None
        return Inferred(z.astype(np.float32), sd, sums)


def infer_cells(inference: Inference, x: np.ndarray, cells: Cells) -> np.ndarray:
    """Infer activities (n_cells, n_regulators) of the cells ``x``; the decoder stays as it is."""
    decoder, projection = inference.decoder, inference.projection
    if projection is not None:
        activity = projection(x, cells.covariates, cells.size_factors)
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


def bare(decoder: Decoder) -> Decoder:
    """The decoder without what belongs to the cells that it was learned from."""
    none = np.zeros((0, len(decoder.regulators)))
    return replace(decoder, fit=replace(decoder.fit, activity=none, covariates=None, history=[]))


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
            saved = checkpoint.load(f"block-{k}") if checkpoint is not None and k in kept else None
            if saved is not None:
                block = Inferred(saved["activity"], saved.get("sd"), saved.get("sums"))
            else:
                _, block = next(computed)
                if checkpoint is not None:
                    checkpoint.save(
                        f"block-{k}", {n: v for n, v in block._asdict().items() if v is not None}
                    )
            yield inference.blocks.rows(k), block
        next(computed, None)  # to its end: the last of its blocks is done
