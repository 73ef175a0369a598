"""Standard deviations at a fitted decoder, against dense formulas, ordinary least squares and truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.gaussian import Gaussian, Tobit, censored_curvature
from grnrep.core.network import Network
from grnrep.core.normal_tail import mean_above
from grnrep.core.posterior.laplace import Spread, activity_sd

OF_NAME = {"tobit": Tobit(), "gaussian": Gaussian()}


def problem(
    seed=0, *, n_cells=40, n_genes=60, m=5, noise=0.3, likelihood="tobit", bias=False, density=0.5
):
    """Data of Eq. 6 with a known decoder and activities, as if they had been fitted."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < density
    w = mask * rng.uniform(-1, 1, (n_genes, m))
    z = rng.gamma(1.0, size=(n_cells, m))
    b = rng.normal(size=n_genes) if bias else None
    x = z @ w.T + (0 if b is None else b) + noise * rng.normal(size=(n_cells, n_genes))
    x = np.maximum(x, 0) if likelihood == "tobit" else x
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m)
    fit = Fit(w[gene, regulator], b, z, OF_NAME[likelihood], ridge=np.full(m, 1e-3))
    return x, fit, network, w


def curvature(x, p, sd, likelihood):
    u = p / sd
    h = np.exp(stats.norm.logpdf(u) - stats.norm.logsf(u))
    return np.where((x > 0) | (likelihood == "gaussian"), 1.0, h * (h - u))


def test_curvature_is_the_second_derivative_of_the_tobit_likelihood():
    u = torch.linspace(-6, 6, 25, dtype=torch.float64)[:, None]
    x = torch.zeros_like(u)
    step = 1e-4
    value = [-torch.special.log_ndtr(-(u + k * step)) for k in (-1, 0, 1)]
    numeric = (value[0] - 2 * value[1] + value[2]) / step**2
    torch.testing.assert_close(
        censored_curvature(Tobit().block(x), u), numeric, atol=1e-6, rtol=1e-5
    )
    torch.testing.assert_close(
        mean_above(u), (value[2] - value[0]) / (2 * step), atol=1e-6, rtol=1e-5
    )
    assert (censored_curvature(Gaussian().block(x), u) == 1).all()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("likelihood", ["tobit", "gaussian"])
def test_activity_sd_equals_the_dense_formula(likelihood, bias):
    x, fit, network, w = problem(likelihood=likelihood, bias=bias)
    rng = np.random.default_rng(1)
    variance, se = rng.uniform(0.05, 0.2, network.n_genes), rng.uniform(0, 0.1, network.n_edges)
    tau2 = np.square(fit.activity).mean(0)
    ours = activity_sd(x, fit, network, Spread(se, variance, tau2))
    dense = np.zeros_like(w)
    dense[network.gene, network.regulator] = se
    p = fit.activity @ w.T + (0 if fit.bias is None else fit.bias)
    d = curvature(x, p, np.sqrt(variance), likelihood)
    for k in range(len(x)):
        s2 = variance + d[k] * (dense**2 @ fit.activity[k] ** 2)
        inverse = np.linalg.inv(w.T @ np.diag(d[k]) @ w + np.diag(fit.ridge))
        middle = w.T @ np.diag(d[k] * s2) @ w + np.diag(fit.ridge**2 * tau2)
        expected = np.sqrt(np.diag(inverse @ middle @ inverse))
        np.testing.assert_allclose(ours[k], expected, rtol=1e-6)


def test_activity_sd_without_shrinkage_is_that_of_least_squares():
    x, fit, network, w = problem(likelihood="gaussian")
    fit = replace(fit, ridge=None)
    nothing = np.zeros(network.n_edges), np.full(network.n_genes, 0.09), np.zeros(5)
    ours = activity_sd(x, fit, network, Spread(*nothing))
    expected = 0.3 * np.sqrt(np.diag(np.linalg.inv(w.T @ w)))
    np.testing.assert_allclose(ours, np.tile(expected, (len(x), 1)), rtol=1e-6)


def test_memory_is_bounded_by_blocks_and_blocks_do_not_matter(monkeypatch):
    x, fit, network, _ = problem()
    spread = Spread(np.zeros(network.n_edges), np.full(network.n_genes, 0.09), np.ones(5))
    whole = activity_sd(x, fit, network, spread)
    monkeypatch.setattr("grnrep.core.posterior.laplace._ENTRIES", 3 * network.n_regulators**2)
    np.testing.assert_allclose(activity_sd(x, fit, network, spread), whole, rtol=1e-10)


@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_intervals_of_held_out_cells_contain_the_truth(noise):
    """At high load, decoder learned: 1,500 intervals; their errors are those of 100 cells."""
    x, true, network, _ = problem(3, n_cells=500, n_genes=200, m=15, noise=noise, density=0.2)
    fit = fit_decoder(x[:400], network)
    square = np.square(fit.activity).mean(0)
    spread = Spread(np.zeros(network.n_edges), np.full(network.n_genes, noise**2), square)
    z = project(x[400:], fit, network)
    sd = activity_sd(x[400:], replace(fit, activity=z), network, spread)
    factor = (fit.activity * true.activity[:400]).sum(0) / np.square(fit.activity).sum(0)
    error = (z * factor - true.activity[400:]) / (sd * np.abs(factor))
    assert 0.92 < np.mean(np.abs(error) < 1.96) < 0.975
