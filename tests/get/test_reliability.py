"""How much of an activity one cell tells: closed form, and what recovery comes out."""

from __future__ import annotations

import numpy as np
import pytest

import grnrep as gr
from grnrep._record import read_decoder
from grnrep._reliability import reliability


def _simulated(noise_sd: float):
    adata, net = gr.ds.simulate(
        300, 200, n_regulators=20, connectivity=0.06, noise_sd=noise_sd, rng=1, progress=False
    )
    adata.X += np.random.default_rng(0).normal(0, 1e-3, adata.shape)  # no exact zeros: gaussian
    return adata, net.assign(weight=np.sign(net["weight"]))


@pytest.mark.parametrize("noise_sd", [0.5, 2.0])
def test_it_foretells_recovery(noise_sd):
    adata, net = _simulated(noise_sd)
    gr.tl.fit(adata, net, free_factors=0, progress=False)
    found = gr.get.activity(adata).var["reliability"]
    squared = gr.metrics.recovery(adata)["pearson"].reindex(found.index) ** 2
    assert abs(found.mean() - squared.mean()) < 0.12
    assert np.corrcoef(found, squared)[0, 1] > 0.6


def test_closed_form_of_one_regulator():
    adata, net = gr.ds.simulate(100, 30, n_regulators=1, connectivity=1.0, rng=0, progress=False)
    adata.X = adata.X - adata.X.mean(axis=0)
    gr.tl.fit(adata, net, free_factors=0, progress=False)
    record = adata.uns["grnrep"]
    w = gr.get.network(adata).set_index("target")["learned"]
    information = np.sum((w / record["genes"]["noise_sd"].reindex(w.index)) ** 2)
    variance = record["regulators"]["variance"].iloc[0]
    found = gr.get.activity(adata).var["reliability"].iloc[0]
    np.testing.assert_allclose(found, information / (information + 1 / variance))


def test_targets_that_are_shared_count_once():
    adata, net = _simulated(1.0)
    gr.tl.fit(adata, net, free_factors=0, progress=False)
    decoder = read_decoder(adata, "grnrep")
    joint = reliability(decoder, adata.uns["grnrep"]["genes"])
    genes = adata.uns["grnrep"]["genes"]
    precision = (1 - genes["share_zero"] * (decoder.link == "relu")) / genes["noise_sd"] ** 2
    alone = (
        decoder.weights().multiply(precision.to_numpy()[:, None]).multiply(decoder.weights())
    ).sum(0)
    if np.allclose(decoder.fit.covariance, np.diag(decoder.fit.covariance.diagonal())):
        alone = alone / (alone + 1 / decoder.fit.covariance.diagonal())
        assert (joint <= alone + 1e-12).all()
    assert ((joint >= 0) & (joint <= 1)).all()


def test_penalised_fits_have_none(small):
    adata, net = small()
    gr.tl.fit(adata, net, ridge=0.1, sign_shrinkage=0.0, max_iter=3, progress=False)
    var = gr.get.activity(adata).var
    assert "reliability" not in var
    assert {"n_targets", "group", "sign_confidence"} <= {*var}
