"""Fits with noise of every gene: units, free factors, files, new cells, and what is asked wrongly."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr
from grnrep.core.choose import sample_size

SIZES = {"n_obs": 150, "n_vars": 120, "n_regulators": 8, "connectivity": 0.15}


@pytest.fixture(scope="module", params=["noise log-normal(1)", "ReLU, programmes"])
def data(request) -> tuple[ad.AnnData, pd.DataFrame]:
    return gr.validation.simulate_regime(request.param, rng=0, **SIZES)


@settings(deadline=None, max_examples=3, derandomize=True)
@given(seed=st.integers(0, 10), signed=st.booleans(), kind=st.sampled_from([0, -1]))
def test_units_of_single_genes_change_no_activity(seed, signed, kind):
    name = ["noise log-normal(1)", "ReLU, programmes"][kind]
    sizes = {"n_obs": 80, "n_vars": 60, "n_regulators": 4, "connectivity": 0.25}
    adata, net = gr.validation.simulate_regime(name, rng=seed, **sizes)
    adata.X = adata.X.astype(np.float64)
    net = net if signed else net[["source", "target"]]
    unit = 10.0 ** np.random.default_rng(seed).uniform(-2, 2, adata.n_vars)
    scaled = adata.copy()
    scaled.X = adata.X * unit
    for one in (adata, scaled):
        gr.tl.fit(one, net, progress=False)
    a, b = (one.obsm["grnrep"].to_numpy() for one in (adata, scaled))
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())
    sd = [one.uns["grnrep"]["genes"]["noise_sd"].to_numpy() for one in (adata, scaled)]
    genes = adata.var_names.get_indexer(adata.uns["grnrep"]["genes"].index)
    np.testing.assert_allclose(sd[0] * unit[genes], sd[1], rtol=1e-3)


@pytest.mark.usefixtures("quick_choices")
@pytest.mark.parametrize("seed", range(2))
def test_units_of_single_genes_change_nothing_at_low_load_either(seed):
    """With signs; and new cells have the activities that they have in the units of the fit."""
    adata, net = gr.ds.simulate(
        200, 160, n_regulators=40, connectivity=0.08, noise_sd=0.5, zero_fraction=0.75, rng=seed, progress=False
    )  # fmt: skip
    unit = (10.0 ** np.random.default_rng(seed).uniform(-2, 2, adata.n_vars)).astype(np.float32)
    scaled = adata.copy()
    scaled.X = adata.X * unit
    for one in (adata, scaled):
        gr.tl.fit(one, net, progress=False)
    params = adata.uns["grnrep"]["params"]
    assert params["effective_load"] < 1
    assert "ridge" not in params
    a, b = (one.obsm["grnrep"].to_numpy() for one in (adata, scaled))
    np.testing.assert_allclose(a, b, atol=2e-3 * np.abs(a).max())
    again = gr.tl.transform(scaled[:30].copy(), scaled, progress=False, copy=True)
    np.testing.assert_allclose(again.obsm["grnrep"], b[:30], atol=2e-3 * np.abs(a).max())
    assert gr.metrics.recovery(adata)["pearson"].mean() > 0.5


@pytest.mark.usefixtures("quick_choices")
def test_noise_of_genes_is_found_and_stored(data):
    adata, net = data
    fit = gr.tl.fit(adata, net, free_factors=10 if "true_programmes" in adata.obsm else 0,
                    progress=False, copy=True)  # fmt: skip
    genes = fit.uns["grnrep"]["genes"]
    truth = adata.var["noise_sd"].loc[genes.index]
    assert np.corrcoef(np.log(genes["noise_sd"]), np.log(truth))[0, 1] > 0.8


@pytest.mark.usefixtures("quick_choices")
def test_free_factors_are_set_beside_activities_and_used_for_new_cells(data, tmp_path):
    adata, net = data
    fit = gr.tl.fit(adata, net, free_factors=3, progress=False, copy=True)
    free, loadings = fit.obsm["grnrep_free"], fit.varm["grnrep_free"]
    assert list(free.columns) == ["free_1", "free_2", "free_3"] == list(loadings.columns)
    assert fit.uns["grnrep"]["params"]["free_factors"] == 3
    fit.write_h5ad(tmp_path / "fit.h5ad")
    read = ad.read_h5ad(tmp_path / "fit.h5ad")
    new = gr.tl.transform(adata[:20].copy(), read, progress=False, copy=True)
    for name in ("grnrep", "grnrep_free"):
        np.testing.assert_allclose(new.obsm[name], fit.obsm[name].iloc[:20], atol=2e-3)
    again = gr.tl.fit(fit, net, free_factors=0, progress=False, copy=True)
    assert "grnrep_free" not in again.obsm
    assert "grnrep_free" not in again.varm


@pytest.mark.parametrize(("name", "found"), [("programmes sd 1", 10), ("equal noise", 0)])
@pytest.mark.parametrize("signed", [True, False])
def test_as_many_free_factors_as_there_are_programmes(name, found, signed):
    sizes = {"n_obs": 300, "n_vars": 300, "n_regulators": 15, "connectivity": 0.1}
    adata, net = gr.validation.simulate_regime(name, rng=1, **sizes)
    gr.tl.fit(adata, net if signed else net[["source", "target"]], progress=False)
    assert adata.uns["grnrep"]["params"]["free_factors"] == found
    table = gr.metrics.recovery(adata)
    assert table["pearson"].abs().mean() > 0.9


@pytest.mark.usefixtures("quick_choices")
def test_passes_over_all_cells_do_not_lose(data, monkeypatch):
    adata, net = data
    monkeypatch.setattr(sample_size, "_FEWEST", 75)  # that are learned from before the passes
    monkeypatch.setattr(sample_size, "_PER_WEIGHT", 1)
    options = {"free_factors": 5 if "true_programmes" in adata.obsm else 0, "progress": False}
    some, every = (gr.tl.fit(adata, net, max_cells=n, copy=True, **options) for n in ("auto", None))
    assert [one.uns["grnrep"]["params"]["n_obs_learned"] for one in (some, every)] == [75, 150]
    assert every.uns["grnrep"]["history"]["objective"].size <= 30  # passes, and no search
    score = [gr.metrics.recovery(one)["pearson"].abs().mean() for one in (some, every)]
    assert score[1] > score[0] - 0.01


@pytest.mark.parametrize("options", [{"ridge": 0.1}, {"sign_shrinkage": 0.3}, {"likelihood": "nb"}])
def test_free_factors_beside_given_penalties_are_refused(options):
    adata, net = gr.ds.simulate(40, 30, n_regulators=2, connectivity=0.5, progress=False)
    if "likelihood" in options:
        adata.X = np.round(adata.X)
    with pytest.raises(ValueError, match="free_factors must be 'auto' or 0"):
        gr.tl.fit(adata, net, free_factors=2, progress=False, **options)
    assert "grnrep" not in adata.uns


@pytest.mark.usefixtures("quick_choices")
def test_free_factors_that_are_asked_for_are_there_at_any_load():
    adata, net = gr.ds.simulate(
        40, 60, n_regulators=20, connectivity=0.1, zero_fraction=0.9, progress=False
    )
    gr.tl.fit(adata, net, free_factors=2, max_iter=5, progress=False)
    assert adata.uns["grnrep"]["params"]["effective_load"] < 1
    assert adata.obsm["grnrep_free"].shape == (40, 2)


@pytest.mark.parametrize("wrong", [-1, 2.5, "many"])
def test_a_number_of_free_factors_that_is_none_is_refused(wrong):
    adata, net = gr.ds.simulate(40, 30, n_regulators=2, connectivity=0.5, progress=False)
    with pytest.raises((ValueError, TypeError), match="free_factors"):
        gr.tl.fit(adata, net, free_factors=wrong, progress=False)


def test_signs_that_predict_nothing_are_said(caplog):
    adata, net = gr.validation.simulate_regime("equal noise", rng=0, **SIZES)
    rng = np.random.default_rng(0)
    wrong = net.assign(weight=rng.choice([-1.0, 1.0], len(net)))
    with caplog.at_level(logging.WARNING, logger="grnrep"):
        gr.tl.fit(adata, wrong, progress=False)
    assert "no better than chance" in caplog.text
