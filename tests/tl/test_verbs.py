"""Repair and posterior as verbs of their own: the same as with the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep.core import repair as rounds

pytestmark = pytest.mark.usefixtures("quick_choices")


def simulate(n_vars=60):
    adata, true = gr.ds.simulate(
        150, n_vars, n_regulators=6, connectivity=0.3, noise_sd=0.2, rng=0, progress=False
    )
    adata.obs["batch"] = np.where(np.arange(150) % 3, "one", "two")
    return adata, true


@pytest.mark.usefixtures("short_chain")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"covariates": ["batch"], "ridge": 0.01},
        {"signed": False, "max_cells": 60, "max_iter": 20},
        {"repair": True, "ridge": 1e-3},
    ],
    ids=str,
)
def test_a_posterior_is_that_of_a_fit_with_uncertainty(options):
    adata, net = simulate()
    wanted = gr.tl.fit(adata, net, uncertainty=True, progress=False, copy=True, **options)
    gr.tl.fit(adata, net, progress=False, **options)
    gr.tl.posterior(adata, progress=False)
    for name in ("grnrep", "grnrep_sd"):
        pd.testing.assert_frame_equal(adata.obsm[name], wanted.obsm[name], check_exact=True)
    one, other = adata.uns["grnrep"], wanted.uns["grnrep"]
    assert set(one) == set(other)
    for name in ("network", "genes", "regulators"):
        pd.testing.assert_frame_equal(one[name], other[name], check_exact=True)
    assert one["params"] == other["params"]


def test_a_posterior_of_counts():
    adata, net = simulate()
    draw = np.random.default_rng(0)
    adata.X = draw.poisson(5 * adata.X * draw.uniform(1, 3, (150, 1))).astype(np.float32)
    edges = net[["source", "target"]]
    wanted = gr.tl.fit(adata, edges, likelihood="nb", uncertainty=True, progress=False, copy=True)
    gr.tl.fit(adata, edges, likelihood="nb", progress=False)
    gr.tl.posterior(adata, progress=False)
    pd.testing.assert_frame_equal(adata.obsm["grnrep_sd"], wanted.obsm["grnrep_sd"])


def test_a_posterior_is_of_the_cells_of_its_fit(refuses):
    adata, net = simulate()
    with refuses(KeyError, "key='grnrep' is no fit", adata=adata):
        gr.tl.posterior(adata)
    gr.tl.fit_gradient(adata, net, epochs=1, key_added="recipe", progress=False)
    with refuses(ValueError, "by gradients, which has no posterior", adata=adata):
        gr.tl.posterior(adata, key="recipe")
    gr.tl.fit(adata, net, ridge=0.1, sign_shrinkage=0.1, max_iter=2, progress=False)
    fewer = adata[:100].copy()
    with refuses(ValueError, "a fit of these 100 cells; found one of 150", adata=fewer):
        gr.tl.posterior(fewer)


def test_a_network_is_repaired_as_in_a_fit(monkeypatch):
    adata, true = simulate()
    net = gr.ds.corrupt_network(true, missing=0.2, false=0.2, rng=0)[["source", "target"]]
    fitted = gr.tl.fit(adata, net, repair=True, progress=False, copy=True)
    repaired = gr.tl.repair(adata, net, progress=False)
    pairs = ["source", "target"]
    pd.testing.assert_frame_equal(repaired[pairs], fitted.uns["grnrep"]["network"][pairs])
    table, wanted = adata.uns["repair"], fitted.uns["grnrep"]["repair"]
    same = [*pairs, "prior", "status", "fdr"]
    pd.testing.assert_frame_equal(table[same], wanted[same])
    assert set(repaired["status"]) == {"kept", "added"}
    assert (table["status"] == "dropped").any()
    monkeypatch.setattr(rounds, "_MAX_ROUNDS", 1)
    gr.tl.repair(adata, net, progress=False)  # its own table is replaced
    assert not adata.uns["repair"].equals(table)
    adata.uns["mine"] = table[pairs]
    with pytest.raises(ValueError, match="is no table of this verb"):
        gr.tl.repair(adata, net, key_added="mine", progress=False)
    whole = gr.tl.fit(adata, repaired, ridge=0.1, max_iter=2, progress=False, copy=True)
    pd.testing.assert_frame_equal(whole.uns["grnrep"]["network"][pairs], repaired[pairs])


def test_counts_are_not_repaired(refuses):
    adata, net = simulate()
    adata.X = np.random.default_rng(0).poisson(adata.X).astype(np.float32)
    with refuses(ValueError, "repair needs likelihood='gaussian' or 'tobit'", adata=adata):
        gr.tl.repair(adata, net, likelihood="nb", progress=False)
