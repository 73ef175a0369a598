"""How many cells a network is repaired from."""

from __future__ import annotations

import numpy as np
import pytest

import grnrep as gr
from grnrep.tl import _choose

OPTIONS = {"repair": True, "ridge": 1e-3, "intercept": False, "progress": False}


@pytest.fixture
def used(monkeypatch):
    """Expression that the network was repaired from, call by call."""
    calls = []

    def recording(x, network, **options):
        calls.append(x)
        return whole(x, network, **options)

    whole = _choose.repair_network
    monkeypatch.setattr(_choose, "repair_network", recording)
    return calls


def simulate(n_obs):
    adata, true = gr.ds.simulate(
        n_obs, 60, n_regulators=6, connectivity=0.3, noise_sd=0.2, rng=0, progress=False
    )
    net = gr.ds.corrupt_network(true, missing=0.2, false=0.2, rng=0)[["source", "target"]]
    return adata, net, true


def right(adata, true):
    edges = adata.uns["grnrep"]["network"][["source", "target"]]
    return len(edges.merge(true, on=["source", "target"])) / len(edges)


def test_a_random_part_of_many_cells_is_enough(used, monkeypatch):
    assert _choose._FEWEST_CELLS == 2000
    monkeypatch.setattr(_choose, "_FEWEST_CELLS", 800)  # the same with less to compute
    adata, net, true = simulate(1040)
    options = OPTIONS | {"max_cells": 300, "rng": 3}
    gr.tl.fit(adata, net, **options)
    genes = sorted(set(net["target"]))
    assert used[0].shape == (800, len(genes))
    rows = [tuple(row) for row in adata[:, genes].X]
    place = {row: k for k, row in enumerate(rows)}
    drawn = [place[tuple(row)] for row in used[0]]
    assert len(set(drawn)) == 800
    assert max(drawn) > 1000
    assert adata.obsm["grnrep"].shape == (1040, 6)
    assert np.isfinite(adata.obsm["grnrep"].to_numpy()).all()
    assert right(adata, true) > 0.9

    shuffled = adata[np.random.default_rng(1).permutation(1040)].copy()
    gr.tl.fit(shuffled, net, **options)
    np.testing.assert_array_equal(used[1], used[0])
    assert shuffled.uns["grnrep"]["repair"].equals(adata.uns["grnrep"]["repair"])


def test_few_cells_are_all_used(used):
    adata, net, _ = simulate(400)
    gr.tl.fit(adata, net, **OPTIONS)
    assert len(used[0]) == 400
