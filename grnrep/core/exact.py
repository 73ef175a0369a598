"""Alternating closed-form solver (thin first version)."""

from __future__ import annotations

import numpy as np

from grnrep.core.fitted import Fit
from grnrep.core.network import Network


def fit_exact(x, network: Network, *, link="relu", intercept=False, ridge=1e-4, max_iter=200, rng=None) -> Fit:
    """Fit; x (n_cells, n_genes) array. Placeholder loop: plain majorise and alternate."""
    rng = np.random.default_rng(rng)
    n_cells = len(x)
    x = np.asarray(x, dtype=np.float64)
    w = np.zeros((network.n_genes, network.n_regulators))
    w[network.gene, network.regulator] = np.where(network.sign != 0, network.sign, rng.normal(size=network.n_edges))
    b = np.zeros(network.n_genes)
    edges = [network.regulator[s:e] for s, e in zip(network.indptr[:-1], network.indptr[1:], strict=True)]
    z = np.zeros((n_cells, network.n_regulators))
    history = []
    for _ in range(max_iter):
        p = z @ w.T + b
        t = np.where(x > 0, x, np.minimum(p, 0)) if link == "relu" else x
        g = w.T @ w
        z = np.linalg.solve(g + ridge * np.trace(g) / len(g) * np.eye(len(g)), w.T @ (t - b).T).T
        one = np.column_stack([z, np.ones(n_cells)])
        for i, reg in enumerate(edges):
            cols = np.append(reg, network.n_regulators) if intercept else reg
            if len(cols):
                a = one[:, cols]
                h = a.T @ a
                sol = np.linalg.solve(h + ridge * np.trace(h) / len(h) * np.eye(len(h)), a.T @ t[:, i])
                w[i, reg] = sol[: len(reg)]
                if intercept:
                    b[i] = sol[-1]
        p = z @ w.T + b
        r = np.where(x > 0, x - p, np.maximum(p, 0)) if link == "relu" else x - p
        history.append(float((r**2).sum()))
    scale = np.sqrt((w**2).sum(0) / np.maximum(network.targets_per_regulator(), 1))
    scale = np.where(scale > 0, scale, 1) * np.where(z.sum(0) < 0, -1, 1)
    return Fit((w / scale)[network.gene, network.regulator], b if intercept else None, z * scale, history)


def project(x, fit: Fit, network: Network, *, link="relu", ridge=1e-4, max_iter=200) -> np.ndarray:
    """Activities of new cells with a frozen decoder; x (n_cells, n_genes)."""
    w = np.zeros((network.n_genes, network.n_regulators))
    w[network.gene, network.regulator] = fit.weight
    b = 0 if fit.bias is None else fit.bias
    z = np.zeros((len(x), network.n_regulators))
    g = w.T @ w
    for _ in range(max_iter):
        p = z @ w.T + b
        t = np.where(x > 0, x, np.minimum(p, 0)) if link == "relu" else x
        z = np.linalg.solve(g + ridge * np.trace(g) / len(g) * np.eye(len(g)), w.T @ (t - b).T).T
    return z
