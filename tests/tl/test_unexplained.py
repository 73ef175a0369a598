"""The verb that looks for programmes in the residuals of a stored fit."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grnrep as gr


@pytest.fixture(scope="module")
def fitted():
    """A fit of Eq. 6 with noise, and the same cells with two programmes that its network does not know."""
    plain, net = gr.ds.simulate(150, 80, n_regulators=5, connectivity=0.3, noise_sd=1.0, rng=0)
    plain.obs["batch"] = pd.Categorical(np.tile(["a", "b"], 75))
    options = {"ridge": 1e-3, "sign_shrinkage": 0.3, "progress": False}
    gr.tl.fit(plain, net, likelihood="gaussian", **options)
    more = plain.copy()
    rng = np.random.default_rng(1)
    value, loading = rng.normal(size=(150, 2)), np.zeros((80, 2))
    loading[:20, 0], loading[40:70, 1] = 1.5, rng.choice([-1.5, 1.5], 30)
    more.X = (more.X + value @ loading.T).astype(np.float32)
    return plain, more, net, options, value


def test_says_how_many_programmes_and_which_genes(fitted):
    plain, more, *_ = fitted
    assert gr.tl.unexplained(plain) is None
    found = plain.uns["grnrep"]["unexplained"]
    assert found["n_programmes"] == len(found["share"]) == len(found["top_genes"]) == 0
    out = gr.tl.unexplained(more, n_genes=10, copy=True)
    assert "unexplained" not in more.uns["grnrep"]
    found = out.uns["grnrep"]["unexplained"]
    assert found["n_programmes"] == 2
    assert found["n_cells"] == 150
    np.testing.assert_allclose(found["share"], np.square(found["singular_values"][:2]))
    assert (found["singular_values"][:2] > found["chance"]).all()
    assert (found["singular_values"][2:] < found["chance"]).all()
    top = found["top_genes"]
    assert list(top.columns) == ["programme", "gene", "loading", "share"]
    assert top["programme"].tolist() == [1] * 10 + [2] * 10
    groups = [set(more.var_names[:20]), set(more.var_names[40:70])]
    genes = [set(part["gene"]) for _, part in top.groupby("programme")]
    assert sorted(max(len(part & group) for group in groups) for part in genes) == [10, 10]
    for _, part in top.groupby("programme"):
        assert part["share"].is_monotonic_decreasing
        assert part["share"].between(0, 1).all()
    # the rest of the record is that of the fit
    assert set(out.uns["grnrep"]) - {"unexplained"} == set(more.uns["grnrep"])


def test_order_of_cells_and_genes_does_not_matter(fitted):
    _, more, *_ = fitted
    rng = np.random.default_rng(0)
    mixed = more[rng.permutation(150), rng.permutation(80)].copy()
    one, other = (
        gr.tl.unexplained(a, copy=True).uns["grnrep"]["unexplained"] for a in (more, mixed)
    )
    pd.testing.assert_frame_equal(other["top_genes"], one["top_genes"])
    assert other["chance"] == one["chance"]
    np.testing.assert_array_equal(other["singular_values"], one["singular_values"])


@pytest.mark.parametrize("which", [0, 1])
def test_files_keep_it(fitted, which, tmp_path):
    out = gr.tl.unexplained(fitted[which], copy=True)
    kept = out.uns["grnrep"]["unexplained"]
    out.write_h5ad(tmp_path / "a.h5ad")
    out.write_zarr(tmp_path / "a.zarr")
    for again in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        found = again.uns["grnrep"]["unexplained"]
        assert int(found["n_programmes"]) == kept["n_programmes"]
        assert float(found["chance"]) == kept["chance"]
        np.testing.assert_array_equal(found["singular_values"], kept["singular_values"])
        assert (
            found["top_genes"]["gene"].astype(object).tolist() == kept["top_genes"]["gene"].tolist()
        )
        gr.tl.transform(again[:9].copy(), again, progress=False)  # the record is still a decoder
        gr.tl.unexplained(again)


def test_cells_that_were_projected(fitted):
    plain, more, *_ = fitted
    new = more[:100].copy()
    del new.uns["grnrep"], new.obsm["grnrep"], new.varm["grnrep"]
    gr.tl.transform(new, plain, progress=False)
    gr.tl.unexplained(new)
    assert new.uns["grnrep"]["unexplained"]["n_programmes"] == 2


def test_what_covariates_explain_is_no_programme(fitted):
    plain, _, net, options, _ = fitted
    batch = plain.copy()
    effect = np.random.default_rng(2).normal(size=80)
    batch.X = (batch.X + 2 * np.outer(batch.obs["batch"] == "b", effect)).astype(np.float32)
    for covariates in (None, "batch"):
        gr.tl.fit(batch, net, likelihood="gaussian", covariates=covariates, **options)
        gr.tl.unexplained(batch)
        found = batch.uns["grnrep"]["unexplained"]["n_programmes"]
        assert found == 0 if covariates else found >= 1


@pytest.mark.parametrize("likelihood", ["tobit", "poisson", "nb"])
def test_other_likelihoods(likelihood):
    adata, net = gr.ds.simulate(150, 80, n_regulators=5, connectivity=0.3, noise_sd=0.5, rng=4)
    rng, plain = np.random.default_rng(0), np.asarray(adata.X)
    programme = np.outer(rng.gamma(1, 1, 150), np.arange(80) < 30)
    for extra, n in ((0, {0}), (2 * programme, {1, 2})):  # censoring bends what was straight
        x = plain + extra
        adata.X = (x if likelihood == "tobit" else rng.poisson(2 * x + 0.3)).astype(np.float32)
        if n == {0}:  # learned from cells without the programme, and held against others
            gr.tl.fit(adata, net, likelihood=likelihood, intercept=True, progress=False)
        gr.tl.unexplained(adata)
        assert adata.uns["grnrep"]["unexplained"]["n_programmes"] in n


def test_refuses(fitted, refuses):
    plain, _, net, options, _ = fitted
    bare, layered = plain.copy(), plain.copy()
    layered.layers["log"] = layered.X.copy()
    gr.tl.fit(layered, net, likelihood="gaussian", layer="log", **options)
    del layered.layers["log"]
    bare.uns = {}
    with refuses(KeyError, "key='grnrep'", "grnrep.tl.fit", adata=bare):
        gr.tl.unexplained(bare)
    with refuses(ValueError, "layers['log']", "Put it back", adata=layered):
        gr.tl.unexplained(layered)
    with refuses(ValueError, "n_genes", "found 0", adata=plain):
        gr.tl.unexplained(plain, n_genes=0)
    with refuses(TypeError, "rng", adata=plain):
        gr.tl.unexplained(plain, rng="0")
