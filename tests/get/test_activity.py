"""Activities as an AnnData of their own."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import grnrep as gr


@pytest.fixture(scope="module")
def fitted_once(small):
    adata, net = small()
    gr.tl.fit(adata, net, max_iter=20, ridge=1e-3, sign_shrinkage=0.3, progress=False)
    adata.obs["group"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 3 == 0, "a", "b"))
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    adata.uns["group_colors"] = ["#111111", "#222222"]
    return adata


@pytest.fixture
def fitted(fitted_once):
    """Cells with a fit, groups and a map; a copy for every test."""
    return fitted_once.copy()


def test_values_and_names_are_those_of_obsm(fitted):
    out = gr.get.activity(fitted)
    pd.testing.assert_frame_equal(out.to_df(), fitted.obsm["grnrep"], check_exact=True)
    pd.testing.assert_frame_equal(out.obs, fitted.obs)
    pd.testing.assert_frame_equal(out.var, fitted.uns["grnrep"]["regulators"])
    np.testing.assert_array_equal(out.obsm["X_umap"], fitted.obsm["X_umap"])
    assert list(out.uns) == ["group_colors"]


def test_result_is_independent_of_the_original(fitted, digest):
    before = digest(fitted)
    out = gr.get.activity(fitted)
    out.X[:] = 0
    out.obs["group"] = "z"
    out.obsm["X_umap"][:] = 0
    out.var["n_targets"] = 0
    out.uns["group_colors"][0] = "#ffffff"
    assert digest(fitted) == before


def test_scanpy_works_on_it(fitted):
    matplotlib.use("Agg")
    out = gr.get.activity(fitted)
    regulator = out.var_names[0]
    sc.tl.rank_genes_groups(out, "group", method="t-test")
    assert set(out.uns["rank_genes_groups"]["names"].dtype.names) == {"a", "b"}
    axes = sc.pl.umap(out, color=[regulator, "group"], show=False)
    assert [axis.get_title() for axis in axes] == [regulator, "group"]


def test_subset_keeps_its_cells(fitted):
    out = gr.get.activity(fitted[10:20])
    pd.testing.assert_frame_equal(out.to_df(), fitted.obsm["grnrep"].iloc[10:20], check_exact=True)


def test_table_of_another_method_works(fitted):
    fitted.obsm["other"] = fitted.obsm["grnrep"].iloc[:, ::-1]
    out = gr.get.activity(fitted, key="other")
    assert list(out.var_names) == list(fitted.obsm["other"].columns)
    assert out.var.shape[1] == 0


def test_unknown_key_lists_tables(fitted, refuses):
    with refuses(
        KeyError, "key='acts' is not in adata.obsm", "'true_activity', 'grnrep'", adata=fitted
    ):
        gr.get.activity(fitted, key="acts")


def test_array_without_names_is_refused(fitted, refuses):
    with refuses(
        TypeError, "adata.obsm['X_umap'] must be a DataFrame", "found ndarray", adata=fitted
    ):
        gr.get.activity(fitted, key="X_umap")


def test_not_anndata_is_refused():
    with pytest.raises(TypeError, match="adata must be an AnnData; found dict"):
        gr.get.activity({})


def test_no_cells_have_no_activities_and_a_model_is_called_so(small, refuses):
    adata, net = small()
    gr.tl.fit(adata, net, ridge=0.1, sign_shrinkage=0.0, max_iter=2, progress=False)
    assert gr.get.activity(adata[:0]).shape == (0, net["source"].nunique())
    with refuses(ValueError, "adata is a model, which has no cells; give data"):
        gr.get.activity(gr.ds.decoder("blood_cells"))
