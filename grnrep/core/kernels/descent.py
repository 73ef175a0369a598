"""Conjugate gradients for the representations of many cells at once: see `grnrep.core.als.cells.project_cells`.

A cell that is done makes room for the next, in its lane, so that no work is spent on waiting.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grnrep.core.kernels.descent_tile import (
    Cells,
    Sums,
    Tile,
    enter,
    keep,
    look_ahead,
    move,
    precondition,
    set_change,
    set_direction,
)
from grnrep.core.kernels.kept import compiled, part
from grnrep.core.kernels.products import Rows, set_gradient
from grnrep.core.kernels.vectors import BYTES, tile_of

SHORTER, LONGER = 0.1, 4.0  # what the secant step may make of a step


class _Queue(NamedTuple):
    """Of every lane, its cell, -1 where none waits; the steps that this has taken; and how many cells it has had."""

    cells: np.ndarray
    ages: np.ndarray
    n_had: np.ndarray


@compiled
def descend(
    w: Rows,
    w_t: Rows,
    inverse: Rows,
    ridge: np.ndarray,
    waiting: Cells,
    max_iter: int,
    tol: float,
    out: np.ndarray,
    residual: np.ndarray,
    iterations: np.ndarray,
) -> None:
    """Minimise Σ residual(x, W z)² + Σ ridge z² for every cell.

    Parameters
    ----------
    w, w_t, inverse
        W (n_genes, m), W', and the preconditioner P (m, m).
    ridge
        One per regulator, ``(m,)``.
    waiting
        Cells, and where they start.
    max_iter, tol
        As in :func:`grnrep.core.als.cells.project_cells`.
    out
        Becomes the representations, (m, n_cells).
    residual
        Becomes the residuals of these, (n_genes, n_cells); without rows it stays so.
    iterations
        Becomes the number of iterations of every cell, ``(n_cells,)``.

    References
    ----------
    Polak and Ribière (1969); with β ≥ 0: Nocedal and Wright, Numerical Optimization (2006), section 5.2.
    """
    like, m = waiting.uncensored, len(waiting.z)
    (n, n_cells), number, lanes = like.shape, like.dtype.type, BYTES // like.itemsize
    tile = Tile(
        tile_of(n, like), tile_of(n, like), tile_of(n, like),
        np.zeros(n, waiting.censored.dtype), np.zeros(n, waiting.censored.dtype),
        tile_of(m, like), tile_of(m, like), tile_of(m, like),
    )  # fmt: skip
    sums = Sums(
        tile_of(1, like), tile_of(1, like), tile_of(1, like), tile_of(1, like), tile_of(1, like),
        tile_of(1, like), tile_of(1, like), tile_of(1, like), tile_of(1, like), tile_of(1, like),
    )  # fmt: skip
    gradient, last = tile_of(m, like), tile_of(m, like)
    beta, step = tile_of(1, like), tile_of(1, like)
    cells, ages, n_had = np.zeros((3, lanes), np.int64)
    queue = _Queue(cells, ages, n_had)
    done, n_left = np.arange(lanes), n_cells  # lanes that make room, the first so many of it
    for lane in range(lanes):
        cells[lane] = _next_of(lane, n_had, n_cells)
    enter(done, cells, waiting, tile)

    while n_left > 0:
        gradient, last = last, gradient
        set_gradient(w_t, ridge, tile.z, tile.r, gradient)
        precondition(inverse, gradient, last, tile, sums)

        # Cells that are done, ‖y‖ ≤ tol ‖z‖, leave; of the others β = max(0, (g - last g)'y / last (g'y))
        n_done = 0
        for lane in range(lanes):
            beta[lane] = 0
            if cells[lane] < 0:
                continue
            if sums.yy[lane] <= tol * tol * sums.zz[lane]:
                done[n_done] = lane
                n_done += 1
                continue
            if sums.last_gy[lane] > 0:
                conjugate = (sums.gy[lane] - sums.cross[lane]) / sums.last_gy[lane]
                beta[lane] = max(number(0), conjugate)
            ages[lane] += 1
        if n_done > 0:
            _make_room(done[:n_done], queue, waiting, tile, sums, out, residual, iterations)
            n_left -= n_done

        set_direction(ridge, gradient, beta, tile, sums)
        for lane in range(lanes):
            # by rounding, d may have lost its meaning: then d = y
            if sums.slope[lane] <= 0 and ages[lane] > 0:
                sums.slope[lane] = sums.gy[lane]
                sums.ridge_curvature[lane], sums.ridge_slope[lane] = 0, 0
                for j in range(m):
                    k = j * lanes + lane
                    tile.direction[k] = tile.y[k]
                    sums.ridge_curvature[lane] += ridge[j] * tile.y[k] * tile.y[k]
                    sums.ridge_slope[lane] += ridge[j] * tile.z[k] * tile.y[k]
            sums.last_gy[lane] = sums.gy[lane]

        # step = g'd / (Σ (W d)² + d'λd): to the minimum along d, unless entries enter or leave their
        # censored range
        set_change(w, tile, sums)
        for lane in range(lanes):
            curvature = sums.curvature[lane] + sums.ridge_curvature[lane]
            step[lane] = sums.slope[lane] / curvature if curvature > 0 else 0

        # One secant step along d, for entries that do. At z + step d, with r there, the slope is
        # r'W d - z'λd - step d'λd; the line through it and the slope at z is zero at step · longer.
        look_ahead(step, tile, sums)
        for lane in range(lanes):
            ridge_part = sums.ridge_slope[lane] + step[lane] * sums.ridge_curvature[lane]
            end_slope = sums.end_slope[lane] - ridge_part
            if end_slope < sums.slope[lane]:
                longer = sums.slope[lane] / (sums.slope[lane] - end_slope)
                step[lane] *= min(max(longer, number(SHORTER)), number(LONGER))

        move(step, tile)

        # Cells that have no step left make room here, so that the next is not kept waiting for an iteration
        n_done = 0
        for lane in range(lanes):
            if cells[lane] >= 0 and ages[lane] >= max_iter:
                done[n_done] = lane
                n_done += 1
        if n_done > 0:
            _make_room(done[:n_done], queue, waiting, tile, sums, out, residual, iterations)
            n_left -= n_done


@part
def _make_room(
    done: np.ndarray,
    queue: _Queue,
    waiting: Cells,
    tile: Tile,
    sums: Sums,
    out: np.ndarray,
    residual: np.ndarray,
    iterations: np.ndarray,
) -> None:
    """Keep what was found of the cells of some lanes, and give these the next ones."""
    keep(done, queue.cells, tile, out, residual)
    for lane in done:
        iterations[queue.cells[lane]] = queue.ages[lane]
        queue.cells[lane] = _next_of(lane, queue.n_had, len(iterations))
        queue.ages[lane] = 0
        # the next β is 0: no direction to go on from
        sums.gy[lane], sums.last_gy[lane] = np.inf, np.inf
    enter(done, queue.cells, waiting, tile)


@part
def _next_of(lane: int, n_had: np.ndarray, n_cells: int) -> int:
    """The next cell of a lane, -1 where none waits: its own in the next tile of cells, as these enter quickest.

    A lane that has had all of its own takes one from the lane that has had the fewest.
    """
    lanes = len(n_had)
    if n_had[lane] * lanes + lane >= n_cells:
        for other in range(lanes):
            if n_had[other] * lanes + other < n_had[lane] * lanes + lane:
                lane = other
    cell = n_had[lane] * lanes + lane
    if cell >= n_cells:
        return -1
    n_had[lane] += 1
    return cell
