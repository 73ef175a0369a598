"""Activities of every regulator by itself."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr
from grnrep.core.marginal import marginal

LAYERS = ("slope", "std_err", "pvalue")
FORMS = {
    "float64": lambda x: x.astype(np.float64),
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "csr_array": sp.csr_array,
}


@pytest.fixture(scope="module")
def fitted_once(small):
    adata, net = small()
    gr.tl.fit(adata, net, max_iter=20, ridge=1e-3, sign_shrinkage=0.3, progress=False)
    return adata


@pytest.fixture
def fitted(fitted_once):
    """Cells with a fit; a copy for every test."""
    return fitted_once.copy()


def _same(found: ad.AnnData, expected: ad.AnnData) -> None:
    """Check scores and layers, of the same cells in any order."""
    found = found[expected.obs_names]
    np.testing.assert_allclose(found.to_df(), expected.to_df(), rtol=1e-4, atol=1e-5)
    for layer in LAYERS:
        values, others = found.to_df(layer), expected.to_df(layer)
        np.testing.assert_allclose(values, others, rtol=1e-4, atol=1e-5)


def test_is_the_regression_of_scaled_genes_on_learned_weights(fitted, digest):
    before = digest(fitted)
    out = gr.get.activity(fitted, marginal=True)
    assert digest(fitted) == before
    genes = fitted.uns["grnrep"]["genes"].index
    x = fitted[:, genes].X.astype(np.float64)
    weights = sp.csr_array(fitted[:, genes].varm["grnrep"])
    expected = marginal(x, x.mean(0), x.std(0), weights)
    np.testing.assert_allclose(out.X, expected.score, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out.layers["pvalue"], expected.pvalue(), rtol=1e-3, atol=1e-6)
    assert {*out.layers} == {*LAYERS}
    assert list(out.var_names) == list(fitted.obsm["grnrep"].columns)
    pd.testing.assert_frame_equal(out.var, fitted.uns["grnrep"]["regulators"])
    pd.testing.assert_frame_equal(out.obsm["grnrep"], fitted.obsm["grnrep"])


def test_follows_the_true_activity(fitted):
    out = gr.get.activity(fitted, marginal=True).to_df("slope")
    for name, true in fitted.obsm["true_activity"].items():
        assert np.corrcoef(true, out[name])[0, 1] > 0.5


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(FORMS)), st.integers(0, 2**32 - 1))
def test_order_and_container_do_not_matter(fitted_once, form, seed):
    draw = np.random.default_rng(seed)
    adata = fitted_once[draw.permutation(60), draw.permutation(40)].copy()
    adata.X = FORMS[form](adata.X)
    _same(gr.get.activity(adata, marginal=True), gr.get.activity(fitted_once, marginal=True))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("n_rows", [7, 60])
def test_files_are_read_in_blocks(fitted, form, n_rows, tmp_path, monkeypatch):
    expected = gr.get.activity(fitted, marginal=True)
    fitted.X = form(fitted.X)
    fitted.write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setattr("grnrep.rows.blocks._MOST_ROWS", n_rows)
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    _same(gr.get.activity(backed, marginal=True), expected)
    backed.file.close()


def test_reads_the_layer_of_the_fit(small, refuses):
    adata, net = small()
    options = {"max_iter": 5, "ridge": 1e-3, "sign_shrinkage": 0.3, "progress": False}
    gr.tl.fit(adata, net, **options)
    expected = gr.get.activity(adata, marginal=True)
    adata.layers["log"], adata.X = adata.X, None
    with refuses(ValueError, "adata.X, which is not there", "layers: 'log'", adata=adata):
        gr.get.activity(adata, marginal=True)
    gr.tl.fit(adata, net, layer="log", **options)
    _same(gr.get.activity(adata, marginal=True), expected)
    del adata.layers["log"]
    with refuses(ValueError, "adata.layers['log'], which is not there", adata=adata):
        gr.get.activity(adata, marginal=True)


def test_new_cells_are_held_against_the_cells_of_the_fit(fitted):
    expected = gr.get.activity(fitted, marginal=True)
    new = fitted[:3].copy()
    gr.tl.transform(new, fitted, progress=False)
    _same(gr.get.activity(new, marginal=True), expected[:3])


def test_genes_that_are_missing_are_left_out(fitted, caplog):
    edges = fitted.uns["grnrep"]["network"]
    lost = edges["source"].iloc[0]
    new = fitted[:, ~fitted.var_names.isin(edges["target"][edges["source"] == lost])].copy()
    out = gr.get.activity(new, marginal=True).to_df()
    assert "of the decoder are not among adata.var_names" in caplog.text
    assert out[lost].isna().all()
    assert np.isfinite(out.drop(columns=lost)).all(axis=None)


def test_units_of_a_gene_do_not_matter_where_its_weights_have_them(fitted):
    expected = gr.get.activity(fitted, marginal=True)
    record, gene = fitted.uns["grnrep"], fitted.uns["grnrep"]["genes"].index[0]
    fitted.X[:, fitted.var_names.get_loc(gene)] *= 8
    edges = record["network"]
    edges.loc[edges["target"] == gene, "learned"] *= 8
    record["genes"].loc[gene, ["expression_mean", "expression_sd"]] *= 8
    _same(gr.get.activity(fitted, marginal=True), expected)


@pytest.mark.parametrize("likelihood", ["gaussian", "tobit"])
def test_effects_of_covariates_are_taken_out(small, likelihood):
    adata, net = small()
    adata.obs["batch"] = np.where(np.arange(60) % 3 == 0, "a", "b")
    adata.X[(adata.obs["batch"] == "a").to_numpy()] += np.float32(0.5)
    options = {"max_iter": 10, "ridge": 1e-3, "sign_shrinkage": 0.3, "progress": False}
    gr.tl.fit(adata, net, likelihood=likelihood, covariates="batch", **options)
    record = adata.uns["grnrep"]
    genes, table = record["genes"], record["covariates"].iloc[0]
    x = adata[:, genes.index].X.astype(np.float64)
    known = (adata.obs["batch"] == table["level"]).to_numpy() - table["centre"]
    effect = np.outer(known, record["covariate_effects"][:, 0])
    left = x - (effect if likelihood == "gaussian" else effect * (x > 0))
    weights = sp.csr_array(adata[:, genes.index].varm["grnrep"])
    expected = marginal(left, x.mean(0), x.std(0), weights).score
    np.testing.assert_allclose(
        gr.get.activity(adata, marginal=True).X, expected, rtol=1e-3, atol=1e-4
    )


def test_counts_are_refused(small, refuses, quick_choices):
    adata, net = small()
    adata.X = np.round(5 * adata.X)
    gr.tl.fit(adata, net, likelihood="poisson", max_iter=3, progress=False)
    with refuses(ValueError, "is of counts (likelihood='poisson')", "Fit logarithms", adata=adata):
        gr.get.activity(adata, marginal=True)


def test_what_cannot_be_the_expression_of_the_fit_is_refused(fitted, refuses):
    fitted.X = fitted.X.copy()
    fitted.X[0, 0] = np.nan
    with refuses(ValueError, "adata.X must be finite", adata=fitted):
        gr.get.activity(fitted, marginal=True)


def test_another_scale_is_said(fitted, caplog):
    fitted.X *= 100
    gr.get.activity(fitted, marginal=True)
    assert "activity: adata.X is not on the scale of the fit" in caplog.text


def test_a_record_without_means_of_genes_is_refused(fitted, refuses):
    del fitted.uns["grnrep"]["genes"]["expression_sd"]
    with refuses(ValueError, "'expression_sd'", "Run grnrep.tl.fit again", adata=fitted):
        gr.get.activity(fitted, marginal=True)


def test_a_table_without_a_fit_is_refused(fitted, refuses):
    fitted.obsm["other"] = fitted.obsm["grnrep"]
    with refuses(KeyError, "key='other' is no fit in adata.uns", adata=fitted):
        gr.get.activity(fitted, key="other", marginal=True)


def test_a_simulation_is_no_fit(refuses):
    adata, _ = gr.ds.simulate(n_obs=20, n_vars=20, n_regulators=2, progress=False)
    with refuses(KeyError, "fits there: none", "Run grnrep.tl.fit first", adata=adata):
        gr.get.activity(adata, marginal=True)


def test_differences_have_none(fitted, refuses):
    changed = gr.tl.transform(fitted.to_df()[:3], fitted, contrast=True)
    with refuses(ValueError, "marginal=True must have cells", "contrast=True", adata=changed):
        gr.get.activity(changed, marginal=True)
