"""Shuffled networks keep every degree; a network that was drawn at random explains no more than they do."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.stats

import grnrep as gr
from grnrep.validation import network_information, shuffled_network
from grnrep.validation.regulation.shuffle import explained_variance


def random_net(seed, n_genes=40, n_regulators=12):
    rng = np.random.default_rng(seed)
    edges = rng.random((n_regulators, n_genes)) < rng.uniform(0.05, 0.6, size=(n_regulators, 1))
    source, target = np.nonzero(edges)
    weight = rng.choice([-1.0, 1.0, np.nan], size=len(source))
    return pd.DataFrame(
        {"source": [f"R{j}" for j in source], "target": [f"g{i}" for i in target], "weight": weight}
    )


@pytest.mark.parametrize("seed", range(5))
def test_keeps_every_degree_and_the_weights_of_a_regulator(seed):
    net = random_net(seed)
    out = shuffled_network(net, rng=seed)
    assert not out.duplicated(["source", "target"]).any()
    assert Counter(out["source"]) == Counter(net["source"])
    assert Counter(out["target"]) == Counter(net["target"])
    count = {"dropna": False}
    pd.testing.assert_series_equal(
        out.groupby("source")["weight"].value_counts(**count).sort_index(),
        net.groupby("source")["weight"].value_counts(**count).sort_index(),
    )
    before, after = (set(zip(n["source"], n["target"], strict=True)) for n in (net, out))
    assert len(before & after) < 0.7 * len(before)


def test_every_network_of_the_same_degrees_is_equally_likely():
    """Oracle: all 3 × 4 tables with these margins, enumerated."""
    rows, columns = [2, 2, 1], [2, 1, 1, 1]
    choices = [list(combinations(range(4), r)) for r in rows]
    tables = {
        (a, b, c)
        for a in choices[0]
        for b in choices[1]
        for c in choices[2]
        if np.array_equal(np.bincount([*a, *b, *c], minlength=4), columns)
    }
    net = pd.DataFrame({"source": list("AABBC"), "target": list("uvuwx")})
    place = {name: i for i, name in enumerate("uvwx")}
    rng = np.random.default_rng(0)
    seen = Counter()
    for _ in range(200):
        out = shuffled_network(net, rng=rng)
        seen[
            tuple(
                tuple(sorted(place[t] for t in out.loc[out["source"] == s, "target"]))
                for s in "ABC"
            )
        ] += 1
    assert set(seen) == tables
    assert scipy.stats.chisquare(list(seen.values())).pvalue > 1e-3


def test_weights_go_to_targets_at_random():
    """A weight of one regulator lands on each of its targets equally often."""
    net = pd.DataFrame({"source": ["A"] * 4, "target": list("uvwx"), "weight": [1.0, -1, -1, -1]})
    rng = np.random.default_rng(1)
    up = Counter(
        t for _ in range(100) for t in shuffled_network(net, rng=rng).query("weight > 0")["target"]
    )
    assert scipy.stats.chisquare([up[name] for name in "uvwx"]).pvalue > 1e-3


def test_the_order_of_edges_does_not_matter_and_the_seed_does():
    net = random_net(0)
    first = shuffled_network(net, rng=3)
    pd.testing.assert_frame_equal(
        first, shuffled_network(net.sample(frac=1, random_state=0), rng=3)
    )
    assert not first.equals(shuffled_network(net, rng=4))
    assert list(shuffled_network(net[["source", "target"]])) == ["source", "target"]


def test_one_regulator_or_complete_network_is_left_as_it_is():
    for sources in ("A", "ABC"):
        net = pd.DataFrame([(s, t) for s in sources for t in "uvw"], columns=["source", "target"])
        pd.testing.assert_frame_equal(shuffled_network(net), net)


def test_network_that_made_the_data_stands_out():
    adata, net = gr.ds.simulate(n_obs=150, n_vars=150, n_regulators=15, noise_sd=0.5, rng=1)
    answer = network_information(adata, net, n_shuffles=9, progress=False)
    assert answer.p_value == 0.1
    assert answer.z > 5
    assert answer.real > answer.shuffled.max() + 0.2
    assert f"p = {answer.p_value:.3g}" in str(answer)


@pytest.mark.usefixtures("quick_choices")
def test_random_networks_do_not_stand_out():
    """p-values of networks that have nothing to do with the data are uniform on 1/4, ..., 1."""
    adata, net = gr.ds.simulate(n_obs=30, n_vars=40, n_regulators=5, noise_sd=0.5, rng=2)
    p = [
        network_information(
            adata, shuffled_network(net, rng=100 + k), n_shuffles=3, rng=k, progress=False
        ).p_value
        for k in range(8)
    ]
    # 8 draws from four values: their mean is 0.625, with a standard deviation of 0.1
    assert 0.38 <= np.mean(p) <= 0.87


@pytest.mark.usefixtures("quick_choices")
def test_signs_and_weights_are_not_used_and_order_does_not_matter():
    adata, net = gr.ds.simulate(n_obs=40, n_vars=60, n_regulators=6, rng=3)
    one = network_information(adata, net, n_shuffles=2, progress=False)
    shuffled = adata[np.random.default_rng(0).permutation(40), ::-1].copy()
    two = network_information(
        shuffled, net[["source", "target"]].iloc[::-1], n_shuffles=2, progress=False
    )
    assert one.real == two.real
    np.testing.assert_array_equal(one.shuffled, two.shuffled)


def test_held_out_values_have_no_influence_on_their_prediction():
    """Other values in the held-out places: the same predictions, so the error changes as a square does."""
    rng = np.random.default_rng(0)
    network = gr.core.network.Network.from_edges(
        np.arange(12), np.arange(12) % 2, np.zeros(12), 12, 2
    )
    z = rng.normal(size=(30, 2))
    x = (z[:, np.arange(12) % 2] * rng.uniform(0.5, 1, 12)).astype(np.float32)
    held = rng.random(x.shape) < 0.1
    model = {"likelihood": "gaussian", "intercept": False, "rng": 0}
    mean = np.where(held, 0, x).sum(0) / (~held).sum(0)

    def error(shift):
        y = np.where(held, x + shift, x).astype(np.float32)
        spread = np.square(y - mean)[held].sum()
        return (1 - explained_variance(y, network, held, **model)) * spread

    at = np.array([error(shift) for shift in (-1.0, 0.0, 1.0, 2.0)])
    second = np.diff(at, 2)
    np.testing.assert_allclose(second, 2 * held.sum(), rtol=1e-4)
    assert at[1] < 0.02 * np.square(x - mean)[held].sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_shuffles": 0}, "n_shuffles must be at least 1"),
        ({"max_cells": 5}, "max_cells must be at least 10"),
        ({"rng": -1}, "rng must be at least 0"),
    ],
)
def test_refuses(change, message):
    adata, net = gr.ds.simulate(n_obs=20, n_vars=30, n_regulators=3)
    with pytest.raises(ValueError, match=message):
        network_information(adata, net, **change)


def test_refuses_too_few_cells():
    adata = anndata.AnnData(np.ones((3, 1)), var=pd.DataFrame(index=["g"]))
    with pytest.raises(ValueError, match=r"at least 10 cell\(s\); found 3"):
        network_information(adata, pd.DataFrame({"source": ["A"], "target": ["g"]}))
