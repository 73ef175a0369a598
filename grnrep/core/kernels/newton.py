"""Newton steps for the representations of counts: see `grnrep.core.als.newton`.

Cells are worked on in lanes, and make room for the next, as in `grnrep.core.kernels.descent`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grnrep.core.kernels.counts import CountGenes
from grnrep.core.kernels.kept import compiled
from grnrep.core.kernels.newton_tile import (
    CountCells,
    NewtonTile,
    add_gradient,
    enter,
    set_rise,
    set_start,
    set_work,
    take_step,
)
from grnrep.core.kernels.products import Rows, row_times
from grnrep.core.kernels.vectors import BYTES, store, tile_of


class Newton(NamedTuple):
    """How Newton steps are taken and when they end.

    Parameters
    ----------
    n_gradients
        Conjugate gradients of a step.
    n_halvings
        Times that a step is halved at most.
    near
        Step, as a share of the representation, from which on curvatures are those of the loss itself, of any sign.
    rounding
        Rise of the objective that says nothing, as a share of Σ |loss|.
    flat
        Share of the curvature of a count under exponential f that it keeps where f is that.
    max_iter, tol
        Steps at most, and step, as a share of the representation, at which a cell is done.
    """

    n_gradients: int
    n_halvings: int
    near: float
    rounding: float
    flat: float
    max_iter: int
    tol: float


def newton_counts(
    w: Rows,
    w_t: Rows,
    ridge: np.ndarray,
    genes: CountGenes,
    cells: CountCells,
    how: Newton,
    out: np.ndarray,
    steps: np.ndarray,
) -> None:
    """Take Newton steps towards the least deviance + Σ ridge z² of every cell.

    Parameters
    ----------
    w, w_t
        W (n_genes, m), and W'.
    ridge
        One per regulator, ``(m,)``.
    genes, cells
        What is given.
    how
        How steps are taken.
    out, steps
        Become the representations, (m, n_cells), and the number of steps of every cell, ``(n_cells,)``.

    References
    ----------
    Conjugate gradients that end where there is no curvature: Steihaug, SIAM J. Numer. Anal. 20 (1983).
    """
    squares = Rows(w_t.indptr, w_t.indices, np.square(w_t.values))
    take_newton_steps(w, w_t, squares, ridge, genes, cells, how, out, steps)


@compiled
def take_newton_steps(
    w: Rows,
    w_t: Rows,
    squares: Rows,
    ridge: np.ndarray,
    genes: CountGenes,
    waiting: CountCells,
    how: Newton,
    out: np.ndarray,
    steps: np.ndarray,
) -> None:
    """:func:`newton_counts`, given the squares of W'."""
    like, m = waiting.counts, len(ridge)
    (n, n_cells), lanes = like.shape, BYTES // like.itemsize
    tile = NewtonTile(
        tile_of(n, like), tile_of(n, like), tile_of(n, like), tile_of(n, like), tile_of(n, like),
        tile_of(n, like), tile_of(m, like), tile_of(m, like), tile_of(m, like), tile_of(m, like),
        tile_of(m, like), tile_of(m, like), tile_of(1, like), tile_of(1, like), tile_of(1, like),
        tile_of(1, like), tile_of(3, like),
    )  # fmt: skip
    # of every lane, its cell, -1 where none waits, and the steps that this has taken
    cells, ages = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
    n_left, n_entered = n_cells, 0
    for lane in range(lanes):
        cells[lane] = n_entered if n_entered < n_cells else -1
        n_entered += 1
        enter(lane, cells[lane], waiting, tile)

    while n_left > 0:
        set_work(genes, how.flat, tile)
        set_start(w_t, squares, ridge, tile)
        for k in range(how.n_gradients):
            add_gradient(k, w, w_t, ridge, tile)
        for g in range(n):
            store(tile.change_p, g, row_times(w, g, tile.change))

        # every cell halves its step until its own objective does not rise
        for lane in range(lanes):
            tile.length[lane] = 1
        for k in range(how.n_halvings + 1):
            set_rise(genes, ridge, tile)
            n_rising = 0
            for lane in range(lanes):
                allowed = how.rounding * tile.sums[lane]
                if cells[lane] >= 0 and not tile.rise[lane] <= allowed:  # not a number rises too
                    tile.length[lane] = tile.length[lane] / 2 if k < how.n_halvings else 0
                    n_rising += 1
            if n_rising == 0:
                break

        take_step(tile)
        for lane in range(lanes):
            if cells[lane] < 0:
                continue
            ages[lane] += 1
            moved, size = tile.sums[lanes + lane], tile.sums[2 * lanes + lane]
            done = moved <= how.tol * how.tol * size or tile.length[lane] == 0
            tile.near[lane] = moved <= how.near * how.near * size
            if done or ages[lane] >= how.max_iter:
                for j in range(m):
                    out[j, cells[lane]] = tile.z[j * lanes + lane]
                steps[cells[lane]] = ages[lane]
                cells[lane] = n_entered if n_entered < n_cells else -1
                ages[lane] = 0
                n_left, n_entered = n_left - 1, n_entered + 1
                enter(lane, cells[lane], waiting, tile)
