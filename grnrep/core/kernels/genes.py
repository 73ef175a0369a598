"""Regressions of genes: the posterior of their weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from grnrep.core.kernels.kept import compiled, part


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
