"""Uncertainty as part of a fit: what is stored, and whether intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

import grnrep as gr
from grnrep.core.posterior import sample as posterior
from grnrep.tl import _posterior

OPTIONS = {"ridge": 1e-3, "intercept": False, "progress": False}


def simulated(n_obs):
    return gr.ds.simulate(
        n_obs, 200, n_regulators=15, connectivity=0.15, noise_sd=0.5, rng=0, progress=False
    )


@pytest.mark.parametrize("limit", [1000, 60])
def test_intervals_hold_the_truth_also_of_cells_outside_the_chain(monkeypatch, limit, tmp_path):
    monkeypatch.setattr(_posterior, "_MAX_CELLS", limit)
    monkeypatch.setattr(posterior, "_MOST", 200)
    adata, net = simulated(120)
    edges = net[["source", "target"]]
    gr.tl.fit(adata, edges, uncertainty=True, **OPTIONS)
    z, sd, truth = (adata.obsm[k] for k in ("grnrep", "grnrep_sd", "true_activity"))
    truth = truth[z.columns]
    scale = (z * truth).sum() / (z**2).sum()  # that of an activity is a convention
    covered = ((z * scale - truth).abs() <= 1.96 * sd * scale.abs()).to_numpy().mean()
    assert 0.9 < covered < 0.99
    record = adata.uns["grnrep"]
    assert (record["network"]["std_err"] > 0).mean() > 0.95
    assert record["genes"]["noise_variance"].median() == pytest.approx(0.25, rel=0.3)
    assert record["regulators"]["rhat"].median() < 1.2
    adata.write_h5ad(tmp_path / "fit.h5ad")

    gr.tl.fit(adata, edges, max_iter=5, **OPTIONS)
    assert "grnrep_sd" not in adata.obsm
    assert "std_err" not in adata.uns["grnrep"]["network"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"uncertainty": 1}, TypeError, "uncertainty must be True or False; found 1"),
    ],
)
def test_choices(small, refuses, options, error, message):
    adata, net = small()
    with refuses(error, message, adata=adata):
        gr.tl.fit(adata, net, progress=False, **options)


def test_deviations_fall_with_more_certain_data(monkeypatch):
    monkeypatch.setattr(posterior, "_MOST", 100)
    adata, net = simulated(80)
    quiet, _ = gr.ds.simulate(
        80, 200, n_regulators=15, connectivity=0.15, noise_sd=0.1, rng=0, progress=False
    )
    for data in (adata, quiet):
        gr.tl.fit(data, net[["source", "target"]], uncertainty=True, **OPTIONS)
    assert np.median(quiet.obsm["grnrep_sd"]) < 0.5 * np.median(adata.obsm["grnrep_sd"])
