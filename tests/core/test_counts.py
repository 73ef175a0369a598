"""Count likelihoods against scipy: densities, finite differences, minimisers; and what must not matter."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats
from twins import correlation, dense

from grnrep.core.als import data
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import Projection, project
from grnrep.core.choose.likelihood import choose_likelihood
from grnrep.core.likelihoods import restored
from grnrep.core.likelihoods.base import Block
from grnrep.core.likelihoods.counts import cell_size_factors, shrunk_dispersion
from grnrep.core.linalg import conjugate_gradients
from grnrep.core.network import Network
from grnrep.core.signs import orient


def fit_counts(counts, network, likelihood="poisson", **options):
    options = {"ridge": 1e-3, "max_iter": 200} | options
    return fit_decoder(counts, network, likelihood=likelihood, **options)


def problem(
    seed=0,
    *,
    n_cells=60,
    n_genes=120,
    m=8,
    depth=3.0,
    dispersion=None,
    signed=True,
    offset=None,
    sd=0.3,
):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.25
    mask[np.arange(n_genes), rng.integers(m, size=n_genes)] = True
    w = mask * rng.uniform(-0.5, 1, mask.shape)
    z = rng.gamma(1.0, size=(n_cells, m))
    p = z @ w.T if offset is None else z @ w.T - offset
    mean = depth * rng.lognormal(sigma=sd, size=(n_cells, 1)) * np.maximum(p, 0)
    if dispersion is not None:
        mean = mean * rng.gamma(1 / dispersion, dispersion, size=mean.shape)
    gene, regulator = np.nonzero(mask)
    sign = np.sign(w[gene, regulator]) if signed else np.zeros(len(gene))
    return (
        rng.poisson(mean).astype(np.float64),
        Network.from_edges(gene, regulator, sign, n_genes, m),
        z,
        w,
    )


def deviance(c, mu, phi):
    """Twice the log-likelihood ratio; factors of the count alone cancel."""
    mu = np.maximum(mu, 1e-300)
    if phi is None:
        return 2 * (special.xlogy(c, c) - c - special.xlogy(c, mu) + mu)

    def log_density(mean):
        return special.xlogy(c, phi * mean) - (c + 1 / phi) * np.log1p(phi * mean)

    return 2 * (log_density(c) - log_density(mu))


def of_gene(fit, name):
    return fit.likelihood.arrays().get(name)


def rate(p, tau):
    return tau * np.logaddexp(0, p / tau)


def penalised(c, s, p, fit, z, w=None, lam_w=0.0):
    total = (
        deviance(
            c, s[:, None] * rate(p, of_gene(fit, "softness")), of_gene(fit, "dispersion")
        ).sum()
        + (fit.ridge * z**2).sum()
    )
    return total if w is None else total + lam_w * (w**2).sum()


def tensors(c, s, mean, phi):
    parameters = {"mean": mean, "softness": 0.2 * mean}
    parameters |= {} if phi is None else {"dispersion": phi}
    model = restored("poisson" if phi is None else "nb", parameters)
    return model, model.block(torch.tensor(c.T.copy()), torch.tensor(s))


def test_softness_is_in_proportion_to_all_counts_and_follows_the_root_of_a_genes_mean():
    c, network, *_ = problem(n_cells=40)
    c[:, 3] = 0
    fit = fit_counts(c, network, max_iter=1, size_factors=np.ones(40))
    mean = c.mean(0)
    some, softness = mean > 0, of_gene(fit, "softness")
    np.testing.assert_allclose(softness[some], 0.2 * np.sqrt(mean * mean.mean())[some], rtol=1e-6)
    assert 0 < softness[3] < softness[some].min()


@pytest.mark.parametrize("phi", [None, 0.3])
def test_deviance_is_twice_the_log_likelihood_ratio(phi):
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.5, 4, 6)
    c, s, p = (
        rng.poisson(3, (9, 6)).astype(float),
        rng.uniform(0.5, 2, 9),
        rng.uniform(-1, 8, (9, 6)),
    )
    phi = None if phi is None else np.full(6, phi)
    model, block = tensors(c, s, mean, phi)
    mu, perfect = s[:, None] * rate(p, 0.2 * mean), np.where(c > 0, c, 1e-12)
    if phi is None:
        log_ratio = stats.poisson.logpmf(c, perfect) - stats.poisson.logpmf(c, mu)
    else:
        log_ratio = np.subtract(
            *(stats.nbinom.logpmf(c, 1 / phi, 1 / (1 + phi * k)) for k in (perfect, mu))
        )
    expected = 2 * log_ratio
    np.testing.assert_allclose(deviance(c, mu, phi), expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        model.loss(block, torch.tensor(p.T)).T, expected, rtol=1e-6, atol=1e-8
    )


def test_deviance_stays_finite_and_linear_far_below_zero():
    model, block = tensors(np.array([[3.0], [0.0]]), np.ones(2), np.ones(1), None)
    far = model.loss(block, torch.tensor([[-400.0, -400.0]]))[0]
    farther = model.loss(block, torch.tensor([[-401.0, -401.0]]))[0]
    np.testing.assert_allclose(farther - far, [2 * 3.0 / 0.2, 0], rtol=1e-9)


@pytest.mark.parametrize("phi", [None, 0.3])
def test_slope_and_weight_agree_with_finite_differences(phi):
    p = torch.linspace(-2, 5.5, 41, dtype=torch.float64)[None]
    step = 1e-4
    for count in (0.0, 1.0, 7.0):
        c = np.full((41, 1), count)
        phis = None if phi is None else np.full(1, phi)
        model, block = tensors(c, np.full(41, 1.3), np.full(1, 1.5), phis)
        slope, weight = model.work(block, p)
        up, here, down = (model.loss(block, p + d) for d in (step, 0.0, -step))
        np.testing.assert_allclose(slope, -(up - down) / (4 * step), rtol=1e-5, atol=1e-7)
        assert (weight > 0).all()
        if phi is None:
            curvature = (up - 2 * here + down) / (2 * step**2)
            flat = (
                1e-3
                * count
                * (torch.sigmoid(p / 0.3) / torch.nn.functional.softplus(p / 0.3) / 0.3) ** 2
            )
            np.testing.assert_allclose(weight - flat, curvature, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("likelihood", ["poisson", "nb"])
@pytest.mark.parametrize("intercept", [False, True])
def test_projection_minimises_the_penalised_likelihood_of_every_cell(likelihood, intercept):
    c, network, *_ = problem(1, n_cells=40, dispersion=0.3 if likelihood == "nb" else None)
    fit = fit_counts(
        c, network, likelihood=likelihood, intercept=intercept, ridge=0.01, max_iter=10
    )
    new = problem(2, n_cells=5)[0]
    s, _ = cell_size_factors(new, fit.depth)
    z = project(new, fit, network, tol=1e-9, max_iter=500)
    w, b = dense(fit.weight, network), 0.0 if fit.bias is None else fit.bias
    for k in range(len(new)):

        def objective(zk, k=k):
            return penalised(new[k : k + 1], s[k : k + 1], (w @ zk + b)[None], fit, zk)

        best = optimize.minimize(objective, z[k], method="BFGS")
        assert objective(z[k]) <= best.fun * (1 + 1e-7)
        if likelihood == "poisson":  # convex: from anywhere
            best = optimize.minimize(
                objective, np.zeros(len(z[k])), method="BFGS", options={"gtol": 1e-7}
            )
            np.testing.assert_allclose(z[k], best.x, rtol=1e-3, atol=1e-4 * np.abs(z[k]).max())


@pytest.mark.parametrize("likelihood", ["poisson", "nb"])
def test_fit_is_a_minimum_of_the_penalised_likelihood(likelihood):
    c, network, *_ = problem(3, n_cells=25, n_genes=40, m=4, dispersion=0.3)
    fit = fit_counts(c, network, likelihood=likelihood, ridge=0.1, tol=1e-13, max_iter=3000)
    s, _ = cell_size_factors(c)
    x, mean = c / s[:, None], c.sum(0) / s.sum()
    weighted = (s[:, None] * x**2 / np.where(mean > 0, mean, 1)).sum()
    lam = 0.1 * np.sqrt(weighted / 4)
    unit = weighted / (x**2).sum()  # squared
    np.testing.assert_allclose(fit.ridge, lam * unit, rtol=1e-6)

    def objective(theta):
        w, z = theta[: network.n_edges], theta[network.n_edges :].reshape(25, 4)
        return penalised(c, s, z @ dense(w, network).T, fit, z, w, lam)

    here = np.concatenate([fit.weight, project(c, fit, network, tol=1e-10, max_iter=500).ravel()])
    best = optimize.minimize(objective, here, method="L-BFGS-B", options={"maxfun": 40_000})
    assert fit.history[-1] == pytest.approx(objective(here), rel=1e-6)
    assert best.fun >= objective(here) * (1 - 1e-5)


def test_no_step_is_made_where_nothing_resists_it():
    """Counts of a gene that are all zero can bend its likelihood by less than rounding."""
    slope, bend = torch.tensor([1.0, 1e12, 0.0, 1.0]), torch.tensor([2.0, 0.0, 0.0, 1e-44])
    steps = conjugate_gradients(slope[None], lambda q: bend * q, lambda v: v)
    np.testing.assert_allclose(next(islice(steps, 2, None))[0][0], [0.5, 0, 0, 0])


def test_objective_never_rises():
    c, network, *_ = problem(4, signed=False, dispersion=0.5)
    for likelihood in ("poisson", "nb"):
        history = fit_counts(c, network, likelihood=likelihood, tol=0, max_iter=40).history
        assert len(history) > 5
        assert np.all(np.diff(history) <= 0)


def test_recovers_activities_better_than_logarithms_do():
    c, network, z, w = problem(5, n_cells=300, depth=2.0, signed=False, sd=0)
    fit, *_ = orient(fit_counts(c.astype(np.float32), network, size_factors=np.ones(300)), network)
    true_weights = np.log1p(c) @ np.linalg.pinv(w).T
    assert correlation(fit.activity, z).mean() > max(
        0.95, correlation(true_weights, z).mean() + 0.02
    )


def test_intercepts_of_thresholded_genes():
    offset = np.random.default_rng(0).uniform(0, 1.5, 120)
    c, network, z, _ = problem(6, n_cells=300, depth=6.0, offset=offset)
    with_intercept = orient(fit_counts(c, network, intercept=True), network)[0]
    without = orient(fit_counts(c, network), network)[0]
    assert with_intercept.bias.shape == (120,)
    recovery = [correlation(fit.activity, z).mean() for fit in (with_intercept, without)]
    assert recovery[0] > max(0.75, recovery[1])
    assert with_intercept.history[-1] < without.history[-1]


def test_training_cells_project_to_their_activities():
    c, network, *_ = problem(7, dispersion=0.4)
    for likelihood in ("poisson", "nb"):
        fit = fit_counts(c, network, likelihood=likelihood, max_iter=5)
        np.testing.assert_array_equal(project(c, fit, network), fit.activity)


def newton(c, fit, network):
    """What finds representations, and a block with known columns, in the precision of the counts."""
    like = torch.from_numpy(c)[:0]
    found = Projection.of(fit, network, dtype=like.dtype)
    size = torch.as_tensor(cell_size_factors(c, fit.depth)[0])
    block = found.likelihood.block(torch.from_numpy(np.ascontiguousarray(c.T)), size)
    known = like.new_ones(int(fit.bias is not None), len(c))
    return found.cells, block, torch.cat([like.new_zeros(network.n_regulators, len(c)), known])


@pytest.mark.parametrize("likelihood", ["poisson", "nb"])
@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 2e-4), (np.float64, 2e-5)])
def test_compiled_steps_are_those_by_torch(likelihood, dtype, atol):
    """Which takes the link for an exponential far below zero, and curvatures there, right to 5e-5."""
    c, network, *_ = problem(20, n_cells=37, dispersion=0.5)
    c[:, 5], c[3] = 0, 0
    fit = fit_counts(c, network, likelihood=likelihood, intercept=True, max_iter=3)
    cells, block, z = newton(c.astype(dtype), fit, network)
    by_torch = replace(cells, edges=None)
    scale = np.abs(fit.activity).max()
    for _ in range(4):
        better = cells.step(block, z)
        np.testing.assert_allclose(better, by_torch.step(block, z), rtol=0, atol=atol * scale)
        assert not torch.equal(better, z)
        z = better
    known = z[network.n_regulators :]
    ends = [some.project(block, known) for some in (cells, by_torch)]
    np.testing.assert_allclose(*ends, rtol=0, atol=1e-3 * scale)
    torch.testing.assert_close(ends[0][network.n_regulators :], known, rtol=0, atol=0)


def test_company_and_lane_do_not_matter_to_the_last_bit():
    c, network, *_ = problem(21, n_cells=50, dispersion=0.5)
    fit = fit_counts(c, network, likelihood="nb", max_iter=5)
    for x in (c, c.astype(np.float32)):
        order = np.random.default_rng(0).permutation(50)[:33]
        np.testing.assert_array_equal(
            project(x[order], fit, network), project(x, fit, network)[order]
        )


@pytest.mark.parametrize("likelihood", ["poisson", "nb"])
def test_activities_are_within_a_ten_thousandth_of_their_spread(likelihood):
    """At the tolerance that all have who name none; where counts leave two minima, of the same one."""
    c, network, *_ = problem(22, n_cells=400, n_genes=200, m=20, dispersion=0.5)
    fit = fit_counts(c, network, likelihood=likelihood, max_iter=10)
    exact = project(c, fit, network, tol=1e-12)
    off = np.abs(project(c, fit, network) - exact).max(1) / exact.std(0).min()
    assert np.quantile(off, 0.99) < 1e-4
    assert off.max() < 1e-3


@pytest.mark.parametrize("likelihood", ["poisson", "nb"])
def test_the_bend_of_the_deviance_agrees_with_finite_differences(likelihood):
    c, network, *_ = problem(23, n_cells=30, dispersion=0.5)
    fit = fit_counts(c, network, likelihood=likelihood, max_iter=3)
    cells, block, _ = newton(c, fit, network)
    # short of where the link by torch becomes an exponential
    p = cells.likelihood.softness * torch.as_tensor(
        np.random.default_rng(0).uniform(-14, 14, c.T.shape)
    )
    step = 1e-4 * cells.likelihood.softness
    up, down = (cells.likelihood.work(block, p + h)[0] for h in (step, -step))
    slope, _, mu = cells.likelihood.link(block, p)
    phi = 0 if cells.likelihood.excess is None else cells.likelihood.excess
    kept = 1e-3 * block.x * slope.square() / (1 + phi * mu)
    bend = cells.likelihood.bend(block, p)
    torch.testing.assert_close(bend - kept, (down - up) / (2 * step), rtol=1e-5, atol=1e-6)
    assert bool((bend < 0).any()) == (likelihood == "nb")


@pytest.mark.parametrize("seed", range(3))
def test_cells_are_done_where_steps_are_rounding(seed):
    """In single precision after hardly more steps than in double, at the same activities."""
    c, network, *_ = problem(seed, n_cells=300, n_genes=100, m=5, depth=30.0)
    fit = fit_counts(c, network, max_iter=5)
    ends, steps = [], []
    for x in (c, c.astype(np.float32)):
        cells, block, z = newton(x, fit, network)
        tol = 1e-15 if x.dtype == np.float64 else 8 * float(np.finfo(np.float32).eps)
        end, n_steps = cells.in_lanes(block, z, 100, tol)
        ends.append(end.numpy())
        steps.append(n_steps)
    assert steps[1].max() <= steps[0].max()
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-4 * np.abs(ends[0]).max())


def test_order_of_cells_genes_and_regulators_does_not_matter():
    c, network, *_ = problem(8)
    rng = np.random.default_rng(0)
    cell, gene, reg = (rng.permutation(k) for k in (*c.shape, network.n_regulators))
    at_gene, at_reg = np.argsort(gene), np.argsort(reg)
    other = Network.from_edges(
        at_gene[network.gene],
        at_reg[network.regulator],
        network.sign,
        network.n_genes,
        network.n_regulators,
    )
    options = {"likelihood": "nb", "ridge": 0.01, "tol": 1e-9, "max_iter": 500}
    a = orient(fit_counts(c, network, **options), network)[0]
    b = orient(fit_counts(c[cell][:, gene], other, **options), other)[0]
    np.testing.assert_allclose(of_gene(b, "dispersion"), of_gene(a, "dispersion")[gene], rtol=1e-3)
    scale = np.abs(a.activity).max()
    np.testing.assert_allclose(b.activity, a.activity[cell][:, reg], atol=1e-3 * scale)


def test_blocks_do_not_matter(monkeypatch):
    c, network, *_ = problem(9)
    whole = fit_counts(c, network, ridge=0.01, max_iter=10, tol=0)
    z = project(c, whole, network, tol=1e-8)
    monkeypatch.setattr(data, "_BLOCK_ENTRIES", 7 * network.n_genes)
    np.testing.assert_allclose(
        project(c, whole, network, tol=1e-8), z, rtol=1e-6, atol=1e-9 * abs(z).max()
    )
    parts = fit_counts(c, network, ridge=0.01, max_iter=10, tol=0)
    np.testing.assert_allclose(parts.history, whole.history, rtol=1e-6)


def test_unit_of_size_factors_is_the_unit_of_activities():
    c, network, *_ = problem(10)
    s = np.random.default_rng(0).uniform(0.5, 2, len(c))
    a, b = (
        orient(fit_counts(c, network, size_factors=k * s, tol=1e-8, max_iter=300), network)[0]
        for k in (1, 100)
    )
    np.testing.assert_allclose(
        b.activity * 100, a.activity, rtol=1e-3, atol=1e-3 * np.abs(a.activity).max()
    )
    assert np.isnan(a.depth)
    with pytest.raises(ValueError, match="size_factors must be given"):
        project(c, a, network)


def test_prior_signs_hold_weights():
    c, network, *_ = problem(11)
    weak = fit_counts(c, network, prior=0.01, max_iter=20).weight
    strong = fit_counts(c, network, prior=100.0, max_iter=20).weight
    assert np.abs(strong - network.sign).max() < 0.1 < np.abs(weak - network.sign).max()


def test_empty_genes_cells_and_regulators_are_harmless():
    c, network, *_ = problem(12)
    c[:, 3], c[5] = 0, 0
    # the last has no target
    lone = Network.from_edges(network.gene, network.regulator, network.sign, 120, 9)
    for likelihood in ("poisson", "nb"):
        fit = fit_counts(c, lone, likelihood=likelihood, max_iter=5)
        assert np.isfinite(fit.activity).all()
        assert np.isfinite(fit.weight).all()
        assert not fit.activity[:, 8].any()
        assert project(c[:0], fit, lone).shape == (0, 9)


def test_dispersion_is_found_and_shrunk():
    rng = np.random.default_rng(0)
    mu = rng.uniform(1, 6, (200, 400))

    def estimate(phi, n):
        c = rng.poisson(mu[:, :n] * (rng.gamma(1 / phi, phi, (200, n)) if phi else 1)).astype(float)
        block = Block(
            torch.tensor(c), size=torch.ones(n, dtype=torch.float64), log_x=torch.tensor(c)
        )
        return shrunk_dispersion([block], [torch.tensor(mu[:, :n])], n_parameters=0).numpy()

    assert np.median(estimate(0.5, 400)) == pytest.approx(0.5, rel=0.1)
    assert estimate(0, 400).max() < 0.02
    few = estimate(0.5, 20)  # moments alone scatter by about 0.25 here
    assert few.std() < 0.12


def test_choice_of_likelihood():
    c, network, *_ = problem(13, n_cells=200)
    over = problem(13, n_cells=200, dispersion=1.0)[0]
    assert choose_likelihood(c, network)[0] == "poisson"
    assert choose_likelihood(over, network)[0] == "nb"
    equal = np.tile(np.arange(120.0), (30, 1))
    for x, why in (
        (c - 1, "negative"),
        (c + 0.5, "whole"),
        (c.clip(max=1), "0 or 1"),
        (equal, "the same"),
    ):
        likelihood, reason = choose_likelihood(x, network)
        assert likelihood == "gaussian"
        assert why in reason


def test_bad_input_is_refused():
    c, network, *_ = problem()
    with pytest.raises(ValueError, match=r"likelihood must be one of .*found 'gauss'"):
        fit_counts(c, network, likelihood="gauss")
    for bad in (np.zeros(len(c)), np.ones(3), np.full(len(c), np.nan)):
        with pytest.raises(ValueError, match="size_factors must be 60 finite numbers above 0"):
            fit_counts(c, network, size_factors=bad)
