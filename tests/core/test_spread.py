"""Standard deviations at a fit to counts: dense Hessians, Fisher information, and what must not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from grnrep.core.fitted import Fit
from grnrep.core.likelihoods import restored
from grnrep.core.network import Network
from grnrep.core.posterior import laplace
from grnrep.core.posterior.laplace import Spread, Systems, activity_sd
from grnrep.core.posterior.spread import curvature_spread


def problem(seed=0, *, n_cells=30, n_genes=25, m=4, known=True, dispersion=None):
    """Counts of a decoder whose weights and activities are known, as if they had been fitted."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.6
    w = mask * rng.uniform(-2, 4, mask.shape)
    z, v = rng.gamma(1.0, size=(n_cells, m)), rng.normal(size=(n_cells, 1))
    b, e = rng.uniform(0, 2, n_genes), rng.uniform(-0.5, 0.5, (n_genes, 1))
    p = z @ w.T + (b + v @ e.T if known else 0)
    mean = np.maximum(p, 0).mean(0) + 0.1
    s = rng.uniform(0.5, 2, n_cells)
    mu = s[:, None] * rate(p, mean)
    if dispersion is not None:
        mu = mu * rng.gamma(1 / dispersion, dispersion, mu.shape)
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m)
    ridge = rng.uniform(0.1, 0.5, m)
    parts = {"bias": b, "effects": e, "covariates": v} if known else {"bias": None}
    phi = None if dispersion is None else np.full(n_genes, dispersion)
    fit = counts_fit(
        w[gene, regulator],
        activity=z,
        ridge=ridge,
        mean=mean,
        softness=0.2 * mean,
        dispersion=phi,
        **parts,
    )
    return rng.poisson(mu).astype(np.float64), s, fit, network, w


def counts_fit(weight, bias, activity, *, mean, softness, dispersion=None, **parts):
    parameters = {"mean": mean, "softness": softness}
    parameters |= {} if dispersion is None else {"dispersion": dispersion}
    likelihood = restored("poisson" if dispersion is None else "nb", parameters)
    return Fit(weight, bias, activity, likelihood, **parts)


def mean_of(fit):
    return fit.likelihood.arrays()["mean"]


def rate(p, mean):
    return 0.2 * mean * np.logaddexp(0, p / (0.2 * mean))


def hessian(f, at, step=1e-4):
    """Central second differences."""
    units = step * np.eye(len(at))
    return np.array(
        [
            [
                (f(at + a + b) - f(at + a - b) - f(at - a + b) + f(at - a - b)) / (4 * step**2)
                for b in units
            ]
            for a in units
        ]
    )


def loss(c, mu):
    """Minus the log-likelihood of Poisson counts, but for what the counts alone say."""
    return float((mu - c * np.log(mu)).sum())


def block_of(x, s, fit, network):
    at = Systems(fit, network)
    (block,) = at.cells(x, s)
    return at, block


def decoder(**parts):
    """One regulator, all of whose genes are far above zero."""
    w = np.linspace(5, 20, 40)
    network = Network.from_edges(np.arange(40), np.zeros(40), np.zeros(40), 40, 1)
    size = {"mean": w / 4, "softness": w / 20}
    return counts_fit(w, None, **{"activity": np.ones((1, 1))} | size | parts), network, w


NOTHING = Spread(np.zeros(40), np.ones(40), np.zeros(1), np.zeros(40))


@pytest.mark.parametrize("known", [False, True])
def test_the_system_of_a_cell_is_the_hessian_of_its_objective(known):
    x, s, fit, network, w = problem(known=known)
    _, block = block_of(x, s, fit, network)
    for k in (0, 7):
        offset = fit.offset(slice(k, k + 1))[0]

        def objective(z, k=k, offset=offset):
            return (
                loss(x[k], s[k] * rate(w @ z + offset, mean_of(fit))) + (fit.ridge * z**2).sum() / 2
            )

        wanted = np.linalg.inv(hessian(objective, fit.activity[k]))
        np.testing.assert_allclose(block.inverse[k], wanted, rtol=0.01, atol=1e-3 * wanted.max())


def test_the_system_of_a_gene_is_the_hessian_of_its_objective():
    x, s, fit, network, _ = problem()
    at, block = block_of(x, s, fit, network)
    prior = np.random.default_rng(1).uniform(0.5, 2, at.full.n_edges)
    on = np.random.default_rng(2).normal(size=(at.full.n_edges, 2))
    system = at.of_genes(block.curvature, block.z)
    pairs, product = at.inverse(system, torch.as_tensor(prior), torch.as_tensor(on))
    start = 0
    for i in range(network.n_genes):
        edges = np.flatnonzero(at.full.gene == i)
        columns = np.column_stack([fit.activity, np.ones(len(s)), fit.covariates])[
            :, at.full.regulator[edges]
        ]

        def objective(weight, i=i, columns=columns, edges=edges):
            return (
                loss(x[:, i], s * rate(columns @ weight, mean_of(fit)[i]))
                + (prior[edges] * weight**2).sum() / 2
            )

        size = len(edges)
        found = pairs[start : start + size**2].reshape(size, size).numpy()
        start += size**2
        if i % 8 == 0:
            wanted = np.linalg.inv(hessian(objective, at.weight.numpy()[edges]))
            np.testing.assert_allclose(found, wanted, rtol=0.01, atol=2e-3 * wanted.max())
        np.testing.assert_allclose(product[edges], found @ on[edges], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(at.diagonal(pairs)[edges], found.diagonal())
    assert start == len(pairs)


@pytest.mark.parametrize("phi", [None, 0.3])
def test_one_regulator_has_the_inverse_of_fisher_information(phi):
    fit, network, w = decoder(dispersion=None if phi is None else np.full(40, phi))
    s, z = np.array([0.7, 3.0]), np.array([1.0, 2.0])
    mu = s[:, None] * z[:, None] * w  # far above zero the rate is w z
    sd = activity_sd(mu, replace(fit, activity=z[:, None]), network, NOTHING, size_factors=s)
    information = (mu / z[:, None] ** 2 / (1 + (phi or 0) * mu)).sum(1)
    # the weight keeps a thousandth more than the curvature
    np.testing.assert_allclose(sd[:, 0], information**-0.5, rtol=5e-3)


def test_what_weights_leave_open_and_more_scatter_widen_activities():
    x, s, fit, network, w = problem(known=False)
    _, block = block_of(x, s, fit, network)
    rng = np.random.default_rng(3)
    scatter, dense = rng.uniform(1, 3, network.n_genes), np.zeros((network.n_genes, 4, 4))
    covariance = []
    for i in range(network.n_genes):
        own = np.flatnonzero(w[i])
        root = rng.normal(size=(len(own), len(own)))
        dense[np.ix_([i], own, own)] = root @ root.T
        covariance.append((root @ root.T).ravel())
    square = rng.uniform(1, 2, 4)
    spread = Spread(np.zeros(network.n_edges), scatter, square, np.concatenate(covariance))
    sd = activity_sd(x, fit, network, spread, size_factors=s)
    for k in range(3):
        z, a = fit.activity[k], block.curvature[:, k].numpy()
        noise = a * scatter + a**2 * np.einsum("a,iab,b->i", z, dense, z)
        inverse = np.linalg.inv((w.T * a) @ w + np.diag(fit.ridge))
        wanted = inverse @ ((w.T * noise) @ w + np.diag(fit.ridge**2 * square)) @ inverse
        np.testing.assert_allclose(sd[k], np.sqrt(wanted.diagonal()), rtol=1e-6)


def test_edges_have_the_fisher_information_of_their_counts_and_their_scatter():
    fit, network, w = decoder()
    rng = np.random.default_rng(0)
    z = rng.gamma(4.0, size=(800, 1))
    fit = replace(fit, activity=z, ridge=np.full(1, 1e-3))
    wanted = (z / w).sum(0) ** -0.5
    for more in (1, 3):
        x = more * rng.poisson(z * w / more).astype(float)
        spread = curvature_spread(x, fit, network, size_factors=np.ones(800))
        np.testing.assert_allclose(spread.scatter.mean(), more, rtol=0.1)
        # above 1: activities take a share, softness may shift weights, and noise inside the likelihood is another
        # explanation of more scatter
        ratio = np.median(spread.weight_sd / wanted) / more**0.5
        assert 0.95 < ratio < (1.25 if more == 1 else 1.6)


@pytest.mark.parametrize("phi", [None, 0.3])
def test_edges_lose_the_share_that_activities_take(phi):
    w, z, s = np.linspace(5, 20, 6), np.linspace(1, 3, 50)[:, None], np.linspace(0.5, 2, 50)
    network = Network.from_edges(np.arange(6), np.zeros(6), np.zeros(6), 6, 1)
    dispersion = None if phi is None else np.full(6, phi)
    size = {"mean": w / 4, "softness": w / 20}
    fit = counts_fit(w, None, z, ridge=np.full(1, 1e-3), dispersion=dispersion, **size)
    mu = s[:, None] * z * w
    information = mu / (z * w) ** 2 / (1 + (phi or 0) * mu)
    share = information * w**2 / (information * w**2).sum(1, keepdims=True)
    precision = (information * (1 - share) * z**2).sum(0) + 1 / (w**2).mean()
    # counts as expected: scatter stays at 1
    spread = curvature_spread(mu, fit, network, size_factors=s)
    np.testing.assert_allclose(spread.weight_sd, precision**-0.5, rtol=5e-3)
    np.testing.assert_array_equal(spread.scatter, 1)


def test_noise_inside_the_link_widens_edges_beyond_their_scatter():
    fit, network, w = decoder()
    rng = np.random.default_rng(0)
    z = rng.gamma(4.0, size=(800, 1))
    fit, p = replace(fit, activity=z, ridge=np.full(1, 1e-3)), z * w
    noisy = np.maximum(p + 10 * rng.normal(size=p.shape), 0)
    plain, more = (
        curvature_spread(rng.poisson(x).astype(float), fit, network, size_factors=np.ones(800))
        for x in (p, noisy)
    )
    assert np.median(more.weight_sd / plain.weight_sd * np.sqrt(plain.scatter / more.scatter)) > 1.1


def test_a_link_that_bends_elsewhere_widens_edges():
    _, s, fit, network, w = problem(n_cells=300, known=False)
    p, sd = fit.activity @ w.T, []
    for softer in (1, 4):
        tau = 0.2 * softer * mean_of(fit)
        x = s[:, None] * tau * np.logaddexp(0, p / tau)
        sd.append(curvature_spread(x, fit, network, size_factors=s).weight_sd)
    assert np.median(sd[1] / sd[0]) > 1.2


@pytest.mark.parametrize("dispersion", [None, 0.3])
def test_blocks_order_and_scale_do_not_matter(monkeypatch, dispersion):
    x, s, fit, network, _ = problem(dispersion=dispersion)

    def both(x, s, fit, network):
        spread = curvature_spread(x, fit, network, size_factors=s)
        return spread.weight_sd, activity_sd(x, fit, network, spread, size_factors=s)

    se, sd = both(x, s, fit, network)
    monkeypatch.setattr(laplace, "_ENTRIES", 7 * 6**2)
    for found, wanted in zip(both(x, s, fit, network), (se, sd), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    cells, genes = np.arange(len(x))[::-1], np.arange(network.n_genes)[::-1]
    turned = Network.from_edges(
        genes[network.gene], network.regulator, network.sign, network.n_genes, network.n_regulators
    )
    order = np.lexsort((network.regulator, genes[network.gene]))
    parts = {name: getattr(fit, name)[genes] for name in ("bias", "effects")}
    parts |= {name: getattr(fit, name)[cells] for name in ("activity", "covariates")}
    likelihood = fit.likelihood.genes(torch.as_tensor(genes.copy()))
    other = replace(fit, weight=fit.weight[order], likelihood=likelihood, **parts)
    found = both(x[np.ix_(cells, genes)], s[cells], other, turned)
    np.testing.assert_allclose(found[0], se[order], rtol=1e-6)
    np.testing.assert_allclose(found[1], sd[cells], rtol=1e-6)
    scaled = replace(fit, weight=2 * fit.weight, activity=fit.activity / 2, ridge=4 * fit.ridge)
    found = both(x, s, scaled, network)
    np.testing.assert_allclose(found[0], 2 * se, rtol=1e-6)
    np.testing.assert_allclose(found[1], sd / 2, rtol=1e-6)


def test_what_nothing_is_known_of_has_the_spread_of_the_others():
    x, s, fit, network, _ = problem(known=False)
    x[:, 0], x[3], mean = 0, 0, mean_of(fit).copy()
    mean[0] = 0
    weight, activity = fit.weight.copy(), fit.activity.copy()
    weight[network.gene == 0], activity[3] = 0, 0
    gone = network.regulator == 2  # a regulator that the penalty has shrunk away
    weight[gone], activity[:, 2] = 0, 0
    likelihood = replace(fit.likelihood, mean=torch.as_tensor(mean)[:, None])
    fit = replace(fit, weight=weight, activity=activity, likelihood=likelihood)
    spread = curvature_spread(x, fit, network, size_factors=s)
    sd = activity_sd(x, fit, network, spread, size_factors=s)
    for j in (0, 1, 3):
        size = np.sqrt(np.square(weight[network.regulator == j]).mean())
        own = (network.regulator == j) & (network.gene == 0)
        np.testing.assert_allclose(spread.weight_sd[own], size, rtol=1e-3)
    assert np.isfinite(sd).all()
    assert np.isfinite(spread.weight_sd).all()
    assert spread.weight_sd[gone].max() < 1e-6
    assert sd[:, 2].max() < 1e-6


def test_no_cells():
    x, s, fit, network, _ = problem()
    spread = curvature_spread(x, fit, network, size_factors=s)
    none = replace(fit, activity=fit.activity[:0], covariates=fit.covariates[:0])
    assert activity_sd(x[:0], none, network, spread, size_factors=s[:0]).shape == (0, 4)
