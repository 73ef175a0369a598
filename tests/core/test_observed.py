"""Correlations of representations under a ReLU: from what is observed, not from what is expected below zeros."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import log_ndtr

from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.learn import fit_evidence
from grnrep.core.choose import assumptions
from grnrep.core.choose.assumptions import INFLATION, TAU2, choose_assumptions
from grnrep.core.network import Network
from tests.core.test_evidence import ASSUMED, Twin, fixed, problem


def curvature(u):
    """-d²/du² log Φ(-u), by differences."""
    step = 1e-4
    return -(log_ndtr(-u - step) - 2 * log_ndtr(-u) + log_ndtr(-u + step)) / step**2


@pytest.mark.parametrize("options", ASSUMED)
def test_zeros_count_for_the_curvature_of_their_likelihood(options):
    model, at = problem(3, tobit=True, **options)
    at = model.step(at)[0]
    twin, m = Twin(model, at), model.n_free
    cells = model.cells(at)
    _, sums = model.sums(cells, at.z)
    u = twin.w @ twin.z / np.sqrt(twin.noise)[:, None]
    share = np.where(twin.censored, curvature(u), 1).mean(1)
    w = twin.w[:, :m]
    precision = (w.T * share / twin.noise) @ w + twin.doubt[:m, :m]
    if model.prior.correlated:
        precision += np.linalg.inv(twin.covariance)
    else:
        precision += np.diag(1 / twin.covariance.diagonal())
    found = model._observed(at, sums, cells.sigma)
    np.testing.assert_allclose(found, np.linalg.inv(precision), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("options", ASSUMED)
def test_without_zeros_they_are_those_of_representations(options):
    model, at = problem(3, **options)
    at = model.step(at)[0]
    cells = model.cells(at)
    _, sums = model.sums(cells, at.z)
    assert model._observed(at, sums, cells.sigma) is cells.sigma


@pytest.mark.parametrize("seed", range(4))
def test_variances_are_near_those_of_exact_posteriors(seed):
    """With one regulator they are integrals; by what is expected below zeros they come out too small."""
    model, at = fixed(seed, m=1, n_cells=40, n_genes=30, tobit=True)
    for _ in range(60):
        at = replace(at, z=model.step(at)[0].z)
    cells = model.cells(at)
    _, sums = model.sums(cells, at.z)
    w, sd = at.weight.numpy(), at.noise.sqrt().numpy()
    prior = stats.norm(scale=float(at.covariance.sqrt()))
    grid = np.linspace(-6, 6, 4001) * prior.std()
    exact = []
    for own in model.blocks[0].x.numpy().T:
        p = np.outer(grid, w)
        log = np.where(own == 0, log_ndtr(-p / sd), stats.norm.logpdf(own, p, sd)).sum(1)
        log += prior.logpdf(grid)
        density = np.exp(log - log.max())
        total, mean, square = (
            integrate.trapezoid(density * grid**power, grid) for power in range(3)
        )
        exact.append(square / total - (mean / total) ** 2)
    observed, expected = float(model._observed(at, sums, cells.sigma)), float(cells.sigma)
    assert expected < 0.9 * np.mean(exact)
    assert observed == pytest.approx(np.mean(exact), rel=0.1)


def independent(seed, *, n_cells=600, n_genes=300, m=30, zeros=0.92):
    """Regulators that do not correlate, and genes most of whose values are zero."""
    rng = np.random.default_rng(seed)
    edge = rng.random((n_genes, m)) < 0.15
    weight = edge * rng.uniform(-1, 1, edge.shape)
    z = rng.gamma(1, size=(n_cells, m))
    p = z @ weight.T + 0.2 * rng.standard_normal((n_cells, n_genes))
    x = np.maximum(p - np.quantile(p, zeros, axis=0), 0)
    gene, regulator = np.nonzero(edge)
    return x, Network.from_edges(gene, regulator, np.sign(weight[edge]), n_genes, m), z


@pytest.mark.parametrize("seed", range(3))
def test_zeros_make_no_correlations(seed):
    """Learned beside many zeros, correlations of independent regulators cost activities next to nothing."""
    x, network, z = independent(seed)
    found = {
        correlated: fit_evidence(
            x, network, likelihood="tobit", assumptions=Assumptions(0.3, correlated)
        )
        for correlated in (False, True)
    }
    spread = np.sqrt(found[True].covariance.diagonal())
    correlation = found[True].covariance / spread / spread[:, None]
    off = correlation[~np.eye(network.n_regulators, dtype=bool)]
    assert np.sqrt(np.square(off).mean()) < 0.09
    with_them, without = (
        np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(found[c].activity.T, z.T, strict=True)])
        for c in (True, False)
    )
    assert with_them > without - 0.02


@pytest.mark.parametrize("strong", [0.25, 0.32])
def test_prior_of_weights_is_that_which_predicts_best_beside_inflated_noise(monkeypatch, strong):
    """A weak prior may be behind without inflation, and level with it."""
    x, network, _ = independent(0, n_cells=50, n_genes=100, m=5)
    table = {(TAU2[0], 1.0): 0.2, (TAU2[1], 1.0): 0.1, (TAU2[0], INFLATION): strong}
    table[TAU2[1], INFLATION] = 0.25
    asked = []

    def held_out(x, network, fold, assumed, *_):
        asked.append(assumed)
        return assumed

    monkeypatch.setattr(assumptions, "_held_out", held_out)

    def shares_of(parts):
        one = parts[0]
        return np.full(100, 0.0 if one.n_factors else table[one.tau2, one.inflation] / 100)

    monkeypatch.setattr(assumptions, "_shares_of", shares_of)
    chosen = choose_assumptions(x, network, likelihood="tobit").assumptions
    assert chosen.inflation == INFLATION
    assert chosen.tau2 == (TAU2[1] if strong == 0.25 else TAU2[0])
    assert len(asked) == len(set(asked)) * 5 - 2  # free factors in folds of 60 genes, not of all
