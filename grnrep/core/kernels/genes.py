"""Systems and regressions of genes."""

from __future__ import annotations

from typing import Any

import numpy as np

from grnrep.core.kernels.kept import compiled, part
from grnrep.core.kernels.vectors import BYTES, load, load_at, multiply, multiply_add, splat, store


@compiled
def add_systems(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    z: np.ndarray,
    curvature: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add Σ a z z' of every gene at its own columns to ``out``, as in `grnrep.core.als.genes.Stats`.

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
    sums = np.empty(most * (most + 1) // 2 * lanes, z.dtype)
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
) -> None:
    """Add Σ z z' of every gene at its own columns, and Σ r z, over its cells with a residual.

    Where most entries are zeros below a ReLU few cells of a gene have one, and this is for them.

    Parameters
    ----------
    indptr, column, first_pair
        As in :func:`add_systems`.
    z, r
        Representations (m + q, n_cells) and residuals (n_genes, n_cells), of one precision.
    systems, edge
        Σ z z' in rows, gene after gene, and Σ r z, ``(n_edges,)``; float64.
    """
    # lanes are regulators of a gene here: a cell adds to rows of its system
    lanes, n_cells, most = BYTES // z.itemsize, r.shape[1], 0
    for i in range(len(r)):
        most = max(most, indptr[i + 1] - indptr[i])
    n_most = (most + lanes - 1) // lanes
    own = np.zeros(n_cells * n_most * lanes, z.dtype)  # z of its regulators, cell by cell
    seen, residual = np.empty(n_cells, np.int64), np.empty(n_cells, z.dtype)
    row = np.empty(4 * lanes, z.dtype)
    for i in range(len(r)):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        n = (d + lanes - 1) // lanes  # vectors of a cell
        n_seen = 0
        for k in range(n_cells):  # without a branch, which no processor would foresee
            seen[n_seen], residual[n_seen] = k, r[i, k]
            n_seen += r[i, k] != 0
        for a in range(n * lanes):
            j = column[first + a] if a < d else -1
            for k in range(n_seen):
                place = np.uintp(k * n * lanes + a)
                own[place] = z[j, np.uintp(seen[k])] if j >= 0 else 0
        for q in range(n):
            store(row, 0, _weighted(residual, own, n_seen, n, q))
            for a in range(q * lanes, min(d, (q + 1) * lanes)):
                edge[first + a] += row[a - q * lanes]
            for a in range(q * lanes, d, 4):
                _set_four(own, n_seen, n, q, a, d, row)
                for u in range(min(4, d - a)):
                    for b in range(q * lanes, min(a + u + 1, (q + 1) * lanes)):
                        value = row[u * lanes + b - q * lanes]
                        systems[first_pair[i] + (a + u) * d + b] += value
                        if b < a + u:
                            systems[first_pair[i] + b * d + a + u] += value


@part
def _weighted(weight: np.ndarray, own: np.ndarray, n_cells: int, n: int, q: int) -> Any:
    """Σ_k weight[k] own[k], of vector q of the n of each cell."""
    total = splat(own.dtype.type(0))
    for k in range(n_cells):
        total = multiply_add(splat(weight[k]), load(own, k * n + q), total)
    return total


@part
def _set_four(
    own: np.ndarray, n_cells: int, n: int, q: int, a: int, d: int, out: np.ndarray
) -> None:
    """Set Σ_k own[k, a + u] own[k] for u up to 3, of vector q of the n of each cell; of rows below d."""
    zero, lanes = splat(own.dtype.type(0)), BYTES // own.itemsize
    one, two, three, four = zero, zero, zero, zero
    # what is behind the last row is read, and left
    b, c, e = min(a + 1, d - 1), min(a + 2, d - 1), min(a + 3, d - 1)
    for k in range(n_cells):
        start, vector = k * n * lanes, load(own, k * n + q)
        one = multiply_add(splat(own[np.uintp(start + a)]), vector, one)
        two = multiply_add(splat(own[np.uintp(start + b)]), vector, two)
        three = multiply_add(splat(own[np.uintp(start + c)]), vector, three)
        four = multiply_add(splat(own[np.uintp(start + e)]), vector, four)
    store(out, 0, one)
    store(out, 1, two)
    store(out, 2, three)
    store(out, 3, four)


@compiled
def regress_genes(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    gram: np.ndarray,
    spread: np.ndarray,
    mean: np.ndarray,
    edge: np.ndarray,
    noise: np.ndarray,
    precision: np.ndarray,
    pull: np.ndarray,
    n_cells: int,
    weight: np.ndarray,
    variance: np.ndarray,
    pairs: np.ndarray,
    of_gene: np.ndarray,
) -> None:
    """Posterior of the weights of every gene; equations and names are those of `grnrep.core.als.posteriors`.

    Parameters
    ----------
    indptr, column, first_pair
        Edges of every gene, their columns, and where V begins in ``pairs``.
    gram, spread, mean, edge, noise, precision, pull
        Σ z̄ z̄', of which the lower triangle is read, N Σ, mean z̄, Σ r z̄, ψ, 1 / v, (a - w) / v.
    weight
        w, and then w̄, ``(n_edges,)``.
    variance, pairs, of_gene
        Set to the diagonal of V; V in rows, gene after gene; and change, signal and log |V⁻¹|, (3, n_genes).
    """
    for i in range(len(noise)):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        g, s, v = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
        for a in range(d):
            for b in range(a + 1):
                g[a, b] = g[b, a] = gram[column[first + a], column[first + b]]
                s[a, b] = s[b, a] = spread[column[first + a], column[first + b]]
        for a in range(d):
            for b in range(d):
                v[a, b] = (g[a, b] + s[a, b]) / noise[i]
            v[a, a] += precision[first + a]
        of_gene[2, i] = _invert(v)
        w, slope, change = weight[first : first + d], np.empty(d), np.zeros(d)
        for a in range(d):
            slope[a] = edge[first + a]
            for b in range(d):
                slope[a] -= s[a, b] * w[b]
            slope[a] = slope[a] / noise[i] + pull[first + a]
        for a in range(d):
            for b in range(d):
                change[a] += v[a, b] * slope[b]
            variance[first + a] = v[a, a]
        # Σ E[(x - w'z)²] = Σ (x - w̄'z̄)² + w̄'N Σ w̄ + tr V Σ E[z z']
        rise, signal, of_mean = 0.0, 0.0, 0.0
        for a in range(d):
            rise -= 2.0 * change[a] * edge[first + a]
            w[a] += change[a]
            of_mean += w[a] * mean[column[first + a]]
        for a in range(d):
            for b in range(d):
                rise += change[a] * g[a, b] * change[b] + w[a] * s[a, b] * w[b]
                rise += v[a, b] * (g[a, b] + s[a, b])
                signal += w[a] * g[a, b] * w[b]
                pairs[first_pair[i] + a * d + b] = v[a, b]
        of_gene[0, i] = rise
        of_gene[1, i] = signal / n_cells - of_mean * of_mean


@part
def _invert(a: Any) -> float:
    """Invert a positive definite matrix in its place, and return the logarithm of its determinant.

    By sweeps of its lower triangle, which leave the negative of the inverse (Beaton 1964).
    """
    d, log_det = len(a), 0.0
    u = np.empty(d)
    for k in range(d):
        pivot = a[k, k]
        log_det += np.log(pivot)
        for b in range(d):
            u[b] = a[k, b] if b <= k else a[b, k]
        u[k] = 0.0
        for r in range(d):
            share = u[r] / pivot
            for b in range(r + 1):
                a[r, b] -= share * u[b]
        for b in range(k):
            a[k, b] = u[b] / pivot
        for r in range(k + 1, d):
            a[r, k] = u[r] / pivot
        a[k, k] = -1.0 / pivot
    for r in range(d):
        for b in range(r + 1):
            a[r, b] = a[b, r] = -a[r, b]
    return log_det


@compiled
def add_doubt(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    pairs: np.ndarray,
    noise: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add Σ_i V_i / ψ_i to ``out`` (m + q, m + q); V as :func:`regress_genes` sets it."""
    for i in range(len(noise)):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        for a in range(d):
            for b in range(d):
                value = pairs[first_pair[i] + a * d + b] / noise[i]
                out[column[first + a], column[first + b]] += value
