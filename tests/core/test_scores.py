"""Tests of edges against regressions without the gene, a general optimiser, and data without edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import norm

from grnrep.core import scores as scores_module
from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.learn import fit_evidence
from grnrep.core.als.project import Projection
from grnrep.core.gene_regression import Genes, refine, with_growth
from grnrep.core.likelihoods import restored
from grnrep.core.network import Network, without_genes
from grnrep.core.scores import edge_scores


def network_of(mask, sign=None):
    gene, regulator = np.nonzero(mask)
    known = np.zeros(len(gene)) if sign is None else sign[gene, regulator]
    return Network.from_edges(gene, regulator, known, *mask.shape)


def problem(seed=0, n_cells=300, n_genes=30, m=4, noise=0.3):
    """Expression of genes with weights of both signs, the network, and activities."""
    rng = np.random.default_rng(seed)
    z = rng.gamma(1.0, size=(n_cells, m))
    w = np.where(rng.random((n_genes, m)) < 0.5, rng.uniform(-1, 1, (n_genes, m)), 0.0)
    return z @ w.T + noise * rng.normal(size=(n_cells, n_genes)), w, z


def fitted(x, network, likelihood="gaussian", **options):
    """A fit whose posterior of activities hangs on weights and noise alone."""
    fit = replace(fit_evidence(x, network, likelihood=likelihood, **options), weight_sd=None)
    return Projection.of(fit, network, dtype=torch.float64).into(fit, x)


def without(x, fit, network, gene):
    """Activities that are inferred without a gene, (n_cells, m)."""
    drop = np.arange(network.n_genes) == gene
    kept = ~drop[network.gene]
    sd = np.where(drop, 1e9, fit.likelihood.arrays()["noise_sd"])  # its values say nothing
    fit = replace(
        fit, weight=fit.weight[kept], likelihood=restored(fit.likelihood.name, {"noise_sd": sd})
    )
    projection = Projection.of(fit, without_genes(network, drop), dtype=torch.float64)
    return projection.representation(x)


@pytest.mark.parametrize("n_factors", [0, 2])
def test_scores_equal_regression_on_activities_without_the_gene(n_factors, monkeypatch):
    monkeypatch.setattr(scores_module, "with_growth", lambda batch, weight: batch)
    x, w, _ = problem()
    if n_factors:
        rng = np.random.default_rng(1)
        x = x + rng.normal(size=(300, 2)) @ rng.normal(size=(2, 30))
    mask = w != 0
    mask[0], mask[1] = [True, True, False, False], False  # one gene without regulators
    network = network_of(mask, np.sign(w))
    options = {"n_factors": n_factors, "exactly": True}
    fit = fitted(x, network, assumptions=Assumptions(tau2=0.3, **options))
    assert fit.n_factors == n_factors
    found = edge_scores(x, fit, network)
    sd = fit.likelihood.arrays()["noise_sd"]
    for i in (0, 1, 2, 7):
        z = without(x, fit, network, i)
        own = np.hstack([z[:, :4][:, mask[i]], z[:, 4:], np.ones((300, 1))])
        coefficient = np.linalg.lstsq(own, x[:, i], rcond=None)[0]
        r, inverse = x[:, i] - own @ coefficient, np.linalg.inv(own.T @ own)
        dof = 300 - own.shape[1]
        assert found.dof[i] == dof
        # variance of x given activities without the gene: noise, and w' Var(z) w
        both = np.hstack([fit.weight[network.gene == i], [] if not n_factors else fit.loadings[i]])
        columns = [*np.flatnonzero(mask[i]), *range(4, 4 + n_factors)]
        precision = np.linalg.inv(posterior(fit, network))
        precision[np.ix_(columns, columns)] -= np.outer(both, both) / sd[i] ** 2
        spread = np.linalg.inv(precision)[np.ix_(columns, columns)]
        by_fit = sd[i] ** 2 + both @ spread @ both

        def variance(robust, information, by_fit=by_fit, dof=dof):
            return (300 * robust + 10 * by_fit * information) / (dof + 10)

        robust = inverse @ (own.T * r**2) @ own @ inverse
        expected = np.sqrt(variance(robust.diagonal(), inverse.diagonal()))
        n = mask[i].sum()
        np.testing.assert_allclose(found.weight[i, mask[i]], coefficient[:n], rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(found.std_err[i, mask[i]], expected[:n], rtol=2e-3)
        for j in np.flatnonzero(~mask[i]):
            beyond = z[:, j] - own @ (inverse @ (own.T @ z[:, j]))
            squares = beyond @ beyond
            step = r @ beyond / squares
            error = np.sqrt(variance((r * beyond) @ (r * beyond), squares)) / squares
            assert found.weight[i, j] == pytest.approx(step, rel=2e-3, abs=1e-4)
            assert found.std_err[i, j] == pytest.approx(error, rel=2e-3)
            assert found.t()[i, j] == pytest.approx(step / error, rel=5e-3, abs=5e-3)


def posterior(fit, network):
    """Posterior covariance of representations."""
    return Projection.of(fit, network, dtype=torch.float64).expected_cells().sigma.numpy()


def censored_genes(seed=0, n_cells=400, growth=0.0):
    """Genes of two regulators and an intercept, cut at zero or not, and true weights."""
    rng = np.random.default_rng(seed)
    own = np.stack([rng.normal(size=(2, n_cells)) for _ in range(5)])
    own = np.concatenate([own, np.ones((5, 1, n_cells))], axis=1)
    w = rng.normal(size=(5, 3))
    p = np.einsum("gd,gdc->gc", w, own)
    return own, w, p + np.exp(growth * p / 2) * rng.normal(size=p.shape)


def batch_of(own, y, seen):
    own, y, seen = (torch.as_tensor(a) for a in (own, y, seen))
    n_own = torch.full((len(y),), float(own.shape[1]))
    none = torch.zeros(len(y), own.shape[1], dtype=torch.float64)
    return Genes(own, y, seen, n_own, torch.ones_like(y), none, torch.zeros_like(y))


def test_weights_are_the_optimum_of_the_tobit_likelihood():
    own, _, y = censored_genes()
    y = np.maximum(y, 0)
    batch = batch_of(own, y, y > 0)
    ridge = torch.full((5, 3), 1e-6, dtype=torch.float64)
    found = refine(batch, torch.zeros(5, 3, dtype=torch.float64), ridge)[0].numpy()

    def loss(w, i):
        p = w @ own[i]
        return -np.where(y[i] > 0, norm.logpdf(y[i], p), norm.logcdf(-p)).sum()

    for i in range(5):
        best = minimize(loss, found[i], args=(i,))
        assert loss(found[i], i) <= best.fun + 0.01
        np.testing.assert_allclose(found[i], best.x, atol=0.02)


@pytest.mark.parametrize("growth", [0.0, 1.0])
def test_cells_count_by_how_noise_grows(growth):
    error, variance = [], []
    for seed in range(40):
        own, w, y = censored_genes(seed, growth=growth)
        batch = batch_of(own, y, np.ones(y.shape, dtype=bool))
        ridge = torch.full((5, 3), 1e-6, dtype=torch.float64)
        plain, *_ = refine(batch, torch.zeros(5, 3, dtype=torch.float64), ridge)
        grown = with_growth(batch, plain)
        better, *_ = refine(grown, plain, ridge)
        error.append([np.square(a.numpy() - w).mean() for a in (plain, better)])
        variance.append(float((grown.variance.log().std(1)).mean()))
    plain, better = np.mean(error, axis=0)
    if growth:
        assert better < 0.6 * plain
        assert np.mean(variance) > 0.8
    else:
        assert better < 1.02 * plain
        assert np.mean(variance) < 0.1


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("grows", [False, True])
def test_t_statistics_of_genes_without_edges_have_size_one(cut, grows):
    """Half of the genes are noise, whose size differs between cells: all that the network says of them is false."""
    x, w, _ = problem(5, n_cells=250, n_genes=300, m=12)
    rng = np.random.default_rng(6)
    if grows:
        x = x + np.exp(0.5 * x / x.std(0)) * rng.normal(size=x.shape) * 0.3
    size = 1.0 if cut else rng.gamma(2.0, size=(250, 1))
    x[:, 150:] = rng.normal(size=150) + size * rng.normal(size=(250, 150))
    x = np.maximum(x, 0) if cut else x
    mask = w != 0
    fit = fit_evidence(x, network_of(mask), likelihood="tobit" if cut else "gaussian")
    t = edge_scores(x, fit, network_of(mask)).t()[150:]
    for part in (t[~mask[150:]], t[mask[150:]]):  # absent edges, and false ones that were fitted
        judged = part[part != 0]
        assert 0.9 < np.median(np.abs(judged)) / 0.6745 < 1.12
        assert 0.9 < judged.std() < 1.25


def test_genes_that_are_hardly_ever_seen_are_not_judged():
    x, w, _ = problem(2)
    x = np.maximum(x, 0)
    x[:, 0] = 0
    x[4:, 1] = 0
    network = network_of(w != 0)
    scores = edge_scores(x, fit_evidence(x, network, likelihood="tobit"), network)
    assert np.isnan(scores.std_err[:2]).all()
    assert (scores.t()[:2] == 0).all()
    often = (x > 0).sum(0) > 60
    assert often.sum() > 10
    assert (scores.std_err[often] > 0).all()
    assert np.isfinite(scores.weight).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_of_genes_and_cells_and_dtype_do_not_matter(dtype):
    x, w, _ = problem(4)
    x, network = np.maximum(x, 0), network_of(w != 0)
    fit = fit_evidence(x, network, likelihood="tobit")
    scores = edge_scores(x, fit, network)
    rng = np.random.default_rng(0)
    genes, cells = rng.permutation(len(w)), rng.permutation(len(x))
    weight = np.zeros(w.shape)
    weight[network.gene, network.regulator] = fit.weight
    shuffled = network_of((w != 0)[genes])
    other = replace(
        fit,
        weight=weight[genes][shuffled.gene, shuffled.regulator],
        weight_sd=None,
        bias=fit.bias[genes],
        activity=fit.activity[cells],
        likelihood=restored("tobit", {"noise_sd": fit.likelihood.arrays()["noise_sd"][genes]}),
    )
    threads = torch.get_num_threads()
    found = edge_scores(x[np.ix_(cells, genes)].astype(dtype), other, shuffled)
    assert torch.get_num_threads() == threads
    expected = edge_scores(x, replace(fit, weight_sd=None), network)
    np.testing.assert_allclose(found.weight, expected.weight[genes], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.std_err, expected.std_err[genes], rtol=1e-3, atol=1e-5)
    # what is not known of weights makes activities a little less certain
    assert np.nanmedian(scores.std_err / expected.std_err) == pytest.approx(1, abs=0.05)


def test_a_regulator_that_was_turned_off_says_nothing():
    """Whose activity is rounding would need weights beyond all bounds."""
    x, w, _ = problem(n_cells=200)
    network = network_of(w != 0)
    fit = fitted(x, network)
    off = fit.activity.copy()
    off[:, 2] *= 1e-25
    before, scores = (
        edge_scores(x, replace(fit, activity=a), network) for a in (fit.activity, off)
    )
    assert np.isfinite(before.std_err).all()
    assert np.isnan(scores.std_err[:, 2]).all()
    assert np.isfinite(np.delete(scores.std_err, 2, axis=1)).all()


def test_a_regulator_without_activity_says_nothing():
    """Estimates along it could be anything, and grew from round to round of a repair until they overflowed."""
    x, w, _ = problem()
    network = network_of(w != 0)
    fit = fitted(x, network)
    activity = fit.activity.copy()
    activity[:, 1] *= 1e-30
    scores = edge_scores(x, replace(fit, activity=activity), network)
    assert (scores.weight[:, 1] == 0).all()
    assert np.isnan(scores.std_err[:, 1]).all()
    others = np.arange(4) != 1
    assert np.abs(scores.weight[:, others]).max() < 10
    assert (scores.t()[:, others] != 0).all()
