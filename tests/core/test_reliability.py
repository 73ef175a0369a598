"""How much of an activity is the true one: closed forms, numerical information, and what recovery comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

import grnrep as gr
import grnrep.core.reliability as module
from grnrep._match import match
from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.learn import fit_evidence
from grnrep.core.als.project import project
from grnrep.core.choose.assumptions import least_assumed
from grnrep.core.design import prior_precision
from grnrep.core.fitted import Interrupted
from grnrep.core.likelihoods import restored
from grnrep.core.network import Network
from grnrep.core.reliability import (
    expected_information,
    information,
    kept_by_new_cells,
    reliability,
)


def log_likelihood(x, p, sd):
    return stats.norm.logcdf(-p / sd) if x == 0 else stats.norm.logpdf(x, p, sd)


@pytest.mark.parametrize("p", [-6.0, -2.0, -0.3, 0.0, 0.7, 2.5, 8.0])
@pytest.mark.parametrize("sd", [0.5, 2.0])
def test_information_is_the_mean_squared_score(p, sd):
    def score(x, step=1e-5):
        return (log_likelihood(x, p + step, sd) - log_likelihood(x, p - step, sd)) / (2 * step)

    seen = integrate.quad(
        lambda x: score(x) ** 2 * stats.norm.pdf(x, p, sd), 0, max(p, 0) + 12 * sd, limit=200
    )[0]
    censored = score(0.0) ** 2 * stats.norm.cdf(-p / sd)
    assert np.isclose(information(np.array([p / sd]))[0], (seen + censored) * sd**2, atol=1e-5)


def test_information_rises_from_none_to_all():
    found = information(np.linspace(-40, 40, 400))
    assert (np.diff(found) >= -1e-12).all()
    assert found[0] == 0
    assert found[-1] == 1


@pytest.mark.parametrize(("spread", "sd"), [(0.0, 1.0), (0.5, 1.0), (3.0, 1.0), (1.0, 0.2)])
def test_expected_information_is_the_mean_over_draws(spread, sd):
    draw = np.random.default_rng(0)
    for mean in (-2.0, 0.0, 1.0):
        p = mean + spread * draw.standard_normal(200_000)
        share = stats.norm.cdf(-mean / np.hypot(spread, sd))
        found = expected_information(np.array([share]), np.array([spread]), np.array([sd]))[0]
        assert abs(found - information(p / sd).mean()) < 5e-3
    none, all_ = expected_information(np.array([0.0, 1.0]), np.ones(2), np.ones(2))
    assert (none, all_) == (1, 0)


def one_regulator():
    """Cells with one regulator of known weights, and a fit to them."""
    adata, net = gr.ds.simulate(400, 30, n_regulators=1, connectivity=1.0, rng=0, progress=False)
    matched = match(net, adata)
    x = np.asarray(adata[:, matched.genes].X, dtype=np.float64)
    return x, matched.network, fit_evidence(x, matched.network)


def test_of_one_regulator_it_is_what_varies_beyond_noise():
    x, network, fit = one_regulator()
    told = np.sum(fit.weight**2 / fit.noise())
    shrunk = told / (told + prior_precision(fit, network)[0, 0].item())
    noise = shrunk**2 / told
    found = reliability(fit, network, np.zeros(x.shape[1]))[0]
    np.testing.assert_allclose(found, 1 - noise / fit.activity.var(ddof=1), rtol=1e-10)


def test_with_a_prior_that_is_right_it_is_that_of_the_posterior():
    """1 - Σ_jj / C_jj, where activities vary as the prior says they do, whichever regulators share targets."""
    draw, n, m = np.random.default_rng(0), 60, 4
    _, network, fit = one_regulator()
    gene, regulator = np.nonzero(draw.random((n, m)) < 0.4)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), n, m)
    w = np.zeros((n, m))
    w[network.gene, network.regulator] = weight = draw.standard_normal(network.n_edges)
    root = draw.standard_normal((m, m))
    c = root @ root.T + np.eye(m)
    psi = draw.uniform(5, 20, n)
    gram = (w / psi[:, None]).T @ w
    s = np.linalg.inv(gram + np.linalg.inv(c))
    cov = s @ gram @ c  # of posterior means
    z = draw.standard_normal((500, m))
    z = np.linalg.qr(z - z.mean(0))[0] * np.sqrt(499) @ np.linalg.cholesky((cov + cov.T) / 2).T
    like = restored("gaussian", {"noise_sd": np.sqrt(psi)})
    fit = replace(
        fit, weight=weight, bias=None, activity=z, covariance=c, weight_sd=None, likelihood=like
    )
    found = reliability(fit, network, np.zeros(n))
    np.testing.assert_allclose(found, 1 - s.diagonal() / c.diagonal(), rtol=0.05)
    assert np.corrcoef(found, 1 - s.diagonal() / c.diagonal())[0, 1] > 0.99
    # the size of C is not what counts
    smaller = reliability(replace(fit, covariance=c / 1.5), network, np.zeros(n))
    assert np.abs(smaller - found).max() < 0.1


def test_activities_that_do_not_vary_have_none():
    _, network, fit = one_regulator()
    none = reliability(replace(fit, activity=np.zeros_like(fit.activity)), network, np.zeros(30))
    assert none.tolist() == [0]


@pytest.mark.parametrize(
    ("noise_sd", "zeros", "n_cells", "within"),
    [(1.0, None, 60, 0.05), (4.0, None, 200, 0.05), (1.0, 0.75, 200, 0.05)],
)
def test_it_foretells_recovery(noise_sd, zeros, n_cells, within):
    found, squared = [], []
    for seed in range(2):
        adata, net = gr.ds.simulate(
            n_cells, 150, n_regulators=12, connectivity=0.12, noise_sd=noise_sd,
            zero_fraction=zeros, rng=seed, progress=False,
        )  # fmt: skip
        matched = match(net, adata)
        x, network = np.asarray(adata[:, matched.genes].X), matched.network
        assumed = least_assumed(n_cells, network, 0)
        fit = fit_evidence(x, network, likelihood="tobit", assumptions=assumed, max_iter=100)
        true = adata.obsm["true_activity"][matched.regulators].to_numpy()
        pairs = zip(fit.activity.T, true.T, strict=True)
        squared += [np.corrcoef(a, b)[0, 1] ** 2 for a, b in pairs]
        kept = kept_by_new_cells(fit, x, network, assumed)
        found.extend(reliability(fit, network, (x == 0).mean(0), kept=kept))
    assert abs(np.mean(found) - np.mean(squared)) < within
    if noise_sd < 4:  # there regulators hardly differ
        assert np.corrcoef(found, squared)[0, 1] > 0.5


def test_what_new_cells_keep_is_foretold():
    # in noise of four times the signal, where weights follow the noise of the cells they are learned from
    foretold, found = [], []
    for seed in range(3):
        both, net = gr.ds.simulate(
            1200, 150, n_regulators=12, connectivity=0.12, noise_sd=4.0, rng=seed, progress=False
        )
        matched = match(net, both)
        x, network = np.asarray(both[:, matched.genes].X), matched.network
        old, new = x[:200], x[200:]
        assumed = least_assumed(len(old), network, 0)
        fit = fit_evidence(old, network, likelihood="tobit", assumptions=assumed)
        foretold.append(kept_by_new_cells(fit, old, network, assumed))
        share = project(new, fit, network).var(0) / fit.activity.var(0)
        # the truth varies by chance more or less among the cells learned from
        true = both.obsm["true_activity"][matched.regulators].to_numpy()
        found.append(np.median(share * true[:200].var(0) / true[200:].var(0)))
    assert max(foretold) < 0.95
    assert np.mean(foretold) == pytest.approx(np.mean(found), abs=0.06)


def test_what_new_cells_keep_does_not_hang_on_the_order_of_cells():
    adata, net = gr.ds.simulate(100, 100, n_regulators=8, noise_sd=2.0, rng=0, progress=False)
    matched = match(net, adata)
    x, network = np.asarray(adata[:, matched.genes].X), matched.network
    assumed = least_assumed(len(x), network, 0)
    fit = fit_evidence(x, network, likelihood="tobit", assumptions=assumed)
    kept = kept_by_new_cells(fit, x, network, assumed)
    order = np.random.default_rng(0).permutation(len(x))
    other = replace(fit, activity=fit.activity[order])
    assert 0.5 < kept < 1
    assert kept_by_new_cells(other, x[order], network, assumed) == pytest.approx(kept, abs=1e-3)


def test_cells_without_noise_keep_all_with_covariates_and_free_factors():
    rng = np.random.default_rng(0)
    adata, net = gr.ds.simulate(100, 100, n_regulators=8, noise_sd=0.05, rng=0, progress=False)
    matched = match(net, adata)
    batch, programme = np.repeat([[0.0], [1.0]], 50, axis=0), rng.normal(size=(100, 1))
    x, network = np.asarray(adata[:, matched.genes].X, dtype=np.float64), matched.network
    x = x - x.mean(0) + batch + programme * rng.normal(size=(1, x.shape[1]))
    assumed = replace(least_assumed(100, network, 1), exactly=True)
    fit = fit_evidence(x, network, covariates=batch, assumptions=assumed)
    assert fit.n_factors == 1
    assert kept_by_new_cells(fit, x, network, assumed) > 0.97


def test_ctrl_c_brings_no_decoder_of_other_cells(monkeypatch):
    def stopped(*args, start, **options):
        raise Interrupted(start)

    _, network, fit = one_regulator()
    monkeypatch.setattr(module, "fit_evidence", stopped)
    with pytest.raises(KeyboardInterrupt) as stop:
        kept_by_new_cells(fit, np.ones((len(fit.activity), 30)), network, Assumptions())
    assert not isinstance(stop.value, Interrupted)


def test_two_cells_are_too_few_to_hold_any_out():
    _, network, fit = one_regulator()
    few = replace(fit, activity=fit.activity[:4])
    assert kept_by_new_cells(few, np.zeros((4, 30)), network, Assumptions()) == 1
