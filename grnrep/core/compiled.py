"""Compiled code: how it is kept, and products that no library does well."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from grnrep.core.simd import add, fma, load, splat


class Rows(NamedTuple):
    """A sparse matrix by rows, CSR; positions int32."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray


def compiled(function: Any) -> Any:
    """Compile on first use, for any thread; what was compiled is kept on disk, if there is a place."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba knows no folder that it can write to
        return numba.njit(nogil=True)(function)


@numba.njit(inline="always")
def row_times(matrix, k, vectors):
    """Row k of the matrix times the vectors."""
    zero = splat(vectors.dtype.type(0))
    a, b, c, d = zero, zero, zero, zero
    # unsigned: numba need not look for positions counted from the end
    i, last = np.uintp(matrix.indptr[k]), np.uintp(matrix.indptr[k + 1])
    while i + np.uintp(3) < last:  # four sums, so that no addition waits for the one before
        a = fma(splat(matrix.values[i]), load(vectors, matrix.indices[i]), a)
        j = i + np.uintp(1)
        b = fma(splat(matrix.values[j]), load(vectors, matrix.indices[j]), b)
        j = i + np.uintp(2)
        c = fma(splat(matrix.values[j]), load(vectors, matrix.indices[j]), c)
        j = i + np.uintp(3)
        d = fma(splat(matrix.values[j]), load(vectors, matrix.indices[j]), d)
        i += np.uintp(4)
    while i < last:
        a = fma(splat(matrix.values[i]), load(vectors, matrix.indices[i]), a)
        i += np.uintp(1)
    return add(add(a, b), add(c, d))


@compiled
def add_gram(indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """Add W'W to ``out``, (n_columns, n_columns): W by rows, CSR, with the columns of every row in order."""
    for row in range(len(indptr) - 1):
        for i in range(indptr[row], indptr[row + 1]):
            for j in range(indptr[row], i + 1):
                out[indices[i], indices[j]] += values[i] * values[j]
    for i in range(len(out)):
        for j in range(i):
            out[j, i] = out[i, j]
