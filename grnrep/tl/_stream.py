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
from grnrep.core.posterior.count_laplace import CountSpread
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.rows.scan import Scan
from grnrep.rows.sink import SD, Sink
from grnrep.tl._checkpoint import Checkpoint
from grnrep.tl._plan import Plan
from grnrep.tl._solve import infer, prepared
from grnrep.tl._uncertainty import CountPosterior, Posterior, deviations, spread_of


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
    options
        Solver, device and so on, as in :func:`grnrep.tl._solve.infer`.
    spread
        What the decoder leaves open, from which the deviations of activities follow; or None.
    """

    blocks: Blocks
    decoder: Decoder
    cells: Cells
    with_errors: bool
    options: dict[str, Any]
    spread: dict[str, np.ndarray] | CountSpread | None = None

    @cached_property
    def projection(self) -> Any:
        """What all blocks share: made once in every process."""
        return prepared(self.decoder, solver=self.options["solver"], device=self.options["device"])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "projection"}

    def __call__(self, k: int) -> Inferred:
        """Infer the cells of block ``k``."""
        x, decoder, sd = self.blocks.read(k), self.decoder, None
        part = self.cells.part(self.blocks.rows(k))
        z = infer(x, decoder, part, projection=self.projection, **self.options)
        if self.spread is not None:
            sd = deviations(x, z, decoder, part, self.spread).astype(np.float32)
        sums = squared_errors(x, z, decoder, part) if self.with_errors else None
        return Inferred(z.astype(np.float32), sd, sums)


def every_activity(
    decoder: Decoder,
    blocks: Blocks,
    scan: Scan,
    plan: Plan,
    posterior: Posterior | CountPosterior | None,
    sink: Sink,
    *,
    client: Any,
    checkpoint: Checkpoint | None,
    progress: bool,
    **options: Any,
) -> np.ndarray:
    """Write activities of all cells, and their deviations; return the sums of errors of every gene.

    Cells that the decoder was learned from, or the posterior drawn for, keep what was found there.
    """
    fit = decoder.fit
    # not of a part of the cells learned from
    of_learned = posterior is None or posterior.cells is None
    if of_learned and len(plan.rows) == scan.n_obs:
        sink.write(plan.rows, fit.activity)
        if posterior is not None:
            sink.write(plan.rows, posterior.activity_sd, SD)
        return squared_errors(plan.x, fit.activity, decoder, plan.some)
    spread = None if posterior is None else spread_of(posterior)
    blocks = replace(blocks, in_file_order=sink.in_file_order)
    inference = Inference(
        blocks, bare(decoder), plan.cells, True, options | {"progress": False}, spread
    )
    sums = 0.0
    with closing(
        stream(inference, client=client, checkpoint=checkpoint, progress=progress)
    ) as parts:
        for rows, found in parts:
            sink.write(rows, found.activity)
            if found.sd is not None:
                sink.write(rows, found.sd, SD)
            sums = sums + found.sums
    if posterior is not None:
        drawn = plan.rows if posterior.cells is None else plan.rows[posterior.cells]
        sink.write(drawn, fit.activity)
        sink.write(drawn, posterior.activity_sd, SD)
    return sums


def bare(decoder: Decoder) -> Decoder:
    """The decoder without what belongs to the cells that it was learned from."""
    none = {"activity": np.zeros((0, len(decoder.regulators))), "covariates": None, "history": []}
    return replace(decoder, fit=replace(decoder.fit, **none))


def stream(
    inference: Inference, *, client: Any, checkpoint: Checkpoint | None = None, progress: bool
) -> Generator[tuple[np.ndarray, Inferred], None, None]:
    """Positions of the cells of every block, and what was inferred of them, now or as a checkpoint has it.

    To be closed by who does not come to its end: threads are put back there.
    """
    there, client = inference, active_client(client, inference.blocks)
    if client is not None:
        there = replace(inference, blocks=inference.blocks.portable())
    n_blocks, kept = len(inference.blocks), frozenset()
    if checkpoint is not None:
        kept = frozenset(k for k in range(n_blocks) if checkpoint.has(f"block-{k}"))
    options = {"client": client, "skip": kept, "desc": "activities", "progress": progress}
    with closing(map_blocks(there, n_blocks, **options)) as others:
        for k in range(n_blocks):  # in order, so that sums over blocks are the same to the last bit
            if k in kept:
                saved = checkpoint.load(f"block-{k}")
                found = Inferred(saved["activity"], saved.get("sd"), saved.get("sums"))
            else:
                _, found = next(others)
                if checkpoint is not None:
                    checkpoint.save(
                        f"block-{k}", {n: v for n, v in found._asdict().items() if v is not None}
                    )
            yield inference.blocks.rows(k), found
        next(others, None)  # to its end: the last of its blocks is done
