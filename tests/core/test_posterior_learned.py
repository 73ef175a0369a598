"""Chain and curvature under learned priors: exact results, and whether intervals hold the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.learn import fit_evidence
from grnrep.core.als.project import Projection
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods import restored
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network, with_known_columns
from grnrep.core.posterior.laplace import Spread, activity_sd
from grnrep.core.posterior.sample import sample_posterior
from grnrep.core.posterior.shear import share_variance, shear

N_SETS, N_CELLS, N_GENES = 2, 150, 150


def problem(
    seed=0, *, spread=0.0, n_programmes=0, signed=False, censored=False, n_cells=N_CELLS, m=10
):
    """Expression of ``n_cells`` cells and as many new ones, network, activities and weights."""
    rng = np.random.default_rng(seed)
    mask = rng.random((N_GENES, m)) < 0.2
    mask[np.arange(N_GENES), rng.integers(m, size=N_GENES)] = True
    w = mask * rng.choice([-1, 1], mask.shape) * rng.uniform(0.2, 1, mask.shape)
    z = rng.gamma(1.0, size=(2 * n_cells, m))
    sd = np.exp(spread * rng.standard_normal(N_GENES) - spread**2 / 2)
    p = z @ w.T + sd * rng.standard_normal((2 * n_cells, N_GENES))
    loadings = 0.5 * rng.standard_normal((N_GENES, n_programmes))
    p += rng.standard_normal((2 * n_cells, n_programmes)) @ loadings.T
    x = np.maximum(p - np.median(p, axis=0), 0) if censored else p
    gene, regulator = np.nonzero(mask)
    sign = np.sign(w[gene, regulator]) if signed else np.zeros(len(gene))
    network = Network.from_edges(gene, regulator, sign, N_GENES, m)
    return x, network, z, w[gene, regulator]


def covered(estimate, sd, truth):
    return np.abs(estimate - truth) <= 1.96 * sd


@pytest.mark.parametrize(
    ("data", "assumed"),
    [
        ({}, {}),
        ({"spread": 1.0}, {}),
        ({"spread": 0.5, "n_programmes": 5}, {"n_factors": 5}),
        ({"spread": 1.0, "signed": True}, {"tau2": None}),
        ({"spread": 1.0, "signed": True}, {"tau2": 0.1}),
        ({"spread": 1.0, "signed": True}, {"correlated": True}),
        ({"spread": 1.0, "censored": True}, {}),
    ],
)
def test_intervals_contain_the_truth(data, assumed):
    """Of activities, of new cells too, and of weights; in scale and sign of the estimate."""
    likelihood = "tobit" if "censored" in data else "gaussian"
    cells, new, edges = [], [], []
    for seed in range(N_SETS):
        both, network, truth, w = problem(seed, **data)
        x, other = both[:N_CELLS], both[N_CELLS:]
        fit = fit_evidence(x, network, likelihood=likelihood, assumptions=Assumptions(**assumed))
        n_draws = 300 if likelihood == "tobit" else 80
        found = sample_posterior(x, fit, network, likelihood=likelihood, n_draws=n_draws)
        found, *_ = found.orient(network)
        assert fit.n_factors == data.get("n_programmes", 0)
        learned = found.fit.activity
        np.testing.assert_allclose(learned.mean(0), 0, atol=1e-6)  # an intercept takes the mean
        z, z_new = np.split(truth - truth[:N_CELLS].mean(0), 2)
        factor = (learned * z).sum(0) / np.square(learned).sum(0)
        size = np.abs(factor)
        cells.append(covered(learned * factor, found.activity_sd * size, z))
        at = Projection.of(found.fit, network).into(found.fit, other)
        spread = Spread(
            found.weight_sd,
            found.scatter,
            np.square(at.activity).mean(0),
            share_variance=found.share_variance,
        )
        sd = activity_sd(other, at, network, spread)
        new.append(covered(at.activity * factor, sd * size, z_new))
        factor = factor[network.regulator]
        edges.append(covered(found.fit.weight / factor, found.weight_sd / np.abs(factor), w))

    # four standard errors of a share of .95, as if values of a cell or gene erred together
    def error(n):
        return 4 * np.sqrt(0.95 * 0.05 / (N_SETS * n))

    assert np.mean(cells) == pytest.approx(0.95, abs=error(N_CELLS))
    assert np.mean(new) == pytest.approx(0.95, abs=error(N_CELLS))
    # of weights under a ReLU .90 to .93: activities that are not normal are taken for normal below zero
    least = 0.88 if likelihood == "tobit" else 0.95 - error(N_GENES)
    assert least <= np.mean(np.concatenate(edges)) <= 0.95 + error(N_GENES)


def test_the_unit_of_a_gene_changes_nothing():
    x, network, *_ = problem(spread=1.0, n_cells=50)
    unit = 2.0 ** np.random.default_rng(0).integers(-4, 5, N_GENES)
    one, other = (
        sample_posterior(
            values, fit_evidence(values, network), network, likelihood="gaussian", n_draws=10
        )
        for values in (x, x * unit)
    )
    np.testing.assert_allclose(other.fit.activity, one.fit.activity, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(other.activity_sd, one.activity_sd, rtol=1e-4)
    np.testing.assert_allclose(other.weight_sd / unit[network.gene], one.weight_sd, rtol=1e-4)
    np.testing.assert_allclose(other.noise_variance / unit**2, one.noise_variance, rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["gaussian", "tobit"])
@pytest.mark.parametrize("inflation", [1.0, 3.0])
def test_means_infer_the_same_activities_again(inflation, likelihood):
    # inflation is taken where there are signs
    censored = likelihood == "tobit"
    x, network, *_ = problem(spread=0.5, n_programmes=3, n_cells=100, signed=censored)
    x = np.maximum(x + 1, 0) if censored else x
    assumed = Assumptions(inflation=inflation, n_factors=3, exactly=True)
    fit = fit_evidence(x, network, likelihood=likelihood, assumptions=assumed)
    found = sample_posterior(x, fit, network, likelihood=likelihood, n_draws=60)
    assert found.fit.n_factors == 3
    assert found.fit.factors.shape == (200, 3)
    noise_sd = found.fit.likelihood.arrays()["noise_sd"]
    np.testing.assert_allclose(noise_sd**2, found.noise_variance)
    # the chain draws the noise of residuals, and inflates it as the fit does
    assert np.median(noise_sd / fit.likelihood.arrays()["noise_sd"]) == pytest.approx(1, abs=0.1)
    again = Projection.of(found.fit, network).into(found.fit, x)
    for ours, theirs in ((found.fit.activity, again.activity), (found.fit.factors, again.factors)):
        for a, b in zip(ours.T, theirs.T, strict=True):
            assert np.corrcoef(a, b)[0, 1] > 0.98


def test_a_shear_keeps_predictions_and_has_the_variance_of_its_prior():
    rng = np.random.default_rng(0)
    r, k, n = 3, 2, 40
    gene, regulator = np.nonzero(rng.random((20, r)) < 0.5)
    network = with_known_columns(Network.from_edges(gene, regulator, 0 * gene, 20, r), k + 1)
    pattern = Pattern(network)
    weight = torch.as_tensor(rng.standard_normal(network.n_edges))
    variance = torch.as_tensor(rng.uniform(0.5, 2, network.n_edges))
    z = torch.as_tensor(rng.standard_normal((r + k, n)))
    root = torch.as_tensor(rng.standard_normal((r, r)))
    precision = root @ root.mT + torch.eye(r)
    generator = torch.Generator().manual_seed(0)

    def normal(shape, like):
        return torch.randn(shape, generator=generator, dtype=like.dtype)

    shares, known = [], z.new_ones(1, n)
    before = pattern.matrix(weight) @ torch.cat([z, known])
    for _ in range(2000):
        free, change = shear(pattern, weight, variance, z, precision, normal)
        shares.append(change @ torch.linalg.pinv(z[r:]))
    after = pattern.matrix(free) @ torch.cat([z[:r] + change, z[r:], known])
    torch.testing.assert_close(after, before)
    # given the share of the other factor
    w = pattern.matrix(weight).to_dense()[:, :r]
    v = variance[torch.as_tensor(network.regulator) == r]
    system = z[r] @ z[r] * precision + w.mT @ (w / v[:, None])
    expected = torch.linalg.inv(system).diagonal()
    ours = share_variance(pattern, weight, variance, z[r:], precision)
    torch.testing.assert_close(ours[0], expected)
    drawn = torch.stack(shares)[:, :, 0].var(0)
    torch.testing.assert_close(drawn, expected, rtol=0.15, atol=0)


def test_curvature_has_the_covariance_of_activities_and_factors():
    """Of a known decoder Laplace's variance is the exact one, the inverse of W'Ψ⁻¹W + C⁻¹."""
    rng = np.random.default_rng(0)
    _, network, z, w = problem(n_cells=20)
    m, k = network.n_regulators, 2
    root = rng.standard_normal((m, m))
    covariance, noise_sd = root @ root.T / m + np.eye(m), rng.uniform(0.5, 2, N_GENES)
    fit = Fit(
        w, None, z, restored("gaussian", {"noise_sd": noise_sd}), covariance=covariance,
        factors=rng.standard_normal((len(z), k)), loadings=rng.standard_normal((N_GENES, k)),
    )  # fmt: skip
    nothing = Spread(np.zeros(len(w)), np.ones(N_GENES), np.ones(m))
    sd = activity_sd(rng.standard_normal((len(z), N_GENES)), fit, network, nothing)
    dense = np.zeros((N_GENES, m + k))
    dense[network.gene, network.regulator], dense[:, m:] = w, fit.loadings
    prior = np.eye(m + k)
    prior[:m, :m] = np.linalg.inv(covariance)
    exact = np.linalg.inv(dense.T @ (dense / noise_sd[:, None] ** 2) + prior)
    expected = np.broadcast_to(np.sqrt(exact.diagonal()[:m]), sd.shape)
    np.testing.assert_allclose(sd, expected, rtol=1e-8)
    shares = rng.random((k, m))
    more = activity_sd(
        fit.activity @ dense[:, :m].T, fit, network, replace(nothing, share_variance=shares)
    )
    np.testing.assert_allclose(more**2, sd**2 + fit.factors**2 @ shares, rtol=1e-8)
