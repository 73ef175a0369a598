"""Fits with noise and priors learned: what they recover, and what must not change them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.als import evidence
from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.learn import fit_evidence
from grnrep.core.als.project import project
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.network import Network
from grnrep.core.signs import orient
from grnrep.validation import simulate_regime
from tests.twins import correlation, dense

TOBIT = pytest.mark.parametrize("likelihood", ["gaussian", "tobit"])


def network_of(adata, net, *, signs=True):
    regulators = adata.obsm["true_activity"].columns
    gene, regulator = (
        index.get_indexer(net[name])
        for index, name in ((adata.var_names, "target"), (regulators, "source"))
    )
    sign = net["weight"] if signs else np.zeros(len(net))
    return Network.from_edges(gene, regulator, sign, adata.n_vars, len(regulators))


def regime(name, *, signs=True, rng=0):
    adata, net = simulate_regime(
        name, n_obs=200, n_vars=200, n_regulators=15, connectivity=0.1, rng=rng
    )
    return adata, adata.X.astype(np.float64), network_of(adata, net, signs=signs)


def small(seed=0, *, likelihood="gaussian", n_cells=50, n_genes=24, m=3):
    """Cells of a signed network, with noise of every gene."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.5
    mask[:m] |= np.eye(m, dtype=bool)
    w = mask * rng.uniform(0.5, 1.5, mask.shape) * rng.choice([-1, 1], mask.shape)
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.sign(w[mask]), n_genes, m)
    noise = np.exp(0.8 * rng.normal(size=n_genes) - 0.5)
    x = rng.gamma(2.0, size=(n_cells, m)) @ w.T + noise * rng.normal(size=(n_cells, n_genes))
    if likelihood == "tobit":  # two of five values of every gene are below zero
        x = np.maximum(x - np.quantile(x, 0.4, axis=0), 0)
    return x, network


def noise_sd(fit):
    return fit.likelihood.arrays()["noise_sd"]


def predicted(fit, network):
    out = fit.activity @ dense(fit.weight, network).T + fit.offset()
    return out if fit.factors is None else out + fit.factors @ fit.loadings.T


@pytest.mark.parametrize("signs", [True, False])
def test_finds_activities_and_the_noise_of_every_gene(signs):
    """Errors of log σ: √(1 / 2N) = 0.05 by chance, and the misfit that no noise is believed to be below."""
    adata, x, network = regime("noise log-normal(1)", signs=signs)
    fit = fit_evidence(x, network, assumptions=Assumptions(n_factors=10))
    true = adata.var["noise_sd"].to_numpy()
    assert fit.n_factors == 0
    assert np.corrcoef(np.log(noise_sd(fit)), np.log(true))[0, 1] > 0.95
    above = true > np.median(true)
    assert abs(np.log(noise_sd(fit) / true)[above]).max() < 5 * np.sqrt(1 / 400)
    found = correlation(fit.activity, adata.obsm["true_activity"].to_numpy())
    assert np.abs(found).mean() > 0.98
    if signs:
        assert found.min() > 0.9


@pytest.mark.parametrize("name", ["programmes sd .5", "programmes sd 1"])
def test_finds_all_programmes_that_the_network_lacks(name):
    """Ten, which span what the true ones do, and predict with them."""
    adata, x, network = regime(name)
    fit = fit_evidence(x, network, assumptions=Assumptions(n_factors=20), max_iter=30)
    assert fit.n_factors == 10
    assert (fit.factors.shape, fit.loadings.shape) == ((200, 10), (200, 10))
    true = adata.obsm["true_programmes"].to_numpy()
    centred = fit.factors - fit.factors.mean(0)
    left = true - centred @ np.linalg.lstsq(centred, true, rcond=None)[0]
    assert (np.square(left).sum(0) / np.square(true - true.mean(0)).sum(0)).max() < 0.15
    assert correlation(fit.activity, adata.obsm["true_activity"].to_numpy()).mean() > 0.88


@pytest.mark.parametrize("most", [0, 3])
def test_no_more_programmes_than_are_asked_for(most):
    _, x, network = regime("programmes sd 1")
    fit = fit_evidence(x, network, assumptions=Assumptions(n_factors=most), max_iter=10)
    assert fit.n_factors == most
    assert (fit.factors is None) == (fit.loadings is None) == (most == 0)


def test_finds_no_programmes_where_there_are_none():
    for seed in (1, 2):
        _, x, network = regime("equal noise", rng=seed)
        fit = fit_evidence(x, network, assumptions=Assumptions(n_factors=20), max_iter=30)
        assert fit.n_factors == 0


@TOBIT
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_units_of_single_genes_change_nothing(likelihood, seed):
    """Activities stay; weights, intercepts and noise are in the units of their genes."""
    x, network = small(seed, likelihood=likelihood)
    c = 10 ** np.random.default_rng(seed).uniform(-3, 3, network.n_genes)
    own = c[network.gene]
    options = {"likelihood": likelihood, "max_iter": 15}
    one, other = fit_evidence(x, network, **options), fit_evidence(x * c, network, **options)
    same = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(other.activity, one.activity, **same)
    np.testing.assert_allclose(other.covariance, one.covariance, **same)
    np.testing.assert_allclose(other.bias / c, one.bias, **same)
    np.testing.assert_allclose(noise_sd(other) / c, noise_sd(one), **same)
    for name in ("weight", "weight_sd", "anchor"):
        np.testing.assert_allclose(getattr(other, name) / own, getattr(one, name), **same)
    np.testing.assert_allclose(other.anchor_variance / own**2, one.anchor_variance, **same)


@TOBIT
def test_one_unit_for_all_is_one_of_weights_and_changes_no_activity(likelihood):
    x, network = small(2, likelihood=likelihood)
    options = {"likelihood": likelihood, "max_iter": 15}
    one, other = (orient(fit_evidence(c * x, network, **options), network)[0] for c in (1.0, 1e-3))
    np.testing.assert_allclose(other.activity, one.activity, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(other.weight * 1e3, one.weight, rtol=1e-6, atol=1e-6)


@TOBIT
def test_order_of_cells_genes_edges_and_regulators_changes_nothing(likelihood):
    x, network = small(3, likelihood=likelihood)
    rng = np.random.default_rng(0)
    # position of each after shuffling
    cell, gene, regulator, edge = (
        rng.permutation(n) for n in (*x.shape, network.n_regulators, network.n_edges)
    )
    shuffled = Network.from_edges(
        np.argsort(gene)[network.gene][edge],
        np.argsort(regulator)[network.regulator][edge],
        network.sign[edge],
        network.n_genes,
        network.n_regulators,
    )
    options = {"likelihood": likelihood, "max_iter": 15}
    one = fit_evidence(x, network, **options)
    other = fit_evidence(x[cell][:, gene], shuffled, **options)
    same = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(other.activity, one.activity[cell][:, regulator], **same)
    wanted = dense(one.weight, network)[gene][:, regulator]
    np.testing.assert_allclose(dense(other.weight, shuffled), wanted, **same)
    np.testing.assert_allclose(noise_sd(other), noise_sd(one)[gene], **same)


@TOBIT
def test_one_seed_is_one_fit(likelihood):
    x, network = small(4, likelihood=likelihood)
    network = replace(network, sign=0 * network.sign)
    one, same = (
        fit_evidence(x, network, likelihood=likelihood, max_iter=15, rng=rng)
        for rng in (2, np.random.default_rng(2))
    )
    np.testing.assert_array_equal(one.activity, same.activity)
    assert one.history == same.history


@TOBIT
def test_activities_are_those_of_projection(likelihood):
    x, network = small(5, likelihood=likelihood)
    fit = fit_evidence(x, network, likelihood=likelihood, max_iter=20)
    np.testing.assert_array_equal(project(x, fit, network), fit.activity)


@TOBIT
def test_single_precision_is_close_to_double(likelihood):
    x, network = small(6, likelihood=likelihood)
    x = x.astype(np.float32)
    one = fit_evidence(x, network, likelihood=likelihood, max_iter=20)
    other = fit_evidence(x.astype(np.float64), network, likelihood=likelihood, max_iter=20)
    assert correlation(one.activity, other.activity).min() > 1 - 1e-5
    np.testing.assert_allclose(noise_sd(one), noise_sd(other), rtol=1e-2)


def test_covariates_take_what_they_explain():
    x, network = small(7, n_cells=80)
    rng = np.random.default_rng(1)
    batch, effect = rng.normal(size=(80, 1)), rng.normal(size=(1, x.shape[1]))
    fit = fit_evidence(x + 3 * batch @ effect, network, covariates=batch)
    plain = fit_evidence(x, network, covariates=batch)
    np.testing.assert_allclose(fit.effects - 3 * effect.T, plain.effects, atol=0.1)
    assert correlation(fit.activity, plain.activity).min() > 0.99
    residual = x + 3 * batch @ effect - predicted(fit, network)
    assert np.abs(correlation(residual, np.repeat(batch, x.shape[1], 1))).max() < 0.2


@TOBIT
def test_genes_that_say_nothing_do_no_harm(likelihood):
    """Constant ones, zeros, and a regulator without targets."""
    x, network = small(8, likelihood=likelihood)
    more = np.column_stack([x, np.full(len(x), 2.0), np.zeros(len(x))])
    n, m = network.n_genes, network.n_regulators
    larger = Network.from_edges(
        np.append(network.gene, [n, n + 1]),
        np.append(network.regulator, [0, 1]),
        np.append(network.sign, [1, 1]),
        n + 2,
        m + 1,
    )
    one = fit_evidence(x, network, likelihood=likelihood)
    fit = fit_evidence(more, larger, likelihood=likelihood)
    for values in (fit.activity, fit.weight, fit.bias, fit.weight_sd, noise_sd(fit)):
        assert np.isfinite(values).all()
    assert (noise_sd(fit) > 0).all()
    assert not fit.activity[:, m].any()
    assert correlation(fit.activity[:, :m], one.activity).min() > 0.98


def test_ends_by_the_bound_or_by_the_limit():
    x, network = small(9)
    fit = fit_evidence(x, network, max_iter=500)
    assert fit.converged
    assert 10 < len(fit.history) < 500
    assert fit.history[-11] - fit.history[-1] <= 1e-5 * x.size
    assert not fit_evidence(x, network, max_iter=5).converged


def test_few_cells_do_not_end_a_search_at_once():
    """Of a start, whose weights have no posterior, there is no bound to compare with."""
    x, network = small(10, n_cells=6, n_genes=60, m=20)
    history = fit_evidence(x, network).history
    assert len(history) > 11
    assert history[0] - history[-1] > 0.1 * x.size


@pytest.mark.parametrize("step", [0, 7])
@pytest.mark.parametrize("n_factors", [0, 2])
def test_stopped_by_hand_it_brings_the_fit_so_far(monkeypatch, step, n_factors):
    x, network = small(11)
    plain, calls = evidence.Model.step, iter(range(1000))

    def stopped(self, at):
        if next(calls) == step + (14 if n_factors else 0):
            raise KeyboardInterrupt
        return plain(self, at)

    monkeypatch.setattr(evidence.Model, "step", stopped)
    with pytest.raises(Interrupted) as caught:
        fit_evidence(x, network, assumptions=Assumptions(n_factors=n_factors))
    fit = caught.value.so_far
    assert isinstance(fit, Fit)
    assert not fit.converged
    assert fit.activity.shape == (50, 3)
    assert fit.activity.any() == (step + n_factors > 0)
    assert (noise_sd(fit) > 0).all()


@pytest.mark.parametrize("likelihood", ["poisson", "relu"])
def test_refuses_other_likelihoods(likelihood):
    x, network = small()
    with pytest.raises(ValueError, match=f"likelihood must be one of .*found '{likelihood}'"):
        fit_evidence(x, network, likelihood=likelihood)
