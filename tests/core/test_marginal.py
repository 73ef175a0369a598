"""Regression of a cell's genes on one regulator's weights, against least squares one by one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grnrep.core.marginal import marginal


def _data(rng: int = 0, n_cells: int = 7, n_genes: int = 40, n_regulators: int = 5):
    draw = np.random.default_rng(rng)
    x = np.maximum(draw.normal(1, 2, (n_cells, n_genes)) * draw.gamma(1, size=n_genes), 0)
    weights = draw.normal(size=(n_genes, n_regulators)) * (
        draw.random((n_genes, n_regulators)) < 0.3
    )
    return x.astype(np.float32), x.mean(0) + 0.1, x.std(0) + 0.1, sp.csr_array(weights)


def test_is_least_squares_cell_by_cell():
    x, mean, sd, weights = _data()
    found = marginal(x, mean, sd, weights)
    p = found.pvalue()
    for k, cell in enumerate(x):
        for j, w in enumerate(weights.toarray().T):
            line = stats.linregress(w / sd, (cell - mean) / sd)
            expected = line.slope, line.stderr, line.pvalue
            np.testing.assert_allclose(
                (found.slope[k, j], found.std_err[k, j], p[k, j]), expected, rtol=1e-8
            )
            score = line.slope * np.std(w / sd) * np.sqrt(len(w))
            np.testing.assert_allclose(found.score[k, j], score, rtol=1e-8)


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array])
def test_sparse_expression_gives_the_same(form):
    x, mean, sd, weights = _data()
    dense, sparse = marginal(x, mean, sd, weights), marginal(form(x), mean, sd, weights)
    for part in ("score", "slope", "std_err"):
        np.testing.assert_allclose(getattr(sparse, part), getattr(dense, part), rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100), st.integers(0, 39), st.floats(1e-3, 1e3), st.integers(1, 6))
def test_units_of_a_gene_and_order_and_blocks_do_not_matter(rng, gene, unit, n_rows):
    x, mean, sd, weights = _data(rng)
    expected = marginal(x, mean, sd, weights)
    factor = np.ones(40)
    factor[gene] = unit
    genes = np.random.default_rng(rng).permutation(40)
    parts = [
        marginal(
            (x[start : start + n_rows] * factor)[:, genes], (mean * factor)[genes],
            (sd * factor)[genes], sp.csr_array(weights.multiply(factor[:, None]))[genes],
        )
        for start in range(0, len(x), n_rows)
    ]  # fmt: skip
    for part in ("score", "slope", "std_err"):
        found = np.concatenate([getattr(block, part) for block in parts])
        np.testing.assert_allclose(found, getattr(expected, part), rtol=1e-6, atol=1e-9)


def test_weights_at_random_keep_the_stated_error_rate_in_every_cell():
    draw = np.random.default_rng(0)
    y = draw.normal(size=(4, 300)) * np.array([[0.3], [1], [1], [3]])  # genes vary little or much
    weights = draw.normal(size=(300, 2000)) * (draw.random((300, 2000)) < 0.1)
    p = marginal(y, np.zeros(300), np.ones(300), sp.csr_array(weights)).pvalue()
    share = (p < 0.05).mean(1)
    assert np.abs(share - 0.05).max() < 4 * np.sqrt(0.05 * 0.95 / 2000)


def test_genes_that_do_not_vary_are_left_out():
    x, mean, sd, weights = _data()
    sd[3] = 0
    some = np.arange(40) != 3
    expected = marginal(x[:, some], mean[some], sd[some], weights[some])
    for form in (np.asarray, sp.csr_matrix):
        found = marginal(form(x), mean, sd, weights)
        np.testing.assert_allclose(found.score, expected.score)
        assert found.dof == expected.dof == 37


def test_weights_that_are_the_same_for_all_genes_tell_nothing():
    x, mean, sd, _ = _data()
    weights = np.stack([sd, np.zeros(40), np.arange(40.0)], axis=1)
    found = marginal(x, mean, sd, sp.csr_array(weights))
    np.testing.assert_array_equal(np.isnan(found.score), np.tile([True, True, False], (len(x), 1)))
    assert np.isnan(found.pvalue()[:, :2]).all()


def test_two_genes_have_no_scatter_to_judge_by():
    x, mean, sd, _ = _data()
    found = marginal(x[:, :2], mean[:2], sd[:2], sp.csr_array(np.array([[1.0], [0.0]])))
    assert np.isfinite(found.score).all()
    assert np.isnan(found.std_err).all()
    assert np.isnan(found.pvalue()).all()
