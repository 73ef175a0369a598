"""The Bernoulli likelihood against scipy: densities, finite differences, logistic regression, minimisers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from twins import dense

from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.likelihoods import LIKELIHOODS, restored
from grnrep.core.network import Network
from grnrep.core.posterior.laplace import activity_sd
from grnrep.core.posterior.spread import curvature_spread
from grnrep.core.signs import orient


def problem(seed=0, *, n_cells=300, n_genes=150, m=4):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.4
    mask[np.arange(n_genes), rng.integers(m, size=n_genes)] = True
    w, b = mask * rng.uniform(-2, 3, mask.shape), rng.normal(-0.5, 0.5, n_genes)
    z = rng.gamma(1.0, size=(n_cells, m))
    chance = 1 / (1 + np.exp(-(z @ w.T + b)))
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.sign(w[gene, regulator]), n_genes, m)
    return (rng.random(chance.shape) < chance).astype(np.float64), network, z, b


def loss(x, p):
    return 2 * (np.logaddexp(0, p) - x * p)


def test_loss_is_that_of_the_density_and_its_slope_and_curvature_are_finite_differences():
    p, x = torch.linspace(-6, 6, 41, dtype=torch.float64)[None].repeat(2, 1), torch.ones(2, 41)
    x[1] = 0
    model = restored("bernoulli", {"share": np.array([0.3, 0.6])})
    block = model.block(x.double())
    expected = -2 * stats.bernoulli.logpmf(x.numpy(), 1 / (1 + np.exp(-p.numpy())))
    np.testing.assert_allclose(model.loss(block, p), expected, rtol=1e-9)
    step = 1e-4
    up, at, down = (model.loss(block, p + d) for d in (step, 0.0, -step))
    slope, curvature = model.work(block, p)
    np.testing.assert_allclose(slope, -(up - down) / (4 * step), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(curvature, (up - 2 * at + down) / (2 * step**2), atol=1e-6)
    np.testing.assert_allclose(model.expected(p)[0], 1 / (1 + np.exp(-p[0].numpy())))


def test_projection_is_penalised_logistic_regression():
    x, network, *_ = problem()
    fit = fit_decoder(x, network, likelihood="bernoulli", intercept=True, ridge=1e-2, max_iter=10)
    new = problem(1, n_cells=6)[0]
    z, w = project(new, fit, network), dense(fit.weight, network)
    for k in range(len(new)):

        def objective(zk, k=k):
            return loss(new[k], w @ zk + fit.bias).sum() + (fit.ridge * zk**2).sum()

        best = optimize.minimize(objective, np.zeros(len(z[k])), method="BFGS", tol=1e-9)
        np.testing.assert_allclose(z[k], best.x, rtol=1e-3, atol=1e-4 * np.abs(z[k]).max())


def test_a_fit_is_a_minimum_and_its_objective_never_rises():
    x, network, *_ = problem(2, n_cells=40, n_genes=50, m=3)
    fit = fit_decoder(x, network, likelihood="bernoulli", ridge=0.05, tol=1e-12, max_iter=2000)
    assert np.all(np.diff(fit.history) <= 0)
    # ‖w_j‖ = ‖z_j‖ in the unit of penalties: those of weights follow from those of activities
    size = np.bincount(network.regulator, fit.weight**2)
    lam = fit.ridge * np.square(fit.activity).sum(0) / size

    def objective(theta):
        w, z = theta[: network.n_edges], theta[network.n_edges :].reshape(40, 3)
        at = replace(fit, weight=w)
        penalty = (fit.ridge * z**2).sum() + (lam[network.regulator] * w**2).sum()
        return loss(x, z @ dense(at.weight, network).T).sum() + penalty

    reached = np.concatenate([fit.weight, fit.activity.ravel()])
    assert fit.history[-1] == pytest.approx(objective(reached), rel=1e-6)
    best = optimize.minimize(objective, reached, method="L-BFGS-B", options={"maxfun": 40_000})
    assert best.fun >= objective(reached) * (1 - 1e-5)


def test_activities_come_back_where_squared_error_of_the_values_does_worse():
    right, squared = [], []
    for seed in range(3):
        x, network, z, _ = problem(seed, n_cells=400, n_genes=300)
        for likelihood, scores in (("bernoulli", right), ("gaussian", squared)):
            fit = fit_decoder(x, network, likelihood=likelihood, intercept=True, ridge=1e-2)
            fit, *_ = orient(fit, network)
            scores += [np.corrcoef(fit.activity[:, j], z[:, j])[0, 1] for j in range(4)]
    assert np.mean(right) > max(0.9, np.mean(squared) + 0.01)


def test_deviations_cover_the_truth():
    x, network, z, _ = problem(4, n_cells=400, n_genes=300)
    fit = fit_decoder(x, network, likelihood="bernoulli", intercept=True, ridge=1e-2)
    fit, *_ = orient(fit, network)
    sd = activity_sd(x, fit, network, curvature_spread(x, fit, network))
    # scale and shift of an activity are not identified: intercepts take the shift
    a, t = fit.activity - fit.activity.mean(0), z - z.mean(0)
    factor = (a * t).sum(0) / (a * a).sum(0)
    error = (a * factor - t) / (sd * np.abs(factor))
    assert 0.85 < np.mean(np.abs(error) < 1.96) < 0.99


def test_every_likelihood_has_its_name_and_is_restored_from_its_arrays():
    x = np.random.default_rng(0).poisson(2.0, (30, 5)).clip(max=9).astype(np.float64)
    for name, member in LIKELIHOODS.items():
        values = torch.as_tensor(x.T) if name != "bernoulli" else torch.as_tensor(x.T > 1).double()
        model = member.of(values, torch.ones(30, dtype=torch.float64))
        again = restored(name, model.arrays())
        assert again.name == name
        p = torch.full((5, 30), 0.7, dtype=torch.float64)
        block = model.block(values, torch.ones(30) if model.has_sizes else None)
        torch.testing.assert_close(again.loss(block, p), model.loss(block, p))
