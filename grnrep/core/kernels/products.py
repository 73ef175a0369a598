"""Products with sparse matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from grnrep.core.kernels.kept import compiled, part
from grnrep.core.kernels.vectors import (
    BYTES,
    add,
    load,
    load_at,
    multiply_add,
    splat,
    store,
    sum_of,
)


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
def edge_products(
    indptr: np.ndarray, column: np.ndarray, r: np.ndarray, z: np.ndarray, out: np.ndarray
) -> None:
    """Write Σ_cells r[gene] z[column] of every edge to ``out``, ``(n_edges,)``.

    Parameters
    ----------
    indptr, column
        Edges of every gene, and their columns.
    r, z
        (n_genes, n_cells) and (n_columns, n_cells).
    """
    # lanes are cells, and here they are added up
    lanes, n_cells = BYTES // z.itemsize, z.shape[1]
    n_whole, zero = n_cells - n_cells % lanes, splat(z.dtype.type(0))
    for i in range(len(r)):
        last = indptr[i + 1] - 1
        for e in range(
            indptr[i], last + 1, 4
        ):  # four, so that no addition waits for the one before
            # behind the last edge it is taken again
            e1, e2, e3 = min(e + 1, last), min(e + 2, last), min(e + 3, last)
            j0, j1, j2, j3 = column[e], column[e1], column[e2], column[e3]
            s0, s1, s2, s3 = zero, zero, zero, zero
            for k in range(0, n_whole, lanes):
                of_gene = load_at(r, i * n_cells + k)
                s0 = multiply_add(of_gene, load_at(z, j0 * n_cells + k), s0)
                s1 = multiply_add(of_gene, load_at(z, j1 * n_cells + k), s1)
                s2 = multiply_add(of_gene, load_at(z, j2 * n_cells + k), s2)
                s3 = multiply_add(of_gene, load_at(z, j3 * n_cells + k), s3)
            t0, t1, t2, t3 = sum_of(s0), sum_of(s1), sum_of(s2), sum_of(s3)
            for k in range(n_whole, n_cells):
                t0, t1 = t0 + r[i, k] * z[j0, k], t1 + r[i, k] * z[j1, k]
                t2, t3 = t2 + r[i, k] * z[j2, k], t3 + r[i, k] * z[j3, k]
            out[e3], out[e2], out[e1], out[e] = t3, t2, t1, t0


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
