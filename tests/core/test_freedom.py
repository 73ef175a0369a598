"""Degrees of freedom of residuals against the dense trace, and the noise that follows against the truth."""

import numpy as np
import pytest

from grnrep.core.als.fit import fit_decoder
from grnrep.core.network import Network, with_known_columns
from grnrep.core.posterior.freedom import residual_freedom
from grnrep.core.signs import orient


def problem(seed, *, n_cells, n_genes=40, m=5, noise=0.5, likelihood="gaussian", low=-1.0):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.25
    w = mask * rng.uniform(low, 1, mask.shape)
    z = rng.gamma(1.0, size=(n_cells, m))
    p = z @ w.T + noise * rng.normal(size=(n_cells, n_genes))
    gene, regulator = np.nonzero(mask)
    x = p if likelihood == "gaussian" else np.maximum(p, 0)
    return x, Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m), z


def dense_trace(fit, x, network, weight_ridge, likelihood):
    """tr (I - H)² by the eigenvalues of J Λ⁻¹ J', J filled entry by entry."""
    m, n_edges = network.n_regulators, network.n_edges
    full = with_known_columns(network, 0 if fit.bias is None else 1)
    w = np.zeros((network.n_genes, m))
    w[network.gene, network.regulator] = fit.weight
    rows = []
    for k, i in np.argwhere(x > 0) if likelihood == "tobit" else np.ndindex(x.shape):
        row = np.zeros(n_edges + x.shape[0] * m + network.n_genes * (full is not network))
        edges = np.flatnonzero(network.gene == i)
        row[edges] = fit.activity[k, network.regulator[edges]]
        row[n_edges + k * m : n_edges + (k + 1) * m] = w[i]
        if full is not network:
            row[n_edges + x.shape[0] * m + i] = 1e6  # no ridge: J Λ^-½ without bound
        rows.append(row)
    ridge = np.concatenate([np.full(n_edges, weight_ridge), np.tile(fit.ridge, len(x))])
    j = np.array(rows) / np.sqrt(np.append(ridge, np.ones(len(rows[0]) - len(ridge))))
    return np.square(1 / (1 + np.linalg.eigvalsh(j @ j.T).clip(0))).sum()


@pytest.mark.parametrize(
    ("likelihood", "intercept"), [("gaussian", False), ("tobit", False), ("gaussian", True)]
)
@pytest.mark.parametrize(("n_cells", "ridge"), [(2, 1e-2), (4, 1e-3), (8, 0.3)])
def test_estimate_is_the_dense_trace(monkeypatch, likelihood, intercept, n_cells, ridge):
    x, network, _ = problem(n_cells, n_cells=n_cells, likelihood=likelihood)
    estimates = []

    def several(problem, solver, z, n_seen):
        estimates.extend(residual_freedom(problem, solver, z, n_seen, seed) for seed in range(12))
        return estimates[0]

    monkeypatch.setattr("grnrep.core.als.fit.residual_freedom", several)
    monkeypatch.setattr("grnrep.core.als.fit._COUNTED", np.inf)
    fit = fit_decoder(x, network, likelihood=likelihood, intercept=intercept, ridge=ridge)
    wanted = dense_trace(fit, x, network, fit.ridge[0], likelihood)
    assert np.mean(estimates) == pytest.approx(wanted, rel=0.15)
    assert fit.noise_variance == fit.squared_error / estimates[0]
    # the error that is stated: sqrt(2 / result)
    assert np.std(estimates) < 1.5 * np.sqrt(2 * wanted)


@pytest.mark.parametrize("likelihood", ["gaussian", "tobit"])
@pytest.mark.parametrize("ridge", [1e-3, 1e-1])
def test_noise_is_found_at_every_load(likelihood, ridge):
    found = {}
    for n_cells in (2, 4, 10, 24):
        for seed in range(2):
            x, network, _ = problem(seed, n_cells=n_cells, n_genes=100, m=10, likelihood=likelihood)
            load = np.count_nonzero(x > 0 if likelihood == "tobit" else x == x) / (
                network.n_edges + 10 * n_cells
            )
            options = {"likelihood": likelihood, "ridge": ridge, "tol": 1e-2}
            found[load] = fit_decoder(x.astype(np.float32), network, **options).noise_variance
    assert min(found) < 1.0 < 2.0 < max(found)
    assert all(0.4 < value / 0.25 < 2.5 for value in found.values())
    assert np.mean(list(found.values())) == pytest.approx(0.25, rel=0.35)


def test_signs_that_are_right_are_not_doubted_for_want_of_counted_degrees_of_freedom():
    confidence, right = [], []
    for seed in range(4):
        x, network, z = problem(seed, n_cells=8, n_genes=200, m=20, likelihood="tobit")
        fit, sure, _ = orient(fit_decoder(x, network, ridge=0.1), network)
        centred = fit.activity - fit.activity.mean(0)
        right.extend((centred * (z - z.mean(0))).sum(0) > 0)
        confidence.extend(sure)
    assert np.mean(right) > 0.9
    assert np.mean(confidence) > 0.75


def test_where_nothing_is_said_the_noise_is_unknown():
    _, network, _ = problem(0, n_cells=3)
    assert fit_decoder(np.zeros((3, 40)), network).noise_variance is None


@pytest.mark.parametrize("likelihood", ["gaussian", "tobit"])
@pytest.mark.parametrize("ridge", [1e-3, 0.3])
def test_some_of_many_cells_tell_what_all_do(monkeypatch, likelihood, ridge):
    x, network, _ = problem(1, n_cells=1200, n_genes=60, m=12, likelihood=likelihood)
    x = x[np.argsort((x > 0).sum(1), kind="stable")]  # cells of a kind stand together
    monkeypatch.setattr("grnrep.core.als.data._BLOCK", 48)
    estimates = {}

    def both(problem, solver, z, n_seen):
        for n_cells in (10_000, 250):
            monkeypatch.setattr("grnrep.core.posterior.freedom._CELLS", n_cells)
            found = [residual_freedom(problem, solver, z, n_seen, seed) for seed in range(4)]
            estimates[n_cells] = np.mean(found)
        return estimates[250]

    monkeypatch.setattr("grnrep.core.als.fit.residual_freedom", both)
    monkeypatch.setattr("grnrep.core.als.fit._COUNTED", np.inf)
    fit_decoder(x, network, likelihood=likelihood, ridge=ridge, prior=0.0, tol=1e-2)
    assert estimates[250] != estimates[10_000]
    assert estimates[250] == pytest.approx(estimates[10_000], rel=0.03)
