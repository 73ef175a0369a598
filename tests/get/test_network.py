"""Edges of a fit as a table: by name, with what a fit, a posterior and a repair know of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr

QUICK = {"ridge": 0.1, "sign_shrinkage": 0.0, "max_iter": 3, "progress": False}


@pytest.fixture(scope="module")
def fitted(small):
    adata, net = small()
    few = pd.DataFrame({"source": "few", "target": adata.var_names[:2], "weight": 1.0})
    gr.tl.fit(adata, pd.concat([net, few]), **QUICK)
    return adata, net


def test_every_edge_is_there_with_its_prior_and_its_learned_weight(fitted):
    adata, net = fitted
    table = gr.get.network(adata)
    assert list(table.columns) == ["source", "target", "weight", "learned", "status"]
    both = table.merge(net, on=["source", "target"], suffixes=("", "_prior"))
    assert len(both) == len(table) == len(net)
    pd.testing.assert_series_equal(both["weight"], both["weight_prior"], check_names=False)
    genes, regulators = adata.var_names, adata.uns["grnrep"]["regulators"].index
    place = genes.get_indexer(table["target"]), regulators.get_indexer(table["source"])
    np.testing.assert_array_equal(
        adata.varm["grnrep"].toarray()[place], np.float32(table["learned"])
    )
    assert set(table["status"]) == {"kept"}


@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=st.integers(0, 1000))
def test_the_strongest_come_first_whatever_the_order_in_the_record(fitted, seed):
    adata, _ = fitted
    wanted = gr.get.network(adata)
    assert wanted["source"].is_monotonic_increasing
    assert (
        wanted.groupby("source")["learned"].apply(lambda w: w.abs().is_monotonic_decreasing).all()
    )
    moved = adata.copy()
    record = moved.uns["grnrep"]
    record["network"] = record["network"].sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(gr.get.network(moved), wanted)
    for name, part in wanted.groupby("source"):
        found = gr.get.network(moved, name)
        pd.testing.assert_frame_equal(found, part.reset_index(drop=True))


def test_changing_it_changes_nothing(fitted, digest):
    adata, _ = fitted
    before = digest(adata)
    table = gr.get.network(adata)
    table.loc[:, "learned"] = 0.0
    assert digest(adata) == before


def test_a_regulator_that_is_not_there_is_refused_with_the_reason(fitted, refuses):
    adata, net = fitted
    name = net["source"][0]
    with refuses(KeyError, "'few' was left out", "fewer than 5 targets", adata=adata):
        gr.get.network(adata, "few")
    with refuses(KeyError, "is not in the fit", f"(closest: '{name}'", adata=adata):
        gr.get.network(adata, name.lower())
    with refuses(KeyError, "is no fit in adata.uns", adata=adata):
        gr.get.network(adata, key="other")


def test_a_repair_says_what_became_of_every_edge(quick_choices, short_chain):
    adata, true = gr.ds.simulate(200, 60, n_regulators=4, connectivity=0.3, rng=0, progress=False)
    net = gr.ds.corrupt_network(true, false=0.2, missing=0.1, targets=adata.var_names, rng=0)
    net["weight"] = np.sign(net["weight"])
    gr.tl.fit(adata, net, repair=True, progress=False)
    table, repaired = gr.get.network(adata), adata.uns["grnrep"]["repair"]
    assert table["status"].value_counts().to_dict() == repaired["status"].value_counts().to_dict()
    assert {*table["status"]} >= {"kept", "dropped"}
    fit = adata.uns["grnrep"]["network"].set_index(["source", "target"])
    kept = table[table["status"] != "dropped"].set_index(["source", "target"])
    assert len(kept) == len(fit)
    pd.testing.assert_series_equal(kept["learned"], fit["learned"].reindex(kept.index))
    assert table["std_err"].isna().sum() == repaired["std_err"].isna().sum()
    before = table.set_index(["source", "target"])["std_err"]

    gr.tl.posterior(adata, progress=False)
    table = gr.get.network(adata).set_index(["source", "target"])
    drawn = adata.uns["grnrep"]["network"].set_index(["source", "target"])["std_err"]
    pd.testing.assert_series_equal(table["std_err"].reindex(drawn.index), drawn)
    dropped = table.index[table["status"] == "dropped"]
    pd.testing.assert_series_equal(table["std_err"][dropped], before[dropped])


def test_a_model_has_its_edges_too(fitted, tmp_path):
    adata, _ = fitted
    gr.io.save(adata, tmp_path / "model.zarr")
    model = gr.io.load(tmp_path / "model.zarr")
    pd.testing.assert_frame_equal(gr.get.network(model), gr.get.network(adata))
