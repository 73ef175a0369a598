"""Systems of genes: their sums over cells, and their solution."""

from __future__ import annotations

import numpy as np

from grnrep.core.kernels.kept import compiled, part
from grnrep.core.kernels.vectors import (
    BYTES,
    load,
    load_at,
    multiply,
    multiply_add,
    splat,
    store,
    store_at,
    tile_of,
)

_ROWS = 8  # of a system that are summed at once: as many sums as an addition takes cycles, twice


@compiled
def add_systems(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    z: np.ndarray,
    curvature: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add Σ a z z' of every gene at its own columns to ``out``, as in `grnrep.core.als.stats.Stats`.

    Parameters
    ----------
    indptr, column, first_pair
        Edges of every gene, their columns, and where its system begins in ``out``.
    z, curvature
        Representations (m + q, n_cells) and a, (n_genes, n_cells), of one precision.
    out
        In rows, gene after gene, float64.
    """
    # these sums are over cells: here, and here alone, lanes are added up
    lanes, n_cells = BYTES // z.itemsize, z.shape[1]
    n_whole = n_cells - n_cells % lanes
    most = 0
    for i in range(len(curvature)):
        most = max(most, indptr[i + 1] - indptr[i])
    sums = tile_of(most * (most + 1) // 2, z)
    for i in range(len(curvature)):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        sums[: d * (d + 1) // 2 * lanes] = 0
        for k in range(0, n_whole, lanes):
            a, pair = load_at(curvature, i * n_cells + k), 0
            for row in range(d):
                weighted = multiply(a, load_at(z, column[first + row] * n_cells + k))
                for other in range(row + 1):
                    of_other = load_at(z, column[first + other] * n_cells + k)
                    store(sums, pair, multiply_add(weighted, of_other, load(sums, pair)))
                    pair += 1
        pair = 0
        for row in range(d):
            for other in range(row + 1):
                total = 0.0
                for lane in range(lanes):
                    total += sums[pair * lanes + lane]
                for k in range(n_whole, n_cells):
                    both = z[column[first + row], k] * z[column[first + other], k]
                    total += curvature[i, k] * both
                out[first_pair[i] + row * d + other] += total
                if other < row:
                    out[first_pair[i] + other * d + row] += total
                pair += 1


@compiled
def add_active(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    z: np.ndarray,
    r: np.ndarray,
    systems: np.ndarray,
    edge: np.ndarray,
    entries: np.ndarray,
) -> None:
    """Add Σ z z' of every gene at its own columns, and Σ r z, over its cells with a residual; and how many these are.

    Where most entries are zeros below a ReLU few cells of a gene have one, and this is for them.

    Parameters
    ----------
    indptr, column, first_pair
        As in :func:`add_systems`.
    z, r
        Representations (m + q, n_cells) and residuals (n_genes, n_cells), of one precision.
    systems, edge, entries
        Σ z z' in rows, gene after gene, of which the lower triangle is filled; Σ r z, ``(n_edges,)``; and cells,
        ``(n_genes,)``; float64.
    """
    # lanes are regulators of a gene here, and its residual, as one more: a cell adds to rows of all their products
    lanes, n_cells, most = BYTES // z.itemsize, r.shape[1], 0
    for i in range(len(r)):
        most = max(most, indptr[i + 1] - indptr[i])
    n_most = (most + lanes) // lanes
    # z of its regulators, cell by cell, and what is read behind them
    own = tile_of(n_cells * n_most + 1, z)
    seen, row = np.empty(n_cells, np.int64), tile_of(_ROWS, z)
    for i in range(len(r)):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        n = (d + lanes) // lanes  # vectors of a cell
        n_seen = 0
        for k in range(n_cells):  # without a branch, which no processor would foresee
            seen[n_seen] = k
            n_seen += r[i, k] != 0
        entries[i] += n_seen
        for k in range(n_seen):
            cell, place = np.uintp(seen[k]), np.uintp(k * n * lanes)
            for a in range(np.uintp(d)):
                own[place + a] = z[np.uintp(column[np.uintp(first) + a]), cell]
            own[place + np.uintp(d)] = r[i, cell]
        for q in range(n):
            for a in range(q * lanes, d + 1, _ROWS):
                _set_rows(own, n_seen, n, q, a, row)
                for u in range(min(_ROWS, d + 1 - a)):
                    start, n_below = u * lanes, min(a + u + 1 - q * lanes, lanes)
                    if a + u < d:
                        place = first_pair[i] + (a + u) * d + q * lanes
                        for b in range(n_below):
                            systems[place + b] += row[start + b]
                    else:
                        for b in range(min(d - q * lanes, lanes)):
                            edge[first + q * lanes + b] += row[start + b]


@part
def _set_rows(own: np.ndarray, n_cells: int, n: int, q: int, a: int, out: np.ndarray) -> None:
    """Set Σ_k own[k, a + u] own[k] for u up to 7, of vector q of the n of each cell."""
    zero, lanes = splat(own.dtype.type(0)), BYTES // own.itemsize
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    for k in range(n_cells):
        # what is behind the last row is read, and left
        start, vector = k * n * lanes + a, load(own, k * n + q)
        s0 = multiply_add(splat(own[np.uintp(start)]), vector, s0)
        s1 = multiply_add(splat(own[np.uintp(start + 1)]), vector, s1)
        s2 = multiply_add(splat(own[np.uintp(start + 2)]), vector, s2)
        s3 = multiply_add(splat(own[np.uintp(start + 3)]), vector, s3)
        s4 = multiply_add(splat(own[np.uintp(start + 4)]), vector, s4)
        s5 = multiply_add(splat(own[np.uintp(start + 5)]), vector, s5)
        s6 = multiply_add(splat(own[np.uintp(start + 6)]), vector, s6)
        s7 = multiply_add(splat(own[np.uintp(start + 7)]), vector, s7)
    for u, total in enumerate((s0, s1, s2, s3, s4, s5, s6, s7)):
        store(out, u, total)


@compiled
def solve_genes(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    values: np.ndarray,
    n_columns: int,
    growth: np.ndarray,
    ridge: np.ndarray,
    right: np.ndarray,
    least: float,
    dampings: np.ndarray,
    out: np.ndarray,
) -> None:
    """Solve (A + λ) y = b of every gene, damped where A + λ is singular to rounding: see `grnrep.core.linalg`.

    Parameters
    ----------
    indptr, column, first_pair
        Edges of every gene, their columns, and where its A begins in ``values``.
    values
        A in rows, gene after gene; or, in rows, a Gram matrix that all genes share, and a gene's A are the entries at
        its own columns. Of either the lower triangle is read. float64, like all that follows.
    n_columns
        Of the shared Gram matrix; 0 where every gene has its own.
    growth
        What A of every gene is multiplied by, ``(n_genes,)``.
    ridge, right
        λ and b, ``(n_edges,)``.
    least
        Share of a column that the columns before it do not explain, below which it is taken for rounding.
    dampings
        Shares of the diagonal that are tried one after the other, until no column is rounding.
    out
        Becomes y, ``(n_edges,)``.
    """
    lanes, most = BYTES // values.itemsize, 0
    for i in range(len(indptr) - 1):
        most = max(most, indptr[i + 1] - indptr[i])
    # A + λ above the diagonal, and b as one more column; whole vectors a row
    rows, diagonal = tile_of(most * ((most + lanes) // lanes), values), np.empty(most)
    for i in range(len(indptr) - 1):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        width = (d + lanes) // lanes * lanes
        for damping in dampings:
            for a in range(d):
                for b in range(a, d):
                    own = first_pair[i] + b * d + a
                    of_all = column[first + b] * n_columns + column[first + a]  # columns ascend
                    rows[a * width + b] = growth[i] * values[of_all if n_columns > 0 else own]
                rows[a * width + a] += ridge[first + a]
                diagonal[a] = rows[a * width + a]
                # a column of zeros, whose b is zero too, gets any pivot
                rows[a * width + a] += damping * diagonal[a] if diagonal[a] > 0 else 1.0
                rows[a * width + d] = right[first + a]
            if _eliminate(rows, diagonal, d, width, least):
                break
        for a in range(d - 1, -1, -1):
            y = rows[a * width + d]
            for b in range(a + 1, d):
                y -= rows[a * width + b] * out[first + b]
            out[first + a] = y / rows[a * width + a]


@part
def _eliminate(rows: np.ndarray, diagonal: np.ndarray, d: int, width: int, least: float) -> bool:
    """Make d rows, with their right sides, those of a triangle; whether every pivot is sound."""
    lanes, sound = BYTES // rows.itemsize, True
    for k in range(d):
        pivot = rows[k * width + k]
        sound = sound and (diagonal[k] <= 0 or pivot > least * diagonal[k])
        inverse = 1 / pivot if pivot != 0 else np.inf
        for r in range(k + 1, d):
            minus_share = splat(-rows[k * width + r] * inverse)
            for b in range(r // lanes * lanes, width, lanes):
                of_k, of_r = load_at(rows, k * width + b), load_at(rows, r * width + b)
                store_at(rows, r * width + b, multiply_add(minus_share, of_k, of_r))
    return sound
