"""Repair as part of a fit: what is stored, and when it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import grnrep as gr

OPTIONS = {"ridge": 1e-3, "intercept": False, "progress": False}


@pytest.fixture(scope="module")
def repaired():
    adata, true = gr.ds.simulate(
        300, 200, n_regulators=20, connectivity=0.2, noise_sd=0.2, rng=0, progress=False
    )
    net = gr.ds.corrupt_network(true, missing=0.2, false=0.2, rng=1)[["source", "target"]]
    gr.tl.fit(adata, net, repair=True, **OPTIONS)
    return adata, net, true


def test_better_than_without(repaired):
    adata, net, _ = repaired
    plain = gr.tl.fit(adata, net, key_added="plain", copy=True, **OPTIONS)
    pcc = gr.metrics.recovery(adata)["pearson"].mean()
    assert pcc > 0.95
    assert pcc > gr.metrics.recovery(plain, key="plain")["pearson"].mean() + 0.02


def test_table_says_what_became_of_every_edge(repaired):
    adata, net, true = repaired
    record = adata.uns["grnrep"]
    table, edges = record["repair"], record["network"]
    assert set(table["status"]) == {"kept", "dropped", "added"}
    pairs = ["source", "target"]
    assert set(map(tuple, table.loc[table["prior"], pairs].to_numpy())) == set(
        map(tuple, net.to_numpy())
    )
    inside = table[table["status"] != "dropped"].reset_index(drop=True)
    assert inside[pairs].equals(edges[pairs])
    np.testing.assert_allclose(inside["learned"], edges["learned"])
    known = inside.merge(true, on=pairs)
    assert len(known) / len(inside) > 0.85
    assert np.corrcoef(known["learned"], known["weight"])[0, 1] > 0.9
    assert (inside["std_err"] > 0).mean() > 0.6


def test_what_became_of_edges_is_said(repaired, caplog):
    adata, net, _ = repaired
    with caplog.at_level("INFO", logger="grnrep"):
        gr.tl.fit(adata[:100].copy(), net, repair=True, max_iter=3, **OPTIONS)
    assert "repair: {'kept'" in caplog.text


def test_new_cells_use_the_repaired_network(repaired, tmp_path):
    adata, *_ = repaired
    new = adata[:20].copy()
    gr.tl.transform(new, adata, progress=False)
    np.testing.assert_allclose(new.obsm["grnrep"], adata.obsm["grnrep"].iloc[:20], atol=1e-3)
    adata.write_h5ad(tmp_path / "fit.h5ad")


def test_low_load_is_refused_with_the_load(small, refuses):
    adata, net = small(n_obs=3)
    with refuses(ValueError, "repair needs an effective load of at least 2", "found", adata=adata):
        gr.tl.fit(adata, net, repair=True, progress=False)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"repair": "yes"}, TypeError, "repair must be True or False"),
    ],
)
def test_choices(small, refuses, options, error, message):
    adata, net = small()
    with refuses(error, message, adata=adata):
        gr.tl.fit(adata, net, progress=False, **options)
