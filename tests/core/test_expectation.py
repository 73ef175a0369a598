"""Cells given decoder and noise: truncated normals of scipy, dense posteriors, and a general optimiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import check_grad, minimize
from scipy.special import log_ndtr

from grnrep.core.als.expectation import Cells
from grnrep.core.likelihoods.gaussian import Gaussian, Tobit
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from tests.twins import dense

N_KNOWN = 2
OF_NAME = {"tobit": Tobit(), "gaussian": Gaussian()}


class Problem:
    """A decoder with intercepts, a covariate and noise of every gene; cells that it made; arrays are dense."""

    def __init__(self, seed=0, *, n_genes=40, m=5, n_cells=12, tobit=True):
        rng = np.random.default_rng(seed)
        columns = m + N_KNOWN
        mask = rng.random((n_genes, columns)) < 0.5
        mask[:, m:] = True
        gene, column = np.nonzero(mask)
        self.network = Network.from_edges(gene, column, np.zeros(len(gene)), n_genes, columns)
        self.weight = rng.normal(size=len(gene))
        self.w = dense(self.weight, self.network)
        self.noise = np.exp(rng.normal(size=n_genes))
        half = rng.normal(size=(columns, columns))
        self.prior = (half @ half.T / columns + 0.3 * np.eye(columns))[:m]  # (m, m + q)
        self.known = np.stack([np.ones(n_cells), rng.normal(size=n_cells)])
        z = np.concatenate([rng.normal(size=(m, n_cells)), self.known])
        x = self.w @ z + np.sqrt(self.noise)[:, None] * rng.normal(size=(n_genes, n_cells))
        self.x = np.maximum(x, 0) if tobit else x
        self.m, self.tobit = m, tobit

    def cells(self, dtype=torch.float64):
        parts = (torch.as_tensor(a) for a in (self.weight, self.noise, self.prior))
        return Cells.of(Pattern(self.network), *parts, torch.zeros(0, dtype=dtype))

    def block(self, dtype=torch.float64, which=slice(None)):
        x = torch.as_tensor(self.x[:, which].copy(), dtype=dtype)
        return OF_NAME["tobit" if self.tobit else "gaussian"].block(x)

    def project(self, dtype=torch.float64, which=slice(None), **options):
        known = torch.as_tensor(self.known[:, which])
        out = self.cells(dtype).project(self.block(dtype, which), known, **options)
        assert out.dtype == dtype
        np.testing.assert_allclose(out[self.m :], self.known[:, which], rtol=1e-6)
        return out[: self.m].double().numpy()

    def minus_log(self, z, k):
        """-log p(x_k | z) p(z) up to a constant, and its slope, by scipy and the normal distribution alone."""
        p = self.w @ np.concatenate([z, self.known[:, k]])
        sd = np.sqrt(self.noise)
        white = (self.x[:, k] - p) / sd
        censored = self.tobit & (self.x[:, k] == 0)
        log_p = np.where(censored, log_ndtr(-p / sd), stats.norm.logpdf(white))
        h = np.exp(stats.norm.logpdf(p / sd) - log_ndtr(-p / sd))
        by_p = np.where(censored, -h, white) / sd
        free, known = self.prior[:, : self.m], self.prior[:, self.m :] @ self.known[:, k]
        cost = -log_p.sum() + 0.5 * z @ free @ z + z @ known
        return cost, -self.w[:, : self.m].T @ by_p + free @ z + known


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-8), (torch.float32, 2e-5)])
def test_expected_values_are_those_of_truncated_normals(dtype, tol):
    """Of p / σ from -8 to 35: scipy's own truncated normal loses its digits beyond."""
    sd, ratio = np.array([[0.01], [0.7], [20.0]]), np.linspace(-8, 35, 100)
    p = sd * ratio
    problem = Problem(n_genes=3)
    problem.noise = sd[:, 0] ** 2
    x = np.where(np.arange(100) % 2, 0.0, sd)  # every other value is seen
    r, loss, hidden = problem.cells(dtype).expected(
        Tobit().block(torch.as_tensor(x, dtype=dtype)), torch.as_tensor(x - p, dtype=dtype)
    )
    zero = x == 0
    truth = stats.truncnorm(-np.inf, -ratio)
    wanted = np.where(zero, sd * truth.mean(), x - p)
    np.testing.assert_allclose(r.numpy() / sd, wanted / sd, rtol=tol, atol=tol)
    log_p = np.where(zero, stats.norm.logsf(ratio), -0.5 * ((x - p) / sd) ** 2)
    np.testing.assert_allclose(loss, -2 * log_p.sum(1), rtol=tol)
    variance = np.where(zero, sd**2 * truth.var(), 0)
    np.testing.assert_allclose(hidden, variance.sum(1), rtol=1e-6 if tol < 1e-6 else 1e-3)


@pytest.mark.parametrize("ratio", [50.0, 300.0, 3000.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_far_above_zero_what_is_expected_is_just_below(ratio, dtype):
    """h = u + 1/u - 2/u³ + ..., and the variance 1/u² - 6/u⁴ + ...; noise is as little as 0.003 spreads."""
    problem = Problem(n_genes=3)
    problem.noise = np.ones(3)
    r, loss, hidden = problem.cells(dtype).expected(
        Tobit().block(torch.zeros(3, 1, dtype=dtype)), torch.full((3, 1), -ratio, dtype=dtype)
    )
    h = ratio + 1 / ratio - 2 / ratio**3
    np.testing.assert_allclose(r, np.full((3, 1), -h), rtol=1e-6)
    np.testing.assert_allclose(loss, ratio**2 + np.log(2 * np.pi) + 2 * np.log(h), rtol=1e-6)
    # the variance is a difference of squares of u
    wanted, rounding = 1 / ratio**2 - 6 / ratio**4, 2 * ratio**2 * torch.finfo(dtype).eps
    np.testing.assert_allclose(hidden, np.full(3, wanted), rtol=1e-5, atol=rounding)


def test_without_zeros_residuals_stay_as_they_are():
    problem = Problem(tobit=False)
    r = torch.as_tensor(problem.x)
    after, loss, hidden = problem.cells().expected(problem.block(), r)
    assert after is r
    np.testing.assert_allclose(loss, (problem.x**2 / problem.noise[:, None]).sum(1))
    assert not hidden.any()


@pytest.mark.parametrize("seed", range(3))
def test_gaussian_projection_is_the_posterior_mean_of_a_dense_regression(seed):
    problem = Problem(seed, tobit=False)
    m, w, noise = problem.m, problem.w, problem.noise
    precision = w.T / noise @ w
    precision[:m] += problem.prior
    rest = problem.x - w[:, m:] @ problem.known
    side = (w[:, :m].T / noise) @ rest - problem.prior[:, m:] @ problem.known
    wanted = np.linalg.solve(precision[:m, :m], side)
    np.testing.assert_allclose(problem.project(), wanted, rtol=1e-9, atol=1e-11)
    cells = problem.cells()
    np.testing.assert_allclose(cells.sigma, np.linalg.inv(precision[:m, :m]), rtol=1e-9)
    assert float(cells.log_det) == pytest.approx(np.linalg.slogdet(precision[:m, :m])[1])


def test_the_oracle_has_the_slope_that_it_says():
    problem = Problem()
    for k in range(3):
        error = check_grad(
            lambda z, k: problem.minus_log(z, k)[0], lambda z, k: problem.minus_log(z, k)[1],
            np.linspace(-1, 1, 5), k,
        )  # fmt: skip
        assert error < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_tobit_projection_is_the_mode_that_lbfgs_finds(seed):
    problem = Problem(seed)
    assert 0.2 < (problem.x == 0).mean() < 0.8
    z = problem.project(max_iter=20_000, tol=1e-11)
    for k, own in enumerate(z.T):
        np.testing.assert_allclose(problem.minus_log(own, k)[1], 0, atol=1e-7)
        best = minimize(
            problem.minus_log, np.zeros(5), (k,), jac=True, method="L-BFGS-B",
            options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-9},
        )  # fmt: skip
        np.testing.assert_allclose(own, best.x, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_usual_tolerance_is_near_the_mode(seed):
    """To a third of the standard deviation that an activity has, and mostly far nearer."""
    problem = Problem(seed, n_cells=100)
    exact = problem.project(max_iter=20_000, tol=1e-11)
    sd = problem.cells().sigma.diagonal().sqrt().numpy()[:, None]
    error = np.abs(problem.project() - exact) / sd
    assert error.max() < 0.35
    assert np.sqrt(np.square(error).mean()) < 0.05


def test_cells_without_anything_above_zero_have_a_mode():
    problem = Problem()
    problem.x[:, :3] = 0
    z = problem.project(max_iter=50_000, tol=1e-11)
    for k in range(3):
        np.testing.assert_allclose(problem.minus_log(z[:, k], k)[1], 0, atol=1e-6)


@pytest.mark.parametrize("tobit", [True, False])
def test_a_cell_does_not_depend_on_those_beside_it(tobit):
    problem = Problem(1, n_cells=20, tobit=tobit)
    together = problem.project()
    alone = [problem.project(which=[k]) for k in range(20)]
    np.testing.assert_allclose(together, np.hstack(alone), rtol=1e-9, atol=1e-11)
    order = np.random.default_rng(0).permutation(20)
    np.testing.assert_allclose(problem.project(which=order), together[:, order], rtol=1e-9)


@pytest.mark.parametrize("tobit", [True, False])
def test_single_precision_is_close_to_double(tobit):
    problem = Problem(2, n_cells=40, tobit=tobit)
    options = {"max_iter": 20_000, "tol": 1e-6}
    single, double = (problem.project(t, **options) for t in (torch.float32, torch.float64))
    np.testing.assert_allclose(single, double, atol=2e-4)


def test_a_limit_of_steps_is_kept():
    problem = Problem()
    one, many = problem.project(max_iter=1), problem.project(max_iter=1000)
    assert one.shape == many.shape
    assert np.abs(one - many).max() > 1e-3


@pytest.mark.parametrize("tobit", [True, False])
def test_steps_are_those_of_expectation_and_maximisation(tobit):
    """A step minimises the expected squares and the prior; residuals and sums are those said."""
    problem = Problem(3, tobit=tobit)
    m, w, sd = problem.m, problem.w, np.sqrt(problem.noise)[:, None]
    z = np.concatenate([np.random.default_rng(1).normal(size=(m, 12)), problem.known])
    after, r, loss, _, penalty = problem.cells().step(problem.block(), torch.as_tensor(z))
    p = w @ z
    hidden = p + sd * stats.truncnorm(-np.inf, -p / sd).mean()
    target = np.where(tobit & (problem.x == 0), hidden, problem.x)
    precision = w[:, :m].T / problem.noise @ w[:, :m] + problem.prior[:, :m]
    known = w[:, m:] @ problem.known
    side = w[:, :m].T / problem.noise @ (target - known) - problem.prior[:, m:] @ problem.known
    np.testing.assert_allclose(after[:m], np.linalg.solve(precision, side), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(r, target - w @ after.numpy(), rtol=1e-7, atol=1e-7)
    assert float(penalty) == pytest.approx((z[:m] * (problem.prior @ z)).sum())
    assert (loss.shape, loss.dtype) == ((40,), torch.float64)


def test_work_of_a_pass_is_what_is_expected():
    problem = Problem(4)
    z = torch.as_tensor(np.concatenate([np.zeros((problem.m, 12)), problem.known]))
    cells, block = problem.cells(), problem.block()
    r, curvature, loss = cells.work(block, z)
    expected = cells.expected(block, block.x - torch.as_tensor(problem.w) @ z)
    torch.testing.assert_close(r, expected[0])
    torch.testing.assert_close(loss, expected[1])
    assert curvature is None


@pytest.mark.parametrize("inflation", [1.0, 3.0])
def test_where_genes_share_noise_the_likelihood_counts_for_the_inverse_of_inflation(inflation):
    """The mode of log p(x | z) / inflation + log p(z), by a general optimiser; ψ is inflated."""
    problem = Problem(6, n_cells=6)
    scatter, m = problem.noise.copy(), problem.m
    weight, prior = torch.as_tensor(problem.weight), torch.as_tensor(problem.prior)
    cells = Cells.of(
        Pattern(problem.network), weight, torch.as_tensor(inflation * scatter), prior,
        torch.zeros(0, dtype=torch.float64), inflation=inflation,
    )  # fmt: skip
    block, known = problem.block(), torch.as_tensor(problem.known)
    found = cells.project(block, known, tol=1e-9)[:m].numpy()
    # minus_log with a prior that counts more is the same mode
    problem.prior = inflation * problem.prior
    for k in range(6):
        best = minimize(problem.minus_log, np.zeros(m), args=(k,), jac=True, tol=1e-12)
        np.testing.assert_allclose(found[:, k], best.x, atol=1e-5)
    z = torch.as_tensor(np.concatenate([found, problem.known]))
    _, loss, hidden = cells.expected(block, cells.without(block.x, z))
    _, of_scatter, hidden_of_scatter = problem.cells().expected(block, cells.without(block.x, z))
    torch.testing.assert_close(inflation * loss, of_scatter)
    torch.testing.assert_close(hidden, hidden_of_scatter)
