"""Residuals of a block of cells, and the gradient that follows from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grnrep.core.kernels.kept import compiled, inlined, part
from grnrep.core.kernels.products import Rows, row_times, set_gradient
from grnrep.core.kernels.vectors import (
    BYTES,
    load,
    load_at,
    maximum,
    minimum,
    store,
    store_at,
    subtract,
    tile_of,
)


class Bounded(NamedTuple):
    """Expression of cells and the bounds of their residuals, (n_genes, n_cells), of which so many count."""

    x: np.ndarray
    most: np.ndarray
    least: np.ndarray
    n_bounds: int


def bounded(x: np.ndarray, most: np.ndarray | None, least: np.ndarray | None) -> Bounded:
    """Bounds that there are not are x, which is not read as such: numba compiles once, not for every case."""
    n_bounds = (most is not None) + (least is not None)
    return Bounded(x, x if most is None else most, x if least is None else least, n_bounds)


def residuals(
    w: Rows,
    x: np.ndarray,
    most: np.ndarray | None,
    least: np.ndarray | None,
    z: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write x - W z, at most ``most`` and at least ``least``, to ``out``, (n_genes, n_cells), which may be x.

    Parameters
    ----------
    w
        W, (n_genes, m + q).
    x, most, least
        As in :class:`grnrep.core.likelihoods.base.Block`.
    z
        Representations, (m + q, n_cells).
    """
    block_residuals(w, bounded(x, most, least), z, out)


def gradients(
    w: Rows,
    w_t: Rows,
    ridge: np.ndarray,
    x: np.ndarray,
    most: np.ndarray | None,
    least: np.ndarray | None,
    z: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write W' r - λ z, with the residuals r, to ``out``, (m, n_cells); λ is ``ridge``, ``(m,)``."""
    block_gradients(w, w_t, ridge, bounded(x, most, least), z, out)


@compiled
def block_residuals(w: Rows, block: Bounded, z: np.ndarray, out: np.ndarray) -> None:
    """:func:`residuals`, a tile after the other."""
    lanes = BYTES // z.itemsize
    z_tile, r, bound = tile_of(len(z), z), tile_of(len(out), z), tile_of(len(out), z)
    for k in range(0, z.shape[1], lanes):
        _set_residual(w, block, z, k, z_tile, r, bound)
        _put(r, out, k)


@compiled
def block_gradients(
    w: Rows, w_t: Rows, ridge: np.ndarray, block: Bounded, z: np.ndarray, out: np.ndarray
) -> None:
    """:func:`gradients`, a tile after the other."""
    lanes = BYTES // z.itemsize
    z_tile, gradient = tile_of(len(z), z), tile_of(len(ridge), z)
    r, bound = tile_of(len(block.x), z), tile_of(len(block.x), z)
    for k in range(0, z.shape[1], lanes):
        _set_residual(w, block, z, k, z_tile, r, bound)
        set_gradient(w_t, ridge, z_tile, r, gradient)
        _put(gradient, out, k)


@part
def _set_residual(
    w: Rows,
    block: Bounded,
    z: np.ndarray,
    k: int,
    z_tile: np.ndarray,
    r: np.ndarray,
    bound: np.ndarray,
) -> None:
    """Set r = x - W z, within its bounds, of the tile of cells from ``k`` on; ``bound`` is room for a tile."""
    _take(z, k, z_tile)
    _take(block.x, k, r)
    # a residual of 0 where a censored zero is predicted below zero, or an entry is left out
    if block.n_bounds == 0:
        for g in range(len(block.x)):
            store(r, g, subtract(load(r, g), row_times(w, g, z_tile)))
        return
    _take(block.most, k, bound)
    for g in range(len(block.x)):
        store(r, g, minimum(subtract(load(r, g), row_times(w, g, z_tile)), load(bound, g)))
    if block.n_bounds > 1:
        _take(block.least, k, bound)
        for g in range(len(block.x)):
            store(r, g, maximum(load(r, g), load(bound, g)))


@inlined
def _take(array: np.ndarray, k: int, tile: np.ndarray) -> None:
    """Copy the columns of an array from ``k`` on to a tile; where there are none left, zeros."""
    lanes, n_columns = BYTES // tile.itemsize, array.shape[1]
    if k + lanes <= n_columns:
        for i in range(len(array)):
            store(tile, i, load_at(array, i * n_columns + k))
    else:
        for i in range(len(array)):
            for lane in range(lanes):
                tile[i * lanes + lane] = array[i, k + lane] if k + lane < n_columns else 0


@inlined
def _put(tile: np.ndarray, array: np.ndarray, k: int) -> None:
    """Copy a tile to the columns of an array from ``k`` on, as far as there are any."""
    lanes, n_columns = BYTES // tile.itemsize, array.shape[1]
    if k + lanes <= n_columns:
        for i in range(len(array)):
            store_at(array, i * n_columns + k, load(tile, i))
    else:
        for i in range(len(array)):
            for lane in range(n_columns - k):
                array[i, k + lane] = tile[i * lanes + lane]
