"""Pooling of variances against root finding, and against variances whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from grnrep.core.als.variances import inverse_trigamma, pooled


def pool(values, n):
    return pooled(torch.as_tensor(np.asarray(values, dtype=np.float64)), n).numpy()


def draw(rng, k, *, d, scale, n):
    """Variances ~ scale d / χ²_d, and estimates of them from n values each."""
    true = scale * d / rng.chisquare(d, k)
    return true, true * rng.chisquare(n, k) / n


def by_moments(estimates, n):
    """Pooled variances of Smyth (2004), eq. 3 and section 6.2, by root finding."""
    e = np.log(estimates) - digamma(n / 2) + np.log(n / 2)
    spread = e.var(ddof=1) - polygamma(1, n / 2)
    d = 2 * brentq(lambda x: polygamma(1, x) - spread, 1e-9, 1e12, xtol=1e-14, rtol=1e-14)
    scale = np.exp(e.mean() + digamma(d / 2) - np.log(d / 2))
    return (n * estimates + d * scale) / (n + d), d, scale


def learned(estimates, n):
    """d and s² that ``pooled`` took: (n v + d s²) / (n + d) is a straight line in v."""
    slope, at_zero = np.polyfit(estimates, pool(estimates, n), 1)
    d = n * (1 - slope) / slope
    return d, at_zero * (n + d) / d


@pytest.mark.parametrize("y", np.geomspace(1e-9, 1e9, 19))
def test_inverse_of_trigamma_is_what_root_finding_gives(y):
    root = brentq(lambda x: polygamma(1, x) / y - 1, 1e-6, 1e12, xtol=1e-300, rtol=1e-13)
    assert inverse_trigamma(y) == pytest.approx(root, rel=1e-8)


@pytest.mark.parametrize(("d", "n"), [(1.5, 5), (4, 60), (30, 8), (200, 500)])
def test_agrees_with_moments_by_root_finding(d, n):
    _, estimates = draw(np.random.default_rng(0), 300, d=d, scale=3.0, n=n)
    wanted, d_wanted, scale = by_moments(estimates, n)
    np.testing.assert_allclose(pool(estimates, n), wanted, rtol=1e-8)
    np.testing.assert_allclose(learned(estimates, n), (d_wanted, scale), rtol=1e-5)


@pytest.mark.parametrize(("d", "n"), [(3.0, 10), (8.0, 40), (20.0, 100)])
def test_learns_the_prior_that_variances_were_drawn_from(d, n):
    """Within 4 standard deviations, from those of a mean and a variance of k logarithms.

    Mean of k logarithms: v / k, v = ψ'(n/2) + ψ'(d/2). Their variance: (κ + 2 v²) / k with κ the fourth cumulant,
    ψ'''(n/2) + ψ'''(d/2). It says ψ'(d/2), and so d with the derivative ψ''(d/2) / 2; log s² follows from the mean
    and from d: an error of d adds (ψ'(d/2) / 2 - 1/d) times itself.
    """
    k, scale = 20_000, 0.7
    _, estimates = draw(np.random.default_rng(1), k, d=d, scale=scale, n=n)
    v = polygamma(1, n / 2) + polygamma(1, d / 2)
    fourth = polygamma(3, n / 2) + polygamma(3, d / 2)
    d_error = np.sqrt((fourth + 2 * v**2) / k) / abs(polygamma(2, d / 2) / 2)
    log_error = np.sqrt(v / k) + abs(polygamma(1, d / 2) / 2 - 1 / d) * d_error
    d_learned, scale_learned = learned(estimates, n)
    assert abs(d_learned - d) < 4 * d_error < d / 3
    assert abs(np.log(scale_learned / scale)) < 4 * log_error < 0.3


def test_pooled_variances_are_nearer_to_the_truth():
    true, estimates = draw(np.random.default_rng(2), 2000, d=10, scale=1.0, n=6)
    before, after = (np.log(v / true).var() for v in (estimates, pool(estimates, 6)))
    # given the estimate 1 / σ² is gamma of shape (n + d) / 2: nobody can do better than trigamma of that
    assert polygamma(1, 8) * 0.9 < after < polygamma(1, 8) * 1.1
    assert before > 2 * after


def test_units_and_order_change_nothing():
    rng = np.random.default_rng(3)
    _, estimates = draw(rng, 50, d=5, scale=1.0, n=12)
    whole, order = pool(estimates, 12), rng.permutation(50)
    np.testing.assert_allclose(pool(estimates[order], 12), whole[order], rtol=1e-12)
    for c in (1e-9, 1e9):
        np.testing.assert_allclose(pool(c * estimates, 12), c * whole, rtol=1e-9)


def test_estimates_keep_their_order_and_come_nearer_to_each_other():
    _, estimates = draw(np.random.default_rng(4), 40, d=5, scale=1.0, n=12)
    whole = pool(estimates, 12)
    np.testing.assert_array_equal(np.argsort(whole), np.argsort(estimates))
    assert np.ptp(whole) < np.ptp(estimates)
    assert estimates.min() < whole.min()
    assert whole.max() < estimates.max()


def test_from_many_values_each_is_what_it_was():
    _, estimates = draw(np.random.default_rng(5), 50, d=5, scale=1.0, n=12)
    np.testing.assert_allclose(pool(estimates, 10**9), estimates, rtol=1e-7)


@pytest.mark.parametrize("n", [4, 1000])
def test_variances_that_spread_as_by_chance_are_one_value(n):
    """The geometric mean, without the bias -log(n/2) + digamma(n/2) of a logarithm."""
    unbiased = n / 2 / np.exp(digamma(n / 2))
    np.testing.assert_allclose(pool([2.0] * 5, n), 2.0 * unbiased, rtol=1e-12)
    # evenly spaced quantiles of χ²_n / n, drawn in a little: less spread than chance
    close = stats.chi2(n).ppf(np.linspace(0.1, 0.9, 9)) / n
    np.testing.assert_allclose(
        pool(close, n), np.full(9, stats.gmean(close) * unbiased), rtol=1e-12
    )


def test_zeros_are_drawn_to_the_others_and_say_nothing():
    _, estimates = draw(np.random.default_rng(6), 30, d=5, scale=1.0, n=12)
    with_zeros = pool(np.append(estimates, [0.0, 0.0]), 12)
    np.testing.assert_array_equal(with_zeros[:30], pool(estimates, 12))
    _, d, scale = by_moments(estimates, 12)
    np.testing.assert_allclose(with_zeros[30:], d * scale / (12 + d), rtol=1e-8)


def test_one_or_none_that_says_something_stays_as_it_is():
    for values in ([], [3.0], [0.0, 0.0], [0.0, 3.0, 0.0]):
        np.testing.assert_array_equal(pool(values, 10), values)


def test_two_values():
    np.testing.assert_allclose(pool([1.0, 9.0], 100), by_moments(np.array([1.0, 9.0]), 100)[0])


def test_precision_and_place_stay():
    assert pooled(torch.tensor([1.0, 9.0]), 100).dtype == torch.float32
