"""Residuals of a block of cells and what follows from them, compiled: some cells at a time, in the cache."""

from __future__ import annotations

import numba
import numpy as np

from grnrep.core.compiled import Rows, compiled, row_times
from grnrep.core.simd import fma, load, load_at, maximum, minimum, n_lanes, splat, store, store_at, subtract


@numba.njit(inline="always")
def _take(array, k, tile, lanes):
    """Copy the columns of an array from ``k`` on; where there are none left, zeros."""
    n_columns = array.shape[1]
    if k + lanes <= n_columns:
        for i in range(len(array)):
            store(tile, i, load_at(array, i * n_columns + k))
    else:
        for i in range(len(array)):
            for lane in range(lanes):
                tile[i * lanes + lane] = array[i, k + lane] if k + lane < n_columns else 0


@numba.njit(inline="always")
def _put(tile, array, k, lanes):
    """Copy to the columns of an array from ``k`` on."""
    n_columns = array.shape[1]
    if k + lanes <= n_columns:
        for i in range(len(array)):
            store_at(array, i * n_columns + k, load(tile, i))
    else:
        for i in range(len(array)):
            for lane in range(n_columns - k):
                array[i, k + lane] = tile[i * lanes + lane]


@compiled
def _compute(w, w_t, ridge, x, most, least, bounds, z, lanes, r, gradient):
    """Write residuals to ``r``, and minus half the gradient to ``gradient``, if they have columns."""
    zs, rs = np.empty(len(z) * lanes, x.dtype), np.empty(len(x) * lanes, x.dtype)
    high, low = np.empty(len(x) * lanes, x.dtype), np.empty(len(x) * lanes, x.dtype)
    downhill = np.empty(len(gradient) * lanes, x.dtype)
    for k in range(0, x.shape[1], lanes):
        _take(z, k, zs, lanes)
        _take(x, k, rs, lanes)
        if bounds > 0:
            _take(most, k, high, lanes)
        if bounds > 1:
            _take(least, k, low, lanes)
        for g in range(len(x)):
            v = subtract(load(rs, g), row_times(w, g, zs))
            if bounds > 0:
                v = minimum(v, load(high, g))
            if bounds > 1:
                v = maximum(v, load(low, g))
            store(rs, g, v)
        if r.shape[1] > 0:
            _put(rs, r, k, lanes)
        if gradient.shape[1] > 0:
            for j in range(len(gradient)):
                store(downhill, j, fma(splat(-ridge[j]), load(zs, j), row_times(w_t, j, rs)))
            _put(downhill, gradient, k, lanes)


def residuals(
    w: Rows, x: np.ndarray, most: np.ndarray | None, least: np.ndarray | None, z: np.ndarray, out: np.ndarray
) -> None:
    """Write x - W z, at most ``most`` and at least ``least``, to ``out``, (n_genes, n_cells), which may be x.

    Parameters
    ----------
    w
        W, (n_genes, m + q).
    x, most, least
        As in :class:`grnrep.core.likelihood.Observed`.
    z
        Representations, (m + q, n_cells).
    """
    none = out[:0, :0]
    _compute(w, w, none[:, 0:0].ravel(), x, *_bounds(x, most, least), z, n_lanes(x.dtype), out, none)


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
    _compute(w, w_t, ridge, x, *_bounds(x, most, least), z, n_lanes(x.dtype), x[:0, :0], out)


def _bounds(
    x: np.ndarray, most: np.ndarray | None, least: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Both bounds, of which the first so many count."""
    return (
        x if most is None else most,
        x if least is None else least,
        (most is not None) + (least is not None),
    )
