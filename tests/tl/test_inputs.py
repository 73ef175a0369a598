"""What users bring: tables of samples, raw, differences of expression, a modality."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr
from grnrep._record import read_decoder

QUICK = {"ridge": 0.1, "sign_shrinkage": 0.0, "max_iter": 3, "progress": False}


# --- tables ---------------------------------------------------------------------------------------


def test_a_table_is_fitted_as_the_same_values_in_anndata(small):
    adata, net = small()
    table = adata.to_df()
    before = table.copy()
    found = gr.tl.fit(table, net, **QUICK)
    gr.tl.fit(adata, net, **QUICK)
    pd.testing.assert_frame_equal(found.obsm["grnrep"], adata.obsm["grnrep"])
    pd.testing.assert_frame_equal(table, before)
    pd.testing.assert_frame_equal(found.to_df(), table)
    projected = gr.tl.transform(table.iloc[:7], adata, progress=False)
    wanted = gr.tl.transform(adata[:7].copy(), adata, progress=False, copy=True)
    pd.testing.assert_frame_equal(projected.obsm["grnrep"], wanted.obsm["grnrep"])
    one, other = gr.pp.check_network(table, net), gr.pp.check_network(adata, net)
    pd.testing.assert_frame_equal(one.regulators, other.regulators)


def test_a_table_with_words_in_it_is_refused(small):
    adata, net = small()
    table = adata.to_df().assign(sample="a")
    for call in (gr.tl.fit, gr.pp.check_network):
        with pytest.raises(TypeError, match=r"numbers alone, .* first 'sample'.*set_index"):
            call(table, net)
    with pytest.raises(TypeError, match="must be an AnnData; found ndarray"):
        gr.tl.fit(adata.X, net)


def test_of_mudata_one_modality_is_asked_for(small):
    adata, net = small()
    mdata = SimpleNamespace(mod={"rna": adata})
    with pytest.raises(TypeError, match=r"Pass one modality, such as mdata\['rna'\]"):
        gr.tl.fit(mdata, net)


# --- raw ------------------------------------------------------------------------------------------


@pytest.fixture
def cut(small):
    """Data cut to half of the genes, whose raw has all; the whole; and the network."""
    whole, net = small()
    whole.raw = whole.copy()
    adata = whole[:, ::2].copy()
    adata.X = adata.X * 7 - 3
    assert adata.raw.n_vars == whole.n_vars
    return adata, whole, net


def test_raw_is_fitted_as_the_whole_data(cut):
    adata, whole, net = cut
    gr.tl.fit(adata, net, use_raw=True, **QUICK)
    gr.tl.fit(whole, net, **QUICK)
    pd.testing.assert_frame_equal(adata.obsm["grnrep"], whole.obsm["grnrep"], check_exact=True)
    pd.testing.assert_frame_equal(gr.get.network(adata), gr.get.network(whole))
    # varm has the genes that are here
    wanted = whole.varm["grnrep"].toarray()[::2]
    np.testing.assert_array_equal(adata.varm["grnrep"].toarray(), wanted)
    assert adata.uns["grnrep"]["params"]["layer"] == ".raw"
    report = gr.pp.check_network(adata, net, use_raw=True)
    assert report.summary["n_targets_found"] == whole.uns["grnrep"]["genes"].shape[0]


def test_what_follows_a_fit_of_raw_reads_raw(cut):
    adata, whole, net = cut
    gr.tl.fit(adata, net, use_raw=True, **QUICK)
    gr.tl.fit(whole, net, **QUICK)
    pd.testing.assert_frame_equal(
        gr.metrics.reconstruction(adata), gr.metrics.reconstruction(whole)
    )
    one, other = (gr.get.activity(a, marginal=True) for a in (adata, whole))
    np.testing.assert_array_equal(one.X, other.X)
    new = adata[:9].copy()
    gr.tl.transform(new, adata, use_raw=True, progress=False)
    pd.testing.assert_frame_equal(new.obsm["grnrep"], whole.obsm["grnrep"].iloc[:9], atol=1e-5)


def test_a_posterior_of_a_fit_of_raw(cut, short_chain):
    adata, _, net = cut
    gr.tl.fit(adata, net, likelihood="tobit", use_raw=True, max_iter=3, progress=False)
    before = adata.obsm["grnrep"].columns
    gr.tl.posterior(adata, progress=False)
    assert list(adata.obsm["grnrep_sd"].columns) == list(before)


def test_raw_that_is_not_there_is_said(small, refuses):
    adata, net = small()
    with refuses(ValueError, "use_raw=True needs adata.raw, which is not there", adata=adata):
        gr.tl.fit(adata, net, use_raw=True, **QUICK)
    adata.raw = adata.copy()
    with refuses(ValueError, "leave out layer='log'"):
        gr.tl.fit(adata, net, use_raw=True, layer="log", **QUICK)


# --- differences ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    """A Gaussian fit by evidence, signed, of 120 cells."""
    adata, net = gr.ds.simulate(120, 60, n_regulators=5, connectivity=0.3, noise_sd=0.5, rng=0)
    adata.X = np.log1p(adata.X) - 0.3
    gr.tl.fit(adata, net, likelihood="gaussian", free_factors=0, progress=False)
    return adata


def _closed_form(adata, d: pd.DataFrame) -> np.ndarray:
    """(WᵀΨ⁻¹W + P)⁻¹ WᵀΨ⁻¹ d of the genes in ``d``."""
    from grnrep.core.design import prior_precision

    decoder = read_decoder(adata, "grnrep").restrict(d.columns)
    w = decoder.weights().toarray()
    psi = decoder.fit.noise()
    a = w.T / psi @ w + prior_precision(decoder.fit, decoder.network).numpy()
    return np.linalg.solve(a, w.T / psi @ d[decoder.genes].to_numpy().T).T


@settings(deadline=None, max_examples=15, derandomize=True)
@given(seed=st.integers(0, 10**6), n_rows=st.integers(1, 3), n_lost=st.integers(0, 20))
def test_a_contrast_is_its_closed_form(fitted, seed, n_rows, n_lost):
    draw = np.random.default_rng(seed)
    genes = draw.permutation(fitted.var_names)[n_lost:]
    d = pd.DataFrame(
        draw.normal(size=(n_rows, len(genes))), columns=genes, index=map(str, range(n_rows))
    )
    found = gr.tl.transform(d, fitted, contrast=True, progress=False).obsm["grnrep"]
    np.testing.assert_allclose(found, _closed_form(fitted, d), rtol=1e-3, atol=1e-4)
    twice = gr.tl.transform(2 * d, fitted, contrast=True, progress=False).obsm["grnrep"]
    np.testing.assert_allclose(twice, 2 * found, rtol=1e-3, atol=1e-4)


def test_a_contrast_of_means_is_the_difference_of_mean_activities(fitted):
    activity, x = fitted.obsm["grnrep"], fitted.to_df()
    d = (x[:50].mean() - x[50:].mean()).to_frame("change").T
    found = gr.tl.transform(d, fitted, contrast=True, progress=False)
    wanted = activity[:50].mean() - activity[50:].mean()
    np.testing.assert_allclose(found.obsm["grnrep"].loc["change"], wanted, atol=2e-3)
    assert found.uns["grnrep"]["params"]["contrast"]


def test_what_is_told_of_contrasts_has_no_intercept_and_no_relu(small):
    """Errors by gene, and what is unexplained; a posterior is of cells."""
    adata, net = small()
    gr.tl.fit(adata, net, likelihood="tobit", **QUICK)
    d = adata.to_df() - adata.to_df().mean()
    found = gr.tl.transform(d, adata, contrast=True, progress=False)
    errors = gr.metrics.reconstruction(found)
    decoder = read_decoder(found, "grnrep")
    predicted = found.obsm["grnrep"].to_numpy() @ decoder.weights().toarray().T
    wanted = np.square(d[decoder.genes].to_numpy() - predicted).mean(0)
    np.testing.assert_allclose(errors.loc[decoder.genes, "mse"], wanted, rtol=1e-4, atol=1e-6)
    gr.tl.unexplained(found)
    turned = gr.tl.transform(-d, adata, contrast=True, progress=False)
    gr.tl.unexplained(turned)
    one, other = (a.uns["grnrep"]["unexplained"]["singular_values"] for a in (found, turned))
    np.testing.assert_allclose(one, other, rtol=1e-3)
    with pytest.raises(ValueError, match="must be a fit of these"):
        gr.tl.posterior(found)


def test_what_raw_leaves_unexplained_is_of_raw(small):
    adata, net = small()
    with_raw = adata.copy()
    with_raw.raw = adata
    with_raw.X = np.zeros_like(adata.X)
    for one, options in ((adata, {}), (with_raw, {"use_raw": True})):
        gr.tl.fit(one, net, **QUICK, **options)
        gr.tl.unexplained(one)
    a, b = (one.uns["grnrep"]["unexplained"]["singular_values"] for one in (adata, with_raw))
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_negative_changes_are_no_matter_under_a_relu(small, caplog):
    adata, net = small()
    gr.tl.fit(adata, net, likelihood="tobit", **QUICK)
    d = -adata.to_df().iloc[:1]
    with pytest.raises(ValueError, match="negative"):
        gr.tl.transform(d, adata, progress=False)
    caplog.clear()
    down, up = (gr.tl.transform(s * d, adata, contrast=True, progress=False) for s in (1, -1))
    np.testing.assert_allclose(down.obsm["grnrep"], -up.obsm["grnrep"], rtol=1e-3, atol=1e-4)
    assert "scale" not in caplog.text


def test_contrasts_of_counts_are_refused(small):
    adata, net = small()
    adata.X = np.random.default_rng(0).poisson(2.0, adata.shape).astype(np.float32)
    gr.tl.fit(adata, net, likelihood="poisson", ridge=0.1, max_iter=2, progress=False)
    with pytest.raises(
        ValueError, match=r"contrast=True must have a fit of normalised expression.*'poisson'"
    ):
        gr.tl.transform(adata.to_df().iloc[:1], adata, contrast=True)
