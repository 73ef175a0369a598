"""Decoder steps over all cells, wherever they lie: passes over blocks, here or on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
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
from grnrep.rows.scan import Scan
from grnrep.tl._checkpoint import Checkpoint
from grnrep.tl._plan import Plan


@dataclass(frozen=True, eq=False)
class BlockSums:
    """A function of a block, to be run wherever the block is: what a decoder step needs of its cells.

    Parameters
    ----------
    blocks, cells, network
        Expression of all cells, facts on them, and edges.
    fit
        The decoder.
    options
        Link and device, as in :meth:`grnrep.core.als.project.Projection.of`.
    """

    blocks: Blocks
    cells: Cells
    network: Network
    fit: Fit
    options: dict[str, Any]

    @cached_property
    def projection(self) -> Projection:
        """The decoder, made ready once in every process."""
        return Projection.of(self.fit, self.network, **self.options)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "projection"}

    def __call__(self, k: int) -> Stats:
        """Sums over the cells of block ``k``."""
        covariates = self.cells.part(self.blocks.rows(k)).covariates
        return self.projection.sums(self.blocks.read(k), covariates).cpu()


def learn_from_all(
    fit: Fit,
    network: Network,
    blocks: Blocks,
    scan: Scan,
    plan: Plan,
    params: Mapping[str, Any],
    *,
    client: Any,
    checkpoint: Checkpoint | None,
    device: str | None,
    progress: bool,
    **limit: int,
) -> Fit:
    """Go on from a fit to ``plan.x`` to the decoder of all cells; activities are still of ``plan.x``.

    Every pass is kept in the checkpoint, so that a run that was killed repeats none.
    """
    options = {"link": params["link"], "device": device}
    client = active_client(client, blocks)
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
        each = BlockSums(blocks, plan.cells, network, bare, options)
        total = Stats.zero(
            network.n_regulators + plan.n_known, network.n_edges + plan.n_known * network.n_genes
        )
        parts = map_blocks(each, len(blocks), client=client, desc=name, progress=progress)
        with closing(parts):  # threads are put back where it ends
            for _, part in parts:
                total.merge(part)
        if checkpoint is not None:
            checkpoint.save(name, {"gram": total.gram, "edge": total.edge, "loss": total.loss})
        return total

    x, covariates = torch.as_tensor(plan.x), plan.some.covariates
    known = torch.as_tensor(
        known_columns(len(x), intercept=params["intercept"], covariates=covariates)
    )
    rest = without_known(x, known) if plan.n_known else x
    energy = float(squared_sum(rest)) * scan.n_obs / len(x)
    shrinkage = {
        "ridge": params["ridge"],
        "prior": params["prior"],
        "shared": params["shared_prior"],
    }
    size = {"sum_squares": float(scan.squares.sum()), "energy": energy, "n_cells": scan.n_obs}
    fit = refine(fit, network, sums, **size, **shrinkage, **limit, progress=progress)
    projection = Projection.of(fit, network, **options)
    activity = projection(plan.x, covariates)
    return replace(
        fit, activity=activity, squared_error=float(projection.sums(plan.x, covariates).loss)
    )
