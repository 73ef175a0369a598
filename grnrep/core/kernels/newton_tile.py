"""Cells of counts in the lanes of a tile, and what a Newton step does to all of them.

The step is found by conjugate gradients, for the curvature of every entry at z.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from grnrep.core.kernels.counts import CountGenes, half_loss, link, work
from grnrep.core.kernels.kept import part
from grnrep.core.kernels.products import Rows, row_times, set_gradient
from grnrep.core.kernels.vectors import (
    BYTES,
    add,
    divide,
    load,
    maximum,
    multiply,
    multiply_add,
    splat,
    splat_like,
    store,
    subtract,
    where_positive,
    where_zero,
)

_TOO_FAR: Final = 1e30  # length of a step that rounding makes


class CountCells(NamedTuple):
    """Counts and W z at the start, (n_genes, n_cells); size factors ``(n_cells,)``; z, (m, n_cells)."""

    counts: np.ndarray
    p: np.ndarray
    size: np.ndarray
    z: np.ndarray


class NewtonTile(NamedTuple):
    """Where the search of the cells in the lanes is."""

    counts: np.ndarray  # a vector a gene, as in the next five
    p: np.ndarray  # W z
    r: np.ndarray  # minus half the slope of the loss
    curvature: np.ndarray  # half its curvature
    loss: np.ndarray  # half of it, up to what counts alone say
    change_p: np.ndarray  # first max(curvature, 0); then W d, last of the whole step
    z: np.ndarray  # a vector a regulator, as in the next five
    gradient: np.ndarray  # what remains of minus half the gradient of the objective
    preconditioner: np.ndarray  # 1 / diagonal of W'AW + λ
    y: np.ndarray  # the gradient, preconditioned
    direction: np.ndarray  # d
    change: np.ndarray  # the step
    size: np.ndarray  # a vector, as in the next four
    near: np.ndarray  # 1 where curvatures are those of the loss itself, else 0
    length: np.ndarray  # of the step, as a share of it
    rise: np.ndarray  # of half the objective by a step of that length
    sums: np.ndarray  # three vectors: Σ |loss|; Σ of squares of the step; and of z behind it


@part
def enter(lane: int, cell: int, waiting: CountCells, tile: NewtonTile) -> None:
    """Put a cell into a lane of the tile, or one without counts, of size 0, where it is -1."""
    lanes = len(tile.size)
    for g in range(len(waiting.counts)):
        k = g * lanes + lane
        tile.counts[k] = waiting.counts[g, cell] if cell >= 0 else 0
        tile.p[k] = waiting.p[g, cell] if cell >= 0 else 0
    for j in range(len(waiting.z)):
        tile.z[j * lanes + lane] = waiting.z[j, cell] if cell >= 0 else 0
    tile.size[lane] = waiting.size[cell] if cell >= 0 else 0
    tile.near[lane] = 0


@part
def set_work(genes: CountGenes, flat: float, tile: NewtonTile) -> None:
    """Set minus half the slope, half the curvature and half the loss of every entry, and Σ |loss|."""
    size, near = load(tile.size, 0), load(tile.near, 0)
    zero = subtract(size, size)
    total, kept = zero, splat_like(size, flat)
    for g in range(len(genes.softness)):
        c, softness, dispersion = load(tile.counts, g), genes.softness[g], genes.dispersion[g]
        r, curvature, soft, u, mu = work(
            c, load(tile.p, g), size, near, kept, splat(softness), dispersion
        )
        loss = half_loss(c, soft, u, mu, dispersion)
        store(tile.r, g, r)
        store(tile.curvature, g, curvature)
        store(tile.change_p, g, maximum(curvature, zero))
        store(tile.loss, g, loss)
        total = add(total, maximum(loss, subtract(zero, loss)))
    store(tile.sums, 0, total)


@part
def set_start(w_t: Rows, squares: Rows, ridge: np.ndarray, tile: NewtonTile) -> None:
    """Set what conjugate gradients start from: minus half the gradient, the preconditioner, and a step of zero."""
    zero = splat(tile.z.dtype.type(0))
    one = splat_like(zero, 1.0)
    set_gradient(w_t, ridge, tile.z, tile.r, tile.gradient)
    slope = zero
    for j in range(len(ridge)):
        diagonal = add(row_times(squares, j, tile.change_p), splat(ridge[j]))
        inverse = where_positive(diagonal, divide(one, diagonal), zero)
        gradient = load(tile.gradient, j)
        y = multiply(inverse, gradient)
        slope = multiply_add(gradient, y, slope)
        store(tile.preconditioner, j, inverse)
        store(tile.direction, j, y)
        store(tile.change, j, zero)
    # between iterations, `length` is g'y, and `rise` 0 for cells that have met a direction without curvature
    store(tile.length, 0, slope)
    store(tile.rise, 0, one)


@part
def add_gradient(k: int, w: Rows, w_t: Rows, ridge: np.ndarray, tile: NewtonTile) -> None:
    """Iteration k of conjugate gradients for (W'AW + λ) step = g.

    Cells that meet a direction d with d'(W'AW + λ) d ≤ 0 stay where they are; with the first of all directions as
    their step (Steihaug 1983).
    """
    zero = splat(tile.z.dtype.type(0))
    resisted = zero
    for g in range(len(tile.counts) * tile.z.itemsize // BYTES):
        change = row_times(w, g, tile.direction)
        weighted = multiply(load(tile.curvature, g), change)
        resisted = multiply_add(weighted, change, resisted)
        store(tile.change_p, g, weighted)
    for j in range(len(ridge)):
        d = load(tile.direction, j)
        resisted = multiply_add(splat(ridge[j]), multiply(d, d), resisted)
    slope, going = load(tile.length, 0), load(tile.rise, 0)
    length = where_positive(
        resisted, divide(slope, resisted), load(tile.near, 0) if k == 0 else zero
    )
    # too far: rounding has left next to nothing to divide by
    too_far = subtract(length, splat_like(zero, _TOO_FAR))
    length = multiply(going, where_positive(subtract(zero, too_far), length, zero))
    going = where_positive(resisted, going, zero)
    following = zero
    for j in range(len(ridge)):
        d = load(tile.direction, j)
        store(tile.change, j, multiply_add(length, d, load(tile.change, j)))
        product = multiply_add(splat(ridge[j]), d, row_times(w_t, j, tile.change_p))
        gradient = subtract(load(tile.gradient, j), multiply(length, product))
        y = multiply(load(tile.preconditioner, j), gradient)
        following = multiply_add(gradient, y, following)
        store(tile.gradient, j, gradient)
        store(tile.y, j, y)
    share = where_positive(slope, divide(following, slope), zero)
    for j in range(len(ridge)):
        store(tile.direction, j, multiply_add(share, load(tile.direction, j), load(tile.y, j)))
    store(tile.length, 0, following)
    store(tile.rise, 0, going)


@part
def set_rise(genes: CountGenes, ridge: np.ndarray, tile: NewtonTile) -> None:
    """Set the rise of half the objective by the step at its length: a sum of differences, which rounding spares."""
    length, size = load(tile.length, 0), load(tile.size, 0)
    total = subtract(size, size)
    half = multiply(splat_like(size, 0.5), length)
    for j in range(len(ridge)):
        # λ ((z + t d)² - z²) / 2 = λ t d (z + t d / 2)
        change = load(tile.change, j)
        middle = multiply_add(half, change, load(tile.z, j))
        total = multiply_add(multiply(splat(ridge[j]), multiply(length, change)), middle, total)
    for g in range(len(genes.softness)):
        p = multiply_add(length, load(tile.change_p, g), load(tile.p, g))
        softness = splat(genes.softness[g])
        soft, u, _, _ = link(p, softness)
        mu = multiply(multiply(soft, softness), size)
        loss = half_loss(load(tile.counts, g), soft, u, mu, genes.dispersion[g])
        total = add(total, subtract(loss, load(tile.loss, g)))
    store(tile.rise, 0, total)


@part
def take_step(tile: NewtonTile) -> None:
    """Go from z to z + length · step, and sum the squares of the whole step and of z there."""
    length, lanes = load(tile.length, 0), len(tile.size)
    moved = subtract(length, length)
    size = moved
    for g in range(len(tile.p) // lanes):
        p = load(tile.p, g)
        store(tile.p, g, where_zero(length, p, multiply_add(length, load(tile.change_p, g), p)))
    for j in range(len(tile.z) // lanes):
        change, z = load(tile.change, j), load(tile.z, j)
        z = where_zero(length, z, multiply_add(length, change, z))  # no step, though it be infinite
        moved, size = multiply_add(change, change, moved), multiply_add(z, z, size)
        store(tile.z, j, z)
    store(tile.sums, 1, moved)
    store(tile.sums, 2, size)
