"""Products with sparse matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from grnrep.core.kernels.kept import compiled, part
from grnrep.core.kernels.vectors import add, load, multiply_add, splat, store


class Rows(NamedTuple):
    """A sparse matrix by rows, CSR; positions int32."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray


@part
def row_times(matrix: Rows, k: int, tile: np.ndarray) -> Any:
    """Row k of the matrix times a tile: Σ_i values[i] · vector indices[i], over the entries i of the row."""
    zero = splat(tile.dtype.type(0))
    a, b, c, d = zero, zero, zero, zero
    # unsigned: numba need not look for positions counted from the end
    i, last = np.uintp(matrix.indptr[k]), np.uintp(matrix.indptr[k + 1])
    while i + np.uintp(3) < last:  # four sums, so that no addition waits for the one before
        a = multiply_add(splat(matrix.values[i]), load(tile, matrix.indices[i]), a)
        j = i + np.uintp(1)
        b = multiply_add(splat(matrix.values[j]), load(tile, matrix.indices[j]), b)
        j = i + np.uintp(2)
        c = multiply_add(splat(matrix.values[j]), load(tile, matrix.indices[j]), c)
        j = i + np.uintp(3)
        d = multiply_add(splat(matrix.values[j]), load(tile, matrix.indices[j]), d)
        i += np.uintp(4)
    while i < last:
        a = multiply_add(splat(matrix.values[i]), load(tile, matrix.indices[i]), a)
        i += np.uintp(1)
    return add(add(a, b), add(c, d))


@part
def set_gradient(
    w_t: Rows, ridge: np.ndarray, z: np.ndarray, r: np.ndarray, gradient: np.ndarray
) -> None:
    """Set g = W' r - λ z = -½ ∂/∂z (‖r‖² + Σ λ z²) of a tile."""
    for j in range(len(ridge)):
        g = multiply_add(splat(-ridge[j]), load(z, j), row_times(w_t, j, r))
        store(gradient, j, g)


@compiled
def add_gram(indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """Add W'W to ``out``, (n_columns, n_columns): W by rows, CSR, with the columns of every row in order."""
    # W'W = Σ_rows w w' of their few entries: those on and below the diagonal, which is then mirrored
    for row in range(len(indptr) - 1):
        for i in range(indptr[row], indptr[row + 1]):
            for j in range(indptr[row], i + 1):
                out[indices[i], indices[j]] += values[i] * values[j]
    for i in range(len(out)):
        for j in range(i):
            out[j, i] = out[i, j]
