"""Conjugate gradients for the representations of many cells at once: see `grnrep.core.als.cells.project_cells`.

A cell that is done makes room for the next, in its lane, so that no work is spent on waiting.
"""

from __future__ import annotations

import numpy as np

from grnrep.core.kernels.descent_tile import (
    Cells,
    Sums,
    Tile,
    enter,
    enter_all,
    keep,
    keep_all,
    look_ahead,
    move,
    precondition,
    set_change,
    set_direction,
)
from grnrep.core.kernels.kept import compiled
from grnrep.core.kernels.products import Rows, set_gradient
from grnrep.core.kernels.vectors import BYTES, tile_of

SHORTER, LONGER = 0.1, 4.0  # what the secant step may make of a step


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
    # of every lane, its cell, -1 where none waits, and the steps that this has taken
    cells, ages = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
    n_left, n_entered = n_cells, 0
    for lane in range(lanes):
        cells[lane] = n_entered if n_entered < n_cells else -1
        n_entered += 1
    if n_cells >= lanes:
        enter_all(0, waiting, tile)
    else:
        for lane in range(lanes):
            enter(lane, cells[lane], waiting, tile)

    while n_left > 0:
        gradient, last = last, gradient
        set_gradient(w_t, ridge, tile.z, tile.r, gradient)
        precondition(inverse, gradient, last, tile, sums)

        # Cells that are done, ‖y‖ ≤ tol ‖z‖, leave; of the others β = max(0, (g - last g)'y / last (g'y))
        for lane in range(lanes):
            beta[lane] = 0
            if cells[lane] < 0:
                continue
            if sums.yy[lane] <= tol * tol * sums.zz[lane]:
                keep(lane, cells[lane], tile, out, residual)
                iterations[cells[lane]] = ages[lane]
                cells[lane] = n_entered if n_entered < n_cells else -1
                ages[lane] = -1
                n_left, n_entered = n_left - 1, n_entered + 1
                enter(lane, cells[lane], waiting, tile)
                sums.gy[lane] = np.inf  # the next β is 0: no direction to go on from
            elif sums.last_gy[lane] > 0:
                conjugate = (sums.gy[lane] - sums.cross[lane]) / sums.last_gy[lane]
                beta[lane] = max(number(0), conjugate)
            ages[lane] += 1

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

        # Cells that have no step left make room here, so that the next is not kept waiting for an iteration: all at
        # once where they entered so
        n_old = 0
        for lane in range(lanes):
            n_old += ages[lane] >= max_iter and cells[lane] >= 0
        if n_old == 0:
            continue
        first = cells[0]
        together = n_old == lanes and first % lanes == 0
        for lane in range(lanes):
            together = together and cells[lane] == first + lane
        if together:
            keep_all(first, tile, out, residual)
        replaced = together and n_entered + lanes <= n_cells
        if replaced:
            enter_all(n_entered, waiting, tile)
        for lane in range(lanes):
            if cells[lane] < 0 or ages[lane] < max_iter:
                continue
            if not together:
                keep(lane, cells[lane], tile, out, residual)
            iterations[cells[lane]] = ages[lane]
            cells[lane] = n_entered if n_entered < n_cells else -1
            ages[lane] = 0
            n_left, n_entered = n_left - 1, n_entered + 1
            if not replaced:
                enter(lane, cells[lane], waiting, tile)
            sums.last_gy[lane] = np.inf  # as above
