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
from grnrep.core.als.genes import Stats
from grnrep.core.als.passes import refine
from grnrep.core.als.project import Projection
from grnrep.core.design import known_columns, without_known
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.gaussian import squared_sum
from grnrep.core.network import Network
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

    fit = limited(refine, max_iter=config.max_iter)(
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
