"""Decoder steps over all cells, wherever they lie: passes over blocks, here or on a cluster."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import torch

from grnrep._cells import Cells
from grnrep.core.als.data import Data as Prepared
from grnrep.core.als.genes import GeneSolver, Stats
from grnrep.core.als.passes import refine
from grnrep.core.als.project import Projection
from grnrep.core.fitted import Fit
from grnrep.core.network import Network, with_known_columns
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.tl._checkpoint import Checkpoint
from grnrep.tl._choose import Choices
from grnrep.tl._config import FitConfig, limited
from grnrep.tl._data import Data


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
    squares = prepared.scale.squares * share
    if fit.likelihood.constant_curvature:
        squares = float(data.scan.squares.sum())
    scale = replace(
        prepared.scale,
        squares=squares,
        beyond_known=prepared.scale.beyond_known * share,
        n_cells=data.scan.n_obs,
    )
    fit = limited(refine, max_iter=config.max_iter)(
        fit,
        network,
        sums,
        scale,
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
