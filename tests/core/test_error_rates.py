"""Error rates of edges: shares of false ones, whatever true weights are like, and null distributions."""

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from grnrep.core.error_rates import error_rates, null_widths, probability_false, tail_factor
from grnrep.core.scores import EdgeScores

DRAWS = {
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "normal": lambda rng, n: rng.normal(size=n),
    "away from zero": lambda rng, n: rng.uniform(0.2, 1, n) * rng.choice([-1, 1], n),
}


@pytest.mark.parametrize("share", [0.0, 0.15, 0.3, 0.6])
@pytest.mark.parametrize("weights", DRAWS)
def test_share_of_false_edges_is_found(weights, share):
    rng = np.random.default_rng(1)
    n = 3000
    true = DRAWS[weights](rng, n)
    true = np.where(rng.random(n) < share, 0.0, true / true.std())
    std_err = rng.uniform(0.03, 0.15, n)
    p = probability_false(true + std_err * rng.normal(size=n), std_err)
    assert p.mean() == pytest.approx(share, abs=0.04)
    assert p[np.abs(true) > 0.9].max(initial=0) < 0.01
    doubtful = p > 0.5
    assert (p[doubtful].sum() if doubtful.any() else 0) == pytest.approx(
        (true[doubtful] == 0).sum(), rel=0.2, abs=3
    )
    if share == 0:
        assert not doubtful.any()


def test_edges_without_standard_error_are_as_likely_false_as_any_other():
    rng = np.random.default_rng(2)
    true = np.where(np.arange(2000) < 600, 0.0, 1.7 * rng.uniform(-1, 1, 2000))
    weight, std_err = true + 0.05 * rng.normal(size=2000), np.full(2000, 0.05)
    known = probability_false(weight, std_err)
    with_unknown = probability_false(
        np.append(weight, [0.0, 5.0]), np.append(std_err, [np.nan, np.nan])
    )
    np.testing.assert_array_equal(with_unknown[:-2], known)
    np.testing.assert_allclose(with_unknown[-2:], known.mean(), rtol=1e-4)
    assert probability_false(np.array([0.0, 1.0]), np.zeros(2)).tolist() == [0.0, 0.0]


def test_estimates_without_information_do_not_mislead():
    rng = np.random.default_rng(3)
    true = np.where(np.arange(3000) < 900, 0.0, rng.normal(size=3000))
    std_err = np.where(np.arange(3000) % 3 == 0, 1e4, 0.05)
    p = probability_false(true + std_err * rng.normal(size=3000), std_err)
    assert p[std_err > 1].mean() == pytest.approx(0.3, abs=0.04)
    assert p[std_err < 1].mean() == pytest.approx(0.3, abs=0.04)


def test_few_degrees_of_freedom_weaken_a_t_statistic():
    t = np.array([0.0, 1.0, 4.0, 300.0])
    heavier = tail_factor(t, np.array([5.0, 5.0, 5.0, 400.0]))
    assert (heavier >= 1).all()
    expected = t[1:3] / norm.isf(student.sf(t[1:3], 5))
    np.testing.assert_allclose(heavier[1:3], expected, rtol=1e-9)
    np.testing.assert_allclose(tail_factor(t[1:3], np.full(2, 1e7)), 1.0, rtol=1e-4)


def test_null_distribution_is_that_of_a_regulator():
    rng = np.random.default_rng(4)
    size = np.array([1.0, 1.0, 3.0, 1.0, 1.0])
    t = np.abs(size * rng.normal(size=(400, 5)))
    null = rng.random(t.shape) < 0.9
    t[~null] = 50  # edges
    width = null_widths(t, null)
    np.testing.assert_allclose(width, size, rtol=0.15)
    assert (width >= 1).all()
    null[:, 1] = False  # a regulator of all genes
    assert 1 <= null_widths(t, null)[1] < 3
    assert null_widths(t, np.zeros_like(null)).tolist() == [1.0] * 5


@pytest.mark.parametrize("wide", [False, True])
def test_additions_are_false_as_often_as_stated(wide):
    """Also where a regulator resembles something outside the network, and every gene asks for it a little."""
    rng, false, chosen, found, n_true = np.random.default_rng(5), 0, 0, 0, 0
    for _ in range(20):
        true = rng.random((300, 10)) < 0.05
        t = rng.normal(size=true.shape) + 5 * true * rng.choice([-1, 1], true.shape)
        t *= np.where(np.arange(10) < 2, 4.0, 1.0) if wide else 1.0
        none = np.zeros_like(true)
        scores = EdgeScores(t, np.ones(t.shape), np.full(300, 200.0))
        added = error_rates(scores, none, none).rate <= 0.05
        false, chosen = false + (added & ~true).sum(), chosen + added.sum()
        found, n_true = found + (added & true).sum(), n_true + true.sum()
    assert 0.01 < false / chosen < 0.06  # missing edges widen the null a little
    assert found / n_true > 0.85


@pytest.mark.parametrize("seed", range(3))
def test_edges_that_nothing_tells_apart_have_one_rate_in_any_order(seed):
    rng = np.random.default_rng(seed)
    shape, dof = (40, 5), np.full(40, 100.0)
    weight, std_err = rng.normal(size=shape), np.full(shape, 0.1)
    weight[rng.random(shape) < 0.3] = 0.05
    weight[:, 2], std_err[:, 2] = 0.0, np.nan  # a regulator that was turned off
    prior = rng.random(shape) < 0.7
    rates = error_rates(EdgeScores(weight, std_err, dof), prior, prior).rate
    assert len(set(rates[:, 2][prior[:, 2]])) == 1
    genes, regulators = rng.permutation(40), rng.permutation(5)
    moved = np.ix_(genes, regulators)
    again = error_rates(EdgeScores(weight[moved], std_err[moved], dof), prior[moved], prior[moved])
    np.testing.assert_allclose(again.rate, rates[moved], rtol=1e-9)
