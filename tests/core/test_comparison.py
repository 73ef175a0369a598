"""Tests of differences between two sides that may share units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grnrep.core.comparison import Moments, adjusted, compare, mixed, welch


def make(n_both, n_x, n_y, *, m=1, seed=0, level_sd=1.0, sd_x=1.0, effect=0.0):
    """Units with levels of their own, some on both sides; rows of y are in another order."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(n_both + n_x + n_y, m)) * level_sd
    of_x = np.arange(n_both + n_x)
    of_y = rng.permutation(np.r_[np.arange(n_both), np.arange(n_both + n_x, len(level))])
    x = level[of_x] + effect + rng.normal(size=(len(of_x), m)) * sd_x
    y = level[of_y] + rng.normal(size=(len(of_y), m))
    return x, y, pd.Index(of_y).get_indexer(of_x)


def test_reduces_to_welch():
    x, y, shared = make(0, 4, 7, m=3, sd_x=2.0)
    found, expected = compare(x, y, shared), stats.ttest_ind(x, y, equal_var=False)
    assert found.test == "welch"
    assert found.t() == pytest.approx(expected.statistic)
    assert found.dof == pytest.approx(expected.df)
    assert found.pvalue() == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("function", [compare, mixed])
def test_reduces_to_paired(function):
    x, y, shared = make(6, 0, 0, m=3)
    found, expected = function(x, y, shared), stats.ttest_rel(x, y[shared])
    assert found.t() == pytest.approx(expected.statistic)
    assert found.dof == pytest.approx(np.full(3, 5.0))
    assert found.pvalue() == pytest.approx(expected.pvalue)


def _design(n_x, n_y, shared):
    """Design of both means, and derivatives of the covariance in α and β."""
    n, unit = n_x + n_y, np.zeros((n_x + n_y, n_x + n_y))
    rows = np.flatnonzero(shared >= 0)
    unit[rows, n_x + shared[rows]] = unit[n_x + shared[rows], rows] = 1
    design = np.zeros((n, 2))
    design[:n_x, 0] = design[n_x:, 1] = 1
    return design, [(np.eye(n) - unit) / 2, (np.eye(n) + unit) / 2]


def test_mixed_is_kenward_roger_in_plain_matrices():
    """The general formulas with the whole covariance, at the maximum that a general optimiser finds."""
    from scipy.optimize import minimize

    x, y, shared = make(5, 3, 4, seed=2, effect=0.5)
    values, n = np.r_[x[:, 0], y[:, 0]], len(x) + len(y)
    design, derivatives = _design(len(x), len(y), shared)

    def parts(log):
        inverse = np.linalg.inv(sum(v * d for v, d in zip(np.exp(log), derivatives, strict=True)))
        phi = np.linalg.inv(design.T @ inverse @ design)
        return inverse, phi, inverse - inverse @ design @ phi @ design.T @ inverse

    def deviance(log):
        inverse, phi, p = parts(log)
        return -np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(phi)[1] + values @ p @ values

    best = minimize(deviance, [0, 0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    inverse, phi, p = parts(best.x)
    contrast = np.array([1.0, -1.0])
    mean = phi @ design.T @ inverse @ values
    information = [[np.trace(p @ a @ p @ b) / 2 for a in derivatives] for b in derivatives]
    uncertain = np.linalg.inv(information)
    first = [-design.T @ inverse @ a @ inverse @ design for a in derivatives]
    lost = sum(
        uncertain[i, j]
        * (
            design.T @ inverse @ a @ inverse @ b @ inverse @ design
            - first[i] @ phi @ first[j]
        )
        for i, a in enumerate(derivatives)
        for j, b in enumerate(derivatives)
    )  # fmt: skip
    square = contrast @ phi @ contrast
    slope = np.array([contrast @ phi @ f @ phi @ contrast for f in first])
    found = mixed(x, y, shared)
    assert n == 17
    assert found.difference[0] == pytest.approx(mean @ contrast, rel=1e-5)
    correction = 2 * contrast @ phi @ lost @ phi @ contrast
    assert correction > 0.005 * square
    assert found.std_err[0] ** 2 == pytest.approx(square + correction, rel=1e-5)
    assert found.dof[0] == pytest.approx(2 * square**2 / (slope @ uncertain @ slope), rel=1e-4)


def test_mixed_difference_is_that_of_a_random_intercept():
    smf = pytest.importorskip("statsmodels.formula.api")
    x, y, shared = make(6, 3, 4, seed=1, level_sd=2.0)
    of_y = np.full(len(y), -1)
    of_y[shared[shared >= 0]] = np.flatnonzero(shared >= 0)
    of_y[of_y < 0] = len(x) + np.arange((of_y < 0).sum())
    table = pd.DataFrame({"value": np.r_[x[:, 0], y[:, 0]]})
    table["side"], table["unit"] = np.repeat([1, 0], [len(x), len(y)]), np.r_[: len(x), of_y]
    expected = smf.mixedlm("value ~ side", table, groups=table["unit"]).fit(reml=True)
    assert mixed(x, y, shared).difference[0] == pytest.approx(expected.params["side"], abs=1e-4)


# limits of 4,000 tests, 4 standard errors, and what the docstring says of few shared units
@pytest.mark.parametrize(
    ("design", "options", "at_most"),
    [
        ((0, 5, 5), {}, 0.05),
        ((5, 0, 0), {"sd_x": 2.0}, 0.05),
        ((5, 1, 0), {"level_sd": 3.0}, 0.055),
        ((5, 5, 5), {"level_sd": 0.0}, 0.06),
        ((5, 5, 5), {"level_sd": 2.0, "sd_x": 2.0}, 0.06),
        ((12, 4, 0), {}, 0.055),
        ((3, 3, 3), {}, 0.07),
        ((3, 0, 5), {"sd_x": 2.0}, 0.095),
    ],
)
def test_calibrated_without_difference(design, options, at_most):
    p = compare(*make(*design, m=4000, seed=3, **options)).pvalue()
    share = (p < 0.05).mean()
    assert 0.05 - 4 * np.sqrt(0.05 * 0.95 / 4000) < share
    assert share < at_most + 4 * np.sqrt(at_most * (1 - at_most) / 4000)
    assert stats.kstest(p, "uniform").statistic < 0.04 + 2 * (at_most - 0.05)
    assert (adjusted(p) < 0.1).mean() < 0.001


def test_false_discoveries_are_as_few_as_said():
    x, y, shared = make(8, 3, 2, m=4000, seed=4)
    x[:, :400] += 3.0
    called = adjusted(compare(x, y, shared).pvalue()) < 0.1
    assert called[:400].mean() > 0.8
    assert called[400:].sum() < 0.13 * called.sum()


def test_units_on_one_side_add_power_and_never_take_much():
    """Standard deviations of the difference beside those of the shared units alone."""
    for level_sd, most in ((0.0, 0.85), (3.0, 1.02)):
        x, y, shared = make(5, 5, 5, m=4000, seed=5, level_sd=level_sd)
        alone = x[:5] - y[shared[:5]]
        assert compare(x, y, shared).difference.std() < most * alone.mean(0).std()


@given(st.integers(0, 6), st.integers(0, 5), st.integers(0, 5), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_invariances(n_both, n_x, n_y, seed):
    """Order of units and columns, sides, origin and unit change nothing but what they name."""
    if min(n_both + n_x, n_both + n_y) < 2:
        return
    x, y, shared = make(n_both, n_x, n_y, m=3, seed=seed)
    first = compare(x, y, shared)
    rng = np.random.default_rng(seed)
    of_x, of_y, columns = (rng.permutation(n) for n in (len(x), len(y), 3))
    place = np.append(np.argsort(of_y), -1)  # -1 stays -1
    second = compare(5 * x[of_x][:, columns] + 7, 5 * y[of_y][:, columns] + 7, place[shared[of_x]])
    back = np.full(len(y), -1)
    back[shared[shared >= 0]] = np.flatnonzero(shared >= 0)
    third = compare(y, x, back)
    # a difference near 0 is known to a share of its standard error, not of itself
    close = {"rtol": 1e-5, "atol": 1e-5 * float(first.std_err.min())}
    np.testing.assert_allclose(second.difference, 5 * first.difference[columns], **close)
    np.testing.assert_allclose(second.std_err, 5 * first.std_err[columns], rtol=1e-5)
    np.testing.assert_allclose(second.pvalue(), first.pvalue()[columns], rtol=1e-3)
    np.testing.assert_allclose(third.difference, -first.difference, **close)
    np.testing.assert_allclose(third.pvalue(), first.pvalue(), rtol=1e-3)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_moments_add(n, k, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(3, 2, (n, 2)), rng.normal(-1, 1, (k, 2))
    both, whole = Moments.of(a) + Moments.of(b), Moments.of(np.concatenate([a, b]))
    assert both.n == whole.n
    np.testing.assert_allclose(both.mean, whole.mean, atol=1e-12)
    np.testing.assert_allclose(both.scatter, whole.scatter)
    expected = stats.ttest_ind(a, b, equal_var=False)
    np.testing.assert_allclose(welch(Moments.of(a), Moments.of(b)).pvalue(), expected.pvalue)


@pytest.mark.parametrize("design", [(0, 3, 3), (4, 0, 0), (4, 2, 1)])
def test_nothing_varies_or_unknown_has_no_test(design):
    x, y, shared = make(*design, m=4)
    x[:, 0], y[:, 0] = 0.1, 0.1
    x[:, 1], y[:, 1] = 0.3, 0.1
    x[1, 2] = np.nan
    found = compare(x, y, shared)
    assert np.isnan(found.pvalue()).tolist() == [True, True, True, False]
    assert found.difference[:2] == pytest.approx([0.0, 0.2])
    assert np.isnan(adjusted(found.pvalue())).tolist() == [True, True, True, False]
