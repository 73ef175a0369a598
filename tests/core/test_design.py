"""Known columns: intercepts and covariates, against numpy's least squares and closed forms."""

import numpy as np
import pytest
import torch
from twins import correlation, dense

from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.design import (
    full_network,
    known_columns,
    regress,
    split_weights,
    unconfound,
    without_known,
)
from grnrep.core.fitted import Fit
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from grnrep.core.posterior.sample import sample_posterior
from grnrep.core.signs import orient


def problem(seed=0, *, n_cells=150, n_genes=60, m=4, noise=0.1, shift=1.0):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.4
    mask[np.arange(n_genes), rng.integers(m, size=n_genes)] = True
    w = mask * rng.uniform(-1, 1, mask.shape)
    z = rng.gamma(1.0, size=(n_cells, m))
    v = np.stack([rng.random(n_cells) < 0.5, rng.normal(size=n_cells)], axis=1).astype(float)
    v = (v - v.mean(0)) / v.std(0)
    effects = shift * rng.normal(size=(n_genes, 2))
    p = z @ w.T + v @ effects.T
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.sign(w[gene, regulator]), n_genes, m)
    return p + noise * rng.normal(size=p.shape), network, z, w, v, effects


def test_columns_and_their_weights_come_back():
    assert known_columns(3, intercept=True, covariates=np.array([[1.0], [2], [4]])).tolist() == [
        [1, 1], [1, 2], [1, 4]
    ]  # fmt: skip
    assert known_columns(3, intercept=False).shape == (3, 0)
    with pytest.raises(ValueError, match="covariates must have 3 rows"):
        known_columns(3, intercept=True, covariates=np.ones((2, 1)))
    network = Network.from_edges([0, 1, 1], [1, 0, 1], [0, 0, 0], 2, 2)
    weight, bias, effects = np.array([1.0, 2, 3]), np.array([4.0, 5]), np.array([[6.0, 7], [8, 9]])
    full, values = full_network(network, Fit(weight, bias, np.zeros((0, 2)), effects=effects))
    matrix = np.zeros((2, 5))
    matrix[full.gene, full.regulator] = values
    assert matrix.tolist() == [[0, 1, 4, 6, 7], [2, 3, 5, 8, 9]]
    found = split_weights(values, full, 2, intercept=True)
    assert all(
        np.array_equal(found[k], v)
        for k, v in [("weight", weight), ("bias", bias), ("effects", effects)]
    )
    assert full_network(network, Fit(weight, None, np.zeros((0, 2))))[0] is network


def test_regression_is_least_squares():
    rng = np.random.default_rng(0)
    y, k = rng.normal(size=(30, 5)), rng.normal(size=(30, 3))
    wanted = np.linalg.lstsq(k, y, rcond=None)[0]
    found = regress(torch.as_tensor(y), torch.as_tensor(k))
    np.testing.assert_allclose(found, wanted, atol=1e-10)
    np.testing.assert_allclose(
        without_known(torch.as_tensor(y), torch.as_tensor(k)), y - k @ wanted, atol=1e-10
    )


@pytest.mark.parametrize("intercept", [True, False])
def test_unconfounding_keeps_predictions_and_leaves_no_correlation(intercept):
    rng = np.random.default_rng(1)
    _, network, z, w, v, _ = problem()
    known = known_columns(len(z), intercept=intercept, covariates=v)
    fit = Fit(
        w[network.gene, network.regulator],
        rng.normal(size=60) if intercept else None,
        z,
        effects=rng.normal(size=(60, 2)),
    )
    full, weight = full_network(network, fit)
    rows = torch.as_tensor(np.concatenate([z + v @ rng.normal(size=(2, 4)), known], axis=1).T)
    matrix = Pattern(full).matrix(torch.as_tensor(weight))
    before = matrix.to_dense() @ rows
    changed, parts = unconfound(
        [rows[:, :40], rows[:, 40:]], torch.as_tensor(weight), matrix, full, 4, intercept=intercept
    )
    after = torch.cat(parts, dim=1)
    np.testing.assert_allclose(Pattern(full).matrix(changed).to_dense() @ after, before, atol=1e-10)
    centre = after[:4].mean(1, keepdim=True) if intercept else 0.0
    np.testing.assert_allclose((after[:4] - centre).numpy() @ v, np.zeros((4, 2)), atol=1e-9)
    np.testing.assert_array_equal(after[4:], rows[4:])


def test_projection_is_ridge_regression_beside_what_is_known():
    x, network, _, _, v, _ = problem()
    fit = fit_decoder(x, network, likelihood="gaussian", intercept=True, covariates=v)
    w = dense(fit.weight, network)
    rest = x - fit.bias - v @ fit.effects.T
    wanted = np.linalg.solve(w.T @ w + np.diag(fit.ridge), w.T @ rest.T).T
    np.testing.assert_allclose(fit.activity, wanted, atol=1e-8)
    again = project(x, fit, network, covariates=v)
    np.testing.assert_allclose(again, wanted, atol=1e-8)
    np.testing.assert_allclose(fit.offset(), fit.bias + v @ fit.effects.T, atol=1e-12)


def test_no_activity_is_correlated_with_a_covariate():
    x, network, _, _, v, _ = problem()
    fit = fit_decoder(np.maximum(x, 0), network, intercept=True, covariates=v)
    centred = fit.activity - fit.activity.mean(0)
    # the last projection moves activities by what tolerance and ridge leave open
    assert np.abs(centred.T @ v / (len(v) * centred.std(0)[:, None])).max() < 1e-3


@pytest.mark.parametrize("likelihood", ["tobit", "gaussian"])
def test_effects_and_activities_are_recovered(likelihood):
    for seed in range(3):
        x, network, z, _, v, effects = problem(seed)
        x = np.maximum(x, 0) if likelihood == "tobit" else x
        fit = fit_decoder(x, network, likelihood=likelihood, intercept=True, covariates=v)
        fit, *_ = orient(fit, network)
        blind, *_ = orient(fit_decoder(x, network, likelihood=likelihood, intercept=True), network)
        rest = without_known(
            torch.as_tensor(z), torch.as_tensor(known_columns(len(v), intercept=True, covariates=v))
        )
        assert correlation(fit.activity, rest.numpy()).min() > 0.98
        assert correlation(blind.activity, rest.numpy()).min() < 0.9
        # effects contain what regulators and covariates happen to share: 1 / sqrt(cells)
        assert correlation(fit.effects, effects).min() > 0.9


def test_adding_covariates_of_no_effect_changes_little():
    x, network, z, _, v, _ = problem(shift=0.0)
    plain, *_ = orient(fit_decoder(np.maximum(x, 0), network, intercept=True), network)
    extra, *_ = orient(
        fit_decoder(np.maximum(x, 0), network, intercept=True, covariates=v), network
    )
    assert correlation(plain.activity, z).mean() - correlation(extra.activity, z).mean() < 0.02


def test_posterior_keeps_covariates():
    x, network, z, _, v, _ = problem(n_cells=80, n_genes=40)
    x = np.maximum(x, 0)
    fit = fit_decoder(x, network, intercept=True, covariates=v)
    found, *_ = sample_posterior(x, fit, network, n_draws=100).orient(network)
    assert found.fit.effects.shape == (40, 2)
    rest = without_known(
        torch.as_tensor(z), torch.as_tensor(known_columns(80, intercept=True, covariates=v))
    )
    assert correlation(found.fit.activity, rest.numpy()).min() > 0.9
