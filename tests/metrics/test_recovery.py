"""Recovery of true activities, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

import grnrep as gr


@pytest.fixture(scope="module")
def once(small):
    adata, net = small()
    noise = np.random.default_rng(0).normal(0, 0.5, adata.shape)
    adata.X = np.maximum(adata.X + noise, 0).astype(np.float32)
    gr.tl.fit(
        adata, net, max_iter=20, intercept=True, ridge=1e-3, sign_shrinkage=0.3, progress=False
    )
    return adata, net


@pytest.fixture
def fitted(once):
    adata, net = once
    return adata.copy(), net


def test_correlations_are_those_of_scipy_by_name(fitted):
    adata, _ = fitted
    adata.obsm["grnrep"].iloc[:, 0] *= -1
    found = gr.metrics.recovery(adata)
    assert list(found.index) == list(adata.obsm["true_activity"].columns)
    for name in found.index:
        wanted = pearsonr(adata.obsm["true_activity"][name], adata.obsm["grnrep"][name])[0]
        np.testing.assert_allclose(found.loc[name, "pearson"], wanted, rtol=1e-6)
        np.testing.assert_allclose(found.loc[name, "abs_pearson"], abs(wanted), rtol=1e-6)
    assert found.loc[adata.obsm["grnrep"].columns[0], "pearson"] < -0.5


def test_r2_pools_the_targets(fitted):
    adata, net = fitted
    found = gr.metrics.recovery(adata)
    bias = adata.uns["grnrep"]["genes"]["intercept"].reindex(adata.var_names).to_numpy()
    predicted = np.maximum(
        adata.obsm["grnrep"].to_numpy() @ adata.varm["grnrep"].toarray().T + bias, 0
    )
    for name, edges in net.groupby("source"):
        mine = adata.var_names.isin(edges["target"])
        x = adata.X[:, mine].astype(np.float64)
        wanted = 1 - ((x - predicted[:, mine]) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
        np.testing.assert_allclose(found.loc[name, "r2"], wanted, rtol=1e-4)
        assert found.loc[name, "n_targets"] == len(edges)


def test_order_of_regulators_cells_and_genes_does_not_matter(fitted):
    adata, _ = fitted
    wanted = gr.metrics.recovery(adata)
    draw = np.random.default_rng(1)
    other = adata[draw.permutation(adata.n_obs)][:, draw.permutation(adata.n_vars)].copy()
    other.obsm["true_activity"] = other.obsm["true_activity"].iloc[:, ::-1]
    other.obsm["grnrep"] = other.obsm["grnrep"].iloc[:, [2, 0, 3, 1]]
    found = gr.metrics.recovery(other)
    assert list(found.index) == list(wanted.index)[::-1]
    pd.testing.assert_frame_equal(found.loc[wanted.index], wanted)


def test_regulators_that_the_fit_lacks_are_rows_of_nan(fitted):
    adata, _ = fitted
    truth = adata.obsm["true_activity"]
    adata.obsm["true_activity"] = truth.assign(other=1.0)[["other", *truth.columns[:2]]]
    found = gr.metrics.recovery(adata)
    assert list(found.index) == ["other", *truth.columns[:2]]
    assert found.loc["other", ["pearson", "abs_pearson", "r2"]].isna().all()
    assert found.loc["other", "n_targets"] == 0
    assert found.iloc[1:].notna().all(axis=None)


def test_constant_activity_has_no_correlation(fitted):
    adata, _ = fitted
    adata.obsm["true_activity"].iloc[:, 1] = 0.1
    adata.obsm["grnrep"][adata.obsm["true_activity"].columns[2]] = 0.1
    found = gr.metrics.recovery(adata)["pearson"]
    assert list(found.isna()) == [False, True, True, False]


def test_activities_of_another_method_have_correlations_only(fitted):
    adata, _ = fitted
    adata.obsm["other"] = 3 * adata.obsm["grnrep"] + 1
    found, wanted = gr.metrics.recovery(adata, key="other"), gr.metrics.recovery(adata)
    np.testing.assert_allclose(found["pearson"], wanted["pearson"], rtol=1e-5)
    assert found["r2"].isna().all()
    assert (found["n_targets"] == 0).all()


def test_missing_key_and_truth_list_what_there_is(fitted, refuses):
    adata, _ = fitted
    tables = "'true_activity', 'grnrep'"
    with refuses(KeyError, "truth='truth' is not in adata.obsm", tables, adata=adata):
        gr.metrics.recovery(adata, truth="truth")
    with refuses(KeyError, "key='fit' is not in adata.obsm", tables, adata=adata):
        gr.metrics.recovery(adata, key="fit")


def test_truth_without_names_is_refused(fitted, refuses):
    adata, _ = fitted
    adata.obsm["true_activity"] = adata.obsm["true_activity"].to_numpy()
    with refuses(
        TypeError, "adata.obsm['true_activity'] must be a DataFrame", "ndarray", adata=adata
    ):
        gr.metrics.recovery(adata)


def test_no_regulator_in_common_is_refused(fitted, refuses):
    adata, _ = fitted
    adata.obsm["true_activity"] = adata.obsm["true_activity"].add_prefix("other_")
    with refuses(ValueError, "no regulator in common", "'other_TF", "'TF0'", adata=adata):
        gr.metrics.recovery(adata)
