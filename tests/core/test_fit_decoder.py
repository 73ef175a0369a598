"""The exact solver against the truth, a slow dense twin, and itself under changes that must not matter."""

import numpy as np
import pytest
import torch
from twins import correlation, dense

from grnrep.core.als import data
from grnrep.core.als.data import typical_gram
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.network import Network, with_known_columns
from grnrep.core.signs import orient


def problem(
    seed=0, *, n_cells=60, n_genes=200, m=20, noise=0.0, low=-1.0, signed=False, quantile=None
):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.15
    w = mask * rng.uniform(low, 1, mask.shape)
    z = rng.gamma(1.0, size=(n_cells, m))
    p = z @ w.T + noise * rng.normal(size=(n_cells, n_genes))
    if quantile is not None:
        p -= np.quantile(p, quantile, axis=0)
    gene, regulator = np.nonzero(mask)
    sign = np.sign(w[gene, regulator]) if signed else np.zeros(len(gene))
    return np.maximum(p, 0), Network.from_edges(gene, regulator, sign, n_genes, m), z, w


def objective(x, w, bias, z, lam):
    p = z @ w.T + bias
    r = np.where(x > 0, x - p, np.minimum(-p, 0))
    return (r**2).sum() + lam * ((z**2).sum() + (w**2).sum())


def plain_alternation(x, network, lam, w, n_iter):
    """Slow twin: the same majoriser, dense, one gene at a time, without acceleration."""
    w, z = dense(w, network), np.zeros((len(x), network.n_regulators))
    for _ in range(n_iter):
        p = z @ w.T
        t = np.where(x > 0, x, np.minimum(p, 0))
        z = np.linalg.solve(w.T @ w + lam * np.eye(len(w.T)), w.T @ t.T).T
        p = z @ w.T
        t = np.where(x > 0, x, np.minimum(p, 0))
        for i in range(len(w)):
            reg = network.regulator[network.gene == i]
            a = z[:, reg]
            w[i, reg] = np.linalg.solve(a.T @ a + lam * np.eye(len(reg)), a.T @ t[:, i])
    return objective(x, w, 0.0, z, lam)


def test_first_iteration_equals_the_slow_twin():
    x, network, *_ = problem(noise=0.2)
    start = np.random.default_rng(3).normal(size=network.n_edges)
    lam = 1e-3 * typical_gram(float((x**2).sum()), network.n_regulators)
    state_objective = fit_decoder(x, network, start=start, ridge=1e-3, max_iter=1, tol=0).history[0]
    w, z = dense(start, network), np.zeros((len(x), network.n_regulators))
    for _ in range(2):  # the first iterate, then the first cell step
        t = np.where(x > 0, x, np.minimum(z @ w.T, 0))
        z = np.linalg.solve(w.T @ w + lam * np.eye(len(w.T)), w.T @ t.T).T
    assert state_objective == pytest.approx(objective(x, w, 0.0, z, lam), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_acceleration_is_never_worse_than_plain_alternation(seed):
    x, network, *_ = problem(seed, noise=0.2)
    start = np.random.default_rng(seed).normal(size=network.n_edges)
    lam = 1e-3 * typical_gram(float((x**2).sum()), network.n_regulators)
    fast = fit_decoder(x, network, start=start, ridge=1e-3, max_iter=80, tol=0)
    assert fast.history[-1] <= plain_alternation(x, network, lam, start, 80) * (1 + 1e-6)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("likelihood", ["tobit", "gaussian"])
def test_objective_never_rises_and_is_the_true_one(likelihood, intercept):
    x, network, *_ = problem(1, noise=0.3)
    fit = fit_decoder(x, network, likelihood=likelihood, intercept=intercept, tol=0, max_iter=100)
    assert (np.diff(fit.history) <= 0).all()
    bias = 0.0 if fit.bias is None else fit.bias
    p = fit.activity @ dense(fit.weight, network).T + bias
    r = x - p if likelihood == "gaussian" else np.where(x > 0, x - p, np.minimum(-p, 0))
    total = (r**2).sum() + fit.ridge[0] * ((fit.weight**2).sum() + (fit.activity**2).sum())
    assert fit.squared_error == pytest.approx((r**2).sum(), rel=1e-9)
    assert total <= fit.history[-1] * (1 + 1e-9)
    assert total == pytest.approx(fit.history[-1], rel=0.01)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_noise_free_regulators_come_back_without_signs(seed, low):
    x, network, z, w = problem(seed, low=low)
    fit, *_ = orient(fit_decoder(x.astype(np.float32), network, rng=seed), network)
    assert correlation(fit.activity, z).min() > 0.99
    learned, true = dense(fit.weight, network), w
    assert np.corrcoef(learned[true != 0], true[true != 0])[0, 1] > 0.9


@pytest.mark.parametrize(("low", "n_cells", "n_genes"), [(0.0, 4, 400), (-1.0, 8, 300)])
@pytest.mark.parametrize("graduated", [True, False])
def test_graduated_shrinkage_loses_no_regulator_near_load_one(
    monkeypatch, low, n_cells, n_genes, graduated
):
    if not graduated:
        monkeypatch.setattr(data, "_LOW_LOAD", 0.0)
    lost = 0
    for seed in range(8 if graduated else 40):  # without, one fit in ten or so loses some
        x, network, z, _ = problem(seed, low=low, n_cells=n_cells, n_genes=n_genes)
        assert 1.0 < (x > 0).sum() / (network.n_edges + z.size) < 1.3
        fit = fit_decoder(x, network, rng=seed)
        lost += np.abs(correlation(fit.activity, z)).min() < 0.95
        if lost:
            break
    assert lost == 0 if graduated else lost > 0


@pytest.mark.parametrize("seed", range(3))
def test_thresholded_genes_with_intercepts(seed):
    x, network, z, _ = problem(seed, n_cells=300, noise=0.1, quantile=0.6)
    assert (x == 0).mean() == pytest.approx(0.6, abs=0.01)
    fit, *_ = orient(fit_decoder(x.astype(np.float32), network, intercept=True), network)
    assert correlation(fit.activity, z).min() > 0.95


def test_identity_link_without_zeros_reaches_the_optimum_of_both_links():
    x, network, *_ = problem(2, noise=0.1, low=0.0)
    x = x + 1e-3
    fits = [
        fit_decoder(x, network, likelihood=likelihood, tol=1e-9, max_iter=3000)
        for likelihood in ("tobit", "gaussian")
    ]
    assert fits[0].history[-1] == pytest.approx(fits[1].history[-1], rel=1e-3)


def test_units_of_expression_do_not_matter():
    x, network, *_ = problem(3, noise=0.2)
    a, b = (orient(fit_decoder(c * x, network), network)[0] for c in (1.0, 1000.0))
    np.testing.assert_allclose(b.weight, a.weight, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(b.activity, 1000 * a.activity, rtol=1e-6, atol=1e-6)


def test_block_size_does_not_matter(monkeypatch):
    x, network, *_ = problem(4, noise=0.2)
    whole = fit_decoder(x, network)
    monkeypatch.setattr(data, "_BLOCK", 7)
    blocks = fit_decoder(x, network)
    np.testing.assert_allclose(blocks.activity, whole.activity, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(project(x, whole, network), whole.activity, atol=1e-4)


def test_precision_of_input_hardly_matters():
    x, network, z, _ = problem(5, noise=0.2)
    single, double = (
        orient(fit_decoder(x.astype(t), network), network)[0] for t in (np.float32, np.float64)
    )
    difference = correlation(single.activity, z) - correlation(double.activity, z)
    np.testing.assert_allclose(difference, 0, atol=1e-4)


@pytest.mark.parametrize("intercept", [False, True])
def test_training_cells_project_onto_their_own_activities(intercept):
    x, network, *_ = problem(6, noise=0.2)
    fit = fit_decoder(x, network, intercept=intercept)
    oriented, *_ = orient(fit, network)
    np.testing.assert_allclose(project(x, oriented, network), oriented.activity, atol=1e-3)


def test_collinear_and_empty_regulators_are_fitted():
    x, network, *_ = problem(7, noise=0.2)
    twin = network.gene[network.regulator == 0]
    both = Network.from_edges(
        np.append(network.gene, twin),
        np.append(network.regulator, np.full(len(twin), 20)),
        np.zeros(network.n_edges + len(twin)),
        network.n_genes,
        22,
    )
    fit = fit_decoder(x, both)
    assert np.isfinite(fit.weight).all()
    assert (fit.activity[:, 21] == 0).all()
    assert fit.squared_error <= fit_decoder(x, network).squared_error * 1.01


def test_all_zero_data_give_zero_activities():
    _, network, *_ = problem()
    fit = fit_decoder(np.zeros((5, 200)), network)
    assert not fit.activity.any()
    assert np.isfinite(fit.weight).all()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_strong_prior_is_ridge_regression_on_the_signs(intercept, shared):
    x, network, *_ = problem(3, noise=0.5, signed=True)
    prior = {"prior": 1e9, "shared": shared, "ridge": 0.1}
    fit = fit_decoder(
        x, network, likelihood="gaussian", intercept=intercept, **prior, tol=1e-12, max_iter=3000
    )
    signs = dense(network.sign, network)
    if shared:
        signs = signs / np.sqrt(np.maximum(1, np.abs(signs).sum(1, keepdims=True)))
    np.testing.assert_allclose(fit.weight, signs[network.gene, network.regulator], atol=1e-6)
    lam = 0.1 * np.square(signs).sum() / network.n_regulators
    np.testing.assert_allclose(fit.ridge, lam)
    y = x - fit.bias if intercept else x
    expected = np.linalg.solve(signs.T @ signs + lam * np.eye(20), signs.T @ y.T).T
    np.testing.assert_allclose(fit.activity, expected, atol=1e-5)


def test_weak_prior_reaches_the_free_optimum_and_the_objective_is_the_stated_one():
    x, network, z, _ = problem(4, noise=0.1, signed=True, n_cells=100)
    free, weak = (fit_decoder(x, network, prior=p, ridge=1e-4) for p in (0.0, 1e-4))
    assert correlation(weak.activity, z).min() > 0.99
    assert weak.squared_error == pytest.approx(free.squared_error, rel=0.05)
    strong = fit_decoder(x, network, prior=0.5, ridge=0.1, tol=0, max_iter=60)
    assert (np.diff(strong.history) <= 0).all()
    penalty = strong.ridge[0] * (strong.activity**2).sum()
    penalty += 0.5 * (x**2).sum() / network.n_edges * ((strong.weight - network.sign) ** 2).sum()
    assert strong.squared_error + penalty == pytest.approx(strong.history[-1], rel=1e-3)


def test_regulators_without_signs_stay_balanced_beside_a_prior():
    x, network, *_ = problem(5, noise=0.1)
    half = np.where(network.regulator < 10, 1.0, 0.0)
    network = Network.from_edges(network.gene, network.regulator, half, 200, 20)
    fit = fit_decoder(x, network, prior=1.0)
    for j in range(10, 20):
        w = np.linalg.norm(fit.weight[network.regulator == j])
        assert w == pytest.approx(np.linalg.norm(fit.activity[:, j]), rel=0.05)
    assert np.mean(fit.weight[network.regulator < 10]) == pytest.approx(1.0, abs=0.5)


def test_same_seed_same_result():
    x, network, *_ = problem(8, noise=0.2)
    a, b = (fit_decoder(x.astype(np.float32), network, rng=3) for _ in range(2))
    np.testing.assert_array_equal(a.activity, b.activity)
    np.testing.assert_array_equal(a.weight, b.weight)


def test_known_columns_reach_every_gene():
    network = Network.from_edges([1], [0], [1], n_genes=3, n_regulators=1)
    full = with_known_columns(network, 2)
    assert full.n_regulators == 3
    assert full.regulators_per_gene().tolist() == [2, 3, 2]
    assert full.gene[full.regulator == 0].tolist() == [1]
    assert with_known_columns(network, 0) is network


def test_projection_of_no_cells():
    x, network, *_ = problem()
    fit = fit_decoder(x, network, max_iter=2)
    assert project(x[:0], fit, network).shape == (0, 20)


def test_unknown_link():
    with pytest.raises(ValueError, match="likelihood must be one of"):
        fit_decoder(np.zeros((2, 200)), problem()[1], likelihood="tanh")


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no CUDA device to compare with the CPU"
)
def test_cuda_equals_cpu():
    x, network, *_ = problem(9, noise=0.2)
    cpu, cuda = (orient(fit_decoder(x, network, device=d), network)[0] for d in ("cpu", "cuda"))
    np.testing.assert_allclose(cuda.activity, cpu.activity, atol=1e-4)
