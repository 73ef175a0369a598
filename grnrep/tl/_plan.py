"""The cells that a decoder is learned from, and the model, which settle one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from grnrep._cells import Cells, is_count, read_cells
from grnrep._covariates import Covariates
from grnrep.core.network import Network
from grnrep.rows.blocks import Blocks
from grnrep.rows.scan import Scan
from grnrep.tl._auto import settle_cells, settle_intercept, settle_likelihood, settle_link
from grnrep.tl._strata import in_turn


@dataclass(frozen=True, eq=False)
class Plan:
    """What a fit starts from.

    Parameters
    ----------
    rows, x, some
        Positions of the cells to learn from, sorted as :class:`grnrep.rows.blocks.Blocks` orders them;
        their expression, (n_cells, n_genes); and the facts on them.
    draw
        All rows in the order in which they would be taken, as positions in ``blocks.order``.
    cells
        Facts on all cells.
    model
        Likelihood, link, intercept, and of counts the depth.
    passes
        Whether the decoder is then learned on from all cells, in passes over them.
    """

    rows: np.ndarray
    x: np.ndarray
    some: Cells
    draw: np.ndarray
    cells: Cells
    model: dict[str, str | bool | float]
    passes: bool = False

    def first(self, blocks: Blocks, n: int) -> np.ndarray:
        """Positions of the first ``n`` cells that were drawn, in the order of ``rows``."""
        return first_drawn(blocks, self.draw, n)

    @property
    def link(self) -> str:
        """What zeros say, "relu" or "identity"; few counts say as little as zeros of a ReLU."""
        return "identity" if self.model["link"] == "identity" else "relu"

    @property
    def n_known(self) -> int:
        """Known columns: the intercept and covariates."""
        return int(self.model["intercept"]) + self.cells.n_covariates


def first_drawn(blocks: Blocks, draw: np.ndarray, n: int) -> np.ndarray:
    """Positions of the first ``n`` cells of a draw, in the order that blocks have."""
    return blocks.order[np.sort(draw[:n])]


def settle(
    adata: AnnData,
    blocks: Blocks,
    scan: Scan,
    network: Network,
    design: Covariates | None,
    *,
    solver: str,
    likelihood: str,
    link: str,
    intercept: bool | str,
    max_cells: int | str | None,
    strata: np.ndarray | None,
    rng: int,
) -> Plan:
    """Draw cells to learn from, and settle likelihood, link and intercept by them."""
    zeros = "identity" if link == "identity" or (link == "auto" and scan.negative.count) else "relu"
    n_columns = 0 if design is None else len(design.columns)
    needed = (
        int(intercept is True or zeros == "identity" or design is not None) + n_columns,
        1 + n_columns,
    )
    draw = np.random.default_rng(rng).permutation(scan.n_obs)
    draw = in_turn(draw, None if strata is None else strata[blocks.order])

    def take(n_known: int) -> tuple[np.ndarray, np.ndarray]:
        n = scan.n_obs
        if solver == "exact":
            first = "auto" if max_cells is None else max_cells
            n = settle_cells(scan, network, link=zeros, n_known=n_known, max_cells=first)
        rows = first_drawn(blocks, draw, n)
        return rows, blocks.take(rows)

    rows, x = take(needed[0])
    finite = np.isfinite(scan.depth).all()
    sizes = read_cells(adata, scan, None, counts=True).size_factors[rows] if finite else None
    choice = {"solver": solver, "likelihood": likelihood, "link": link, "rng": rng}
    likelihood = settle_likelihood(x, network, scan, sizes, **choice)
    counts = is_count(likelihood)
    cells = read_cells(adata, scan, design, counts=counts)
    model = {"likelihood": likelihood, "link": settle_link(scan, likelihood=likelihood, link=link)}
    asked = {"link": model["link"], "intercept": intercept, "rng": rng}
    model["intercept"] = settle_intercept(x, network, cells.part(rows), **asked)
    if counts:
        model["depth"] = cells.depth
    if counts and max_cells is None:
        rows = first_drawn(blocks, draw, scan.n_obs)
        x = blocks.take(rows)
    elif model["intercept"] and needed[0] < needed[1]:
        rows, x = take(needed[1])
    passes = max_cells is None and len(rows) < scan.n_obs
    return Plan(rows, x, cells.part(rows), draw, cells, model, passes)
