"""Regulators with too few targets fall out of every verb alike, are listed, and leave no trace in the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr
from grnrep._match import match

QUICK = {"ridge": 0.1, "sign_shrinkage": 0.0, "max_iter": 3, "progress": False}


@pytest.fixture
def uneven(small):
    """Data, a network whose regulators two, three and none have as many targets, and the part without them."""
    adata, net = small()
    few = {
        "two": [*adata.var_names[:2], "absent1"],
        "three": adata.var_names[:3],
        "none": ["absent2"],
    }
    extra = [(source, target, 1.0) for source, targets in few.items() for target in targets]
    return adata, pd.concat([net, pd.DataFrame(extra, columns=net.columns)]), net


def test_a_fit_is_that_of_the_network_without_them(uneven, caplog):
    adata, net, rest = uneven
    found, wanted = (gr.tl.fit(adata, table, copy=True, **QUICK) for table in (net, rest))
    pd.testing.assert_frame_equal(found.obsm["grnrep"], wanted.obsm["grnrep"], check_exact=True)
    for part in ("network", "regulators", "genes"):
        pd.testing.assert_frame_equal(found.uns["grnrep"][part], wanted.uns["grnrep"][part])
    assert "2 of 7 regulators of net have fewer than min_targets=5 targets" in caplog.text
    assert "'three', 'two'" in caplog.text


def test_who_falls_out_is_listed_with_the_reason(uneven):
    adata, net, _ = uneven
    gr.tl.fit(adata, net, **QUICK)
    dropped = adata.uns["grnrep"]["dropped_regulators"]
    assert dropped["n_targets"].to_dict() == {"none": 0, "three": 3, "two": 2}
    assert dropped["n_signed"].to_dict() == {"none": 0, "three": 3, "two": 2}
    assert dropped["reason"].to_dict() == {
        "none": "no target among the genes",
        "three": "fewer than 5 targets among the genes",
        "two": "fewer than 5 targets among the genes",
    }
    report = gr.pp.check_network(adata, net).regulators
    assert report["reason"][~report["kept"]].to_dict() == dropped["reason"].to_dict()
    assert report["n_signed"]["three"] == report["n_targets_found"]["three"] == 3


@pytest.mark.parametrize("verb", ["fit", "fit_gradient", "repair", "check_network"])
def test_every_verb_leaves_out_the_same(uneven, verb):
    adata, net, rest = uneven
    for least, wanted in {1: {*net["source"]} - {"none"}, 3: {*rest["source"], "three"}}.items():
        if verb == "check_network":
            table = gr.pp.check_network(adata, net, min_targets=least).regulators
            found = table.index[table["kept"]]
        elif verb == "repair":
            gr.tl.repair(adata, net, min_targets=least, progress=False)
            found = adata.uns["repair"]["source"]
        else:
            options = QUICK if verb == "fit" else {"epochs": 1, "progress": False}
            getattr(gr.tl, verb)(adata, net, min_targets=least, **options)
            found = adata.obsm["grnrep"].columns
        assert {*found} == wanted


@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data(), least=st.integers(1, 6))
def test_what_is_kept_hangs_on_numbers_alone(small, data, least):
    adata, _ = small()
    genes = st.lists(st.sampled_from([*adata.var_names, "x", "y"]), min_size=1, unique=True)
    targets = data.draw(st.dictionaries(st.sampled_from("ABCDEF"), genes, min_size=1))
    rows = data.draw(st.permutations([(s, t) for s, names in targets.items() for t in names]))
    net = pd.DataFrame(rows, columns=["source", "target"])
    n_targets = {s: sum(t in adata.var_names for t in names) for s, names in targets.items()}
    kept = sorted(s for s, n in n_targets.items() if n >= least)
    if not kept:
        with pytest.raises(ValueError, match=r"min_targets=|no target among"):
            match(net, adata, min_targets=least)
        return
    found = match(net, adata, min_targets=least)
    assert list(found.regulators) == kept
    wanted = {s: n for s, n in sorted(n_targets.items()) if n < least}
    assert list(found.dropped.index) == list(wanted)
    assert found.dropped["n_targets"].to_dict() == wanted
    assert np.array_equal(found.network.targets_per_regulator(), [n_targets[s] for s in kept])
    assert not {*found.edges["source"]} & {*wanted}


def test_where_all_fall_out_the_option_is_named(uneven, refuses):
    adata, net, rest = uneven
    few = net[~net["source"].isin(rest["source"])]
    with refuses(ValueError, "min_targets=5 leaves no regulator", "'three', has 3", adata=adata):
        gr.tl.fit(adata, few, **QUICK)
    with refuses(ValueError, "min_targets=5 leaves no regulator", adata=adata):
        gr.pp.check_network(adata, few)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (2.0, TypeError), (True, TypeError)])
def test_other_values_are_refused(uneven, refuses, value, error):
    adata, net, _ = uneven
    for verb in (gr.tl.fit, gr.pp.check_network, gr.tl.repair, gr.tl.fit_gradient):
        with refuses(error, "min_targets must be", adata=adata):
            verb(adata, net, min_targets=value)


def test_a_posterior_has_the_same_regulators(uneven, short_chain):
    adata, net, _ = uneven
    gr.tl.fit(adata, net, likelihood="tobit", max_iter=3, progress=False)
    before = adata.uns["grnrep"]
    gr.tl.posterior(adata, progress=False)
    after = adata.uns["grnrep"]
    pd.testing.assert_frame_equal(after["dropped_regulators"], before["dropped_regulators"])
    assert list(after["regulators"].index) == list(before["regulators"].index)
