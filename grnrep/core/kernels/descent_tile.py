"""Cells whose representations are sought, in the lanes of a tile, and steps of all of them along a direction.

The cells of a tile are worked on in step. Each lane has a cell of its own age, and steps, directions and ends of its
own.

Invariant, at the top of an iteration, of every lane: `uncensored` is x - W z of its z, and `r` is that after
censoring. A lane without a cell has all entries left out, z = 0 and d = 0, and stays so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from grnrep.core.kernels.kept import inlined, part
from grnrep.core.kernels.products import Rows, row_times
from grnrep.core.kernels.vectors import (
    BYTES,
    load,
    load_at,
    minimum,
    multiply,
    multiply_add,
    splat,
    store,
    store_at,
    subtract,
    where,
    where_zero,
)


class Cells(NamedTuple):
    """Cells to be projected.

    ``uncensored`` is x - W z at the start, (n_genes, n_cells); ``z`` are representations, (m, n_cells). Whether an
    entry is censored, a zero under a ReLU, and whether it is left out, are bits: as many in a number as vectors have
    lanes, (n_genes, n_cells / lanes), those of the first cells lowest.
    """

    uncensored: np.ndarray
    censored: np.ndarray
    left_out: np.ndarray
    z: np.ndarray


class Tile(NamedTuple):
    """Where the search of the cells in the lanes is."""

    uncensored: np.ndarray  # x - W z; a vector a gene, as in the next two
    r: np.ndarray  # residuals: the same, censored
    change: np.ndarray  # W d, by which W z changes along the direction d
    censored: np.ndarray  # a bit a lane, a number a gene, as in the next
    left_out: np.ndarray
    z: np.ndarray  # representations; a vector a regulator, as in the next two
    y: np.ndarray  # P g, the gradient preconditioned
    direction: np.ndarray  # d


class Sums(NamedTuple):
    """Sums over the regulators or genes of a cell, one a lane; g is minus half the gradient."""

    yy: np.ndarray  # y'y
    zz: np.ndarray  # z'z
    gy: np.ndarray  # g'y
    last_gy: np.ndarray  # g'y of the iteration before
    cross: np.ndarray  # y' times g of the iteration before
    slope: np.ndarray  # g'd: minus half the slope of the objective along d
    ridge_slope: np.ndarray  # z'λd
    ridge_curvature: np.ndarray  # d'λd
    curvature: np.ndarray  # Σ (W d)², over genes with a residual
    end_slope: np.ndarray  # r'W d with the residuals at the end of a step


@part
def enter(some: np.ndarray, cells: np.ndarray, waiting: Cells, tile: Tile) -> None:
    """Put their cells into some lanes of the tile, or nothing (all entries left out) where that is -1.

    ``cells`` has that of every lane. Those that are in their lane of a whole tile of waiting cells enter by vectors,
    in a tenth of the time.
    """
    lanes, bits = 8 * tile.censored.itemsize, tile.censored.dtype.type
    for lane in some:
        first = cells[lane] - lane
        if cells[lane] < 0 or first % lanes != 0 or first + lanes > waiting.uncensored.shape[1]:
            _enter_one(lane, cells[lane], waiting, tile)
            continue
        which, is_first = 0, True
        for other in some:
            if cells[other] - other == first:
                which |= 1 << other
                is_first = is_first and other >= lane
        if is_first:
            _enter_together(first, bits(which), waiting, tile)


@inlined
def _enter_one(lane: int, cell: int, waiting: Cells, tile: Tile) -> None:
    """Put a cell into a lane of the tile, or nothing where it is -1."""
    lanes, number, bits = 8 * tile.censored.itemsize, tile.r.dtype.type, tile.censored.dtype.type
    one, others = bits(1), bits(~(1 << lane))
    where_cell, shift = max(cell, 0) // lanes, bits(max(cell, 0) % lanes)
    for g in range(len(waiting.uncensored)):
        k, is_censored, is_left_out, value = g * lanes + lane, bits(0), one, number(0)
        if cell >= 0:
            is_censored = (waiting.censored[g, where_cell] >> shift) & one
            is_left_out = (waiting.left_out[g, where_cell] >> shift) & one
            value = waiting.uncensored[g, cell]
        tile.censored[g] = (tile.censored[g] & others) | bits(is_censored << lane)
        tile.left_out[g] = (tile.left_out[g] & others) | bits(is_left_out << lane)
        tile.uncensored[k] = value
        residual = min(value, number(0)) if is_censored else value
        tile.r[k] = number(0) if is_left_out else residual
    for j in range(len(waiting.z)):
        k = j * lanes + lane
        tile.z[k] = waiting.z[j, cell] if cell >= 0 else 0
        tile.y[k], tile.direction[k] = 0, 0  # so that it stays where it is in this iteration


@inlined
def _enter_together(first: int, which: Any, waiting: Cells, tile: Tile) -> None:
    """Put cells into the lanes whose bit is set: of the waiting ones from ``first`` on, a whole number of tiles."""
    lanes, others = 8 * tile.censored.itemsize, tile.censored.dtype.type(~which)
    n_cells, k = waiting.uncensored.shape[1], first // lanes
    zero = splat(tile.r.dtype.type(0))
    for g in range(len(waiting.uncensored)):
        tile.censored[g] = (tile.censored[g] & others) | (waiting.censored[g, k] & which)
        tile.left_out[g] = (tile.left_out[g] & others) | (waiting.left_out[g, k] & which)
        entering = load_at(waiting.uncensored, g * n_cells + first)
        uncensored = where(which, entering, load(tile.uncensored, g))
        store(tile.uncensored, g, uncensored)
        store(tile.r, g, _censor(uncensored, tile.censored[g], tile.left_out[g]))
    for j in range(len(waiting.z)):
        store(tile.z, j, where(which, load_at(waiting.z, j * n_cells + first), load(tile.z, j)))
        # so that they stay where they are in this iteration
        store(tile.y, j, where(which, zero, load(tile.y, j)))
        store(tile.direction, j, where(which, zero, load(tile.direction, j)))


@part
def keep(
    some: np.ndarray, cells: np.ndarray, tile: Tile, out: np.ndarray, residual: np.ndarray
) -> None:
    """Put representations and residuals of some lanes where those of their cells are to be."""
    lanes, first = 8 * tile.censored.itemsize, cells[0]
    together = len(some) == lanes and first % lanes == 0
    for lane in some:
        together = together and cells[lane] == first + lane
    if together:
        for j in range(len(out)):
            store_at(out, j * out.shape[1] + first, load(tile.z, j))
        for g in range(len(residual)):
            store_at(residual, g * residual.shape[1] + first, load(tile.r, g))
        return
    for lane in some:
        for j in range(len(out)):
            out[j, cells[lane]] = tile.z[j * lanes + lane]
        for g in range(len(residual)):
            residual[g, cells[lane]] = tile.r[g * lanes + lane]


@part
def precondition(
    inverse: Rows, gradient: np.ndarray, last: np.ndarray, tile: Tile, sums: Sums
) -> None:
    """Set y = P g, and y'y, z'z, g'y and (last g)'y."""
    zero = splat(gradient.dtype.type(0))
    yy, zz, gy, cross = zero, zero, zero, zero
    for j in range(len(inverse.indptr) - 1):
        y, z, g = row_times(inverse, j, gradient), load(tile.z, j), load(gradient, j)
        store(tile.y, j, y)
        yy, zz = multiply_add(y, y, yy), multiply_add(z, z, zz)
        gy, cross = multiply_add(g, y, gy), multiply_add(load(last, j), y, cross)
    store(sums.yy, 0, yy)
    store(sums.zz, 0, zz)
    store(sums.gy, 0, gy)
    store(sums.cross, 0, cross)


@part
def set_direction(
    ridge: np.ndarray, gradient: np.ndarray, beta: np.ndarray, tile: Tile, sums: Sums
) -> None:
    """Set d = y + β d, and g'd, d'λd and z'λd: 0 for a cell that has just entered, since its y and d are."""
    zero, b = splat(gradient.dtype.type(0)), load(beta, 0)
    slope, ridge_slope, ridge_curvature = zero, zero, zero
    for j in range(len(ridge)):
        d, lam = multiply_add(b, load(tile.direction, j), load(tile.y, j)), splat(ridge[j])
        store(tile.direction, j, d)
        slope = multiply_add(load(gradient, j), d, slope)
        ridge_slope = multiply_add(lam, multiply(load(tile.z, j), d), ridge_slope)
        ridge_curvature = multiply_add(lam, multiply(d, d), ridge_curvature)
    store(sums.slope, 0, slope)
    store(sums.ridge_slope, 0, ridge_slope)
    store(sums.ridge_curvature, 0, ridge_curvature)


@part
def set_change(w: Rows, tile: Tile, sums: Sums) -> None:
    """Set W d, and Σ (W d)² over genes with a residual: those that are censored resist no change."""
    zero = splat(tile.r.dtype.type(0))
    curvature = zero
    for g in range(len(tile.censored)):
        change = row_times(w, g, tile.direction)
        store(tile.change, g, change)
        resisted = where_zero(load(tile.r, g), zero, change)
        curvature = multiply_add(resisted, resisted, curvature)
    store(sums.curvature, 0, curvature)


@part
def look_ahead(step: np.ndarray, tile: Tile, sums: Sums) -> None:
    """Set r'W d, with the residuals r at z + step d."""
    zero = splat(step.dtype.type(0))
    minus_step, end_slope = subtract(zero, load(step, 0)), zero
    for g in range(len(tile.censored)):
        change = load(tile.change, g)
        uncensored = multiply_add(minus_step, change, load(tile.uncensored, g))
        end_slope = multiply_add(
            _censor(uncensored, tile.censored[g], tile.left_out[g]), change, end_slope
        )
    store(sums.end_slope, 0, end_slope)


@part
def move(step: np.ndarray, tile: Tile) -> None:
    """Go from z to z + step d, and from x - W z to x - W z - step W d, with its residuals."""
    plus_step = load(step, 0)
    minus_step = subtract(splat(step.dtype.type(0)), plus_step)
    for g in range(len(tile.censored)):
        uncensored = multiply_add(minus_step, load(tile.change, g), load(tile.uncensored, g))
        store(tile.uncensored, g, uncensored)
        store(tile.r, g, _censor(uncensored, tile.censored[g], tile.left_out[g]))
    for j in range(len(tile.z) * step.itemsize // BYTES):
        store(tile.z, j, multiply_add(plus_step, load(tile.direction, j), load(tile.z, j)))


@inlined
def _censor(uncensored: Any, censored: Any, left_out: Any) -> Any:
    """Residuals of x - W z: at most 0 where a zero is censored, 0 where an entry is left out."""
    zero = subtract(uncensored, uncensored)
    return where(left_out, zero, where(censored, minimum(uncensored, zero), uncensored))
