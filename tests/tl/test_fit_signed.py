"""Which weights of a network are believed as signs."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr

QUICK = {
    "ridge": 0.01,
    "sign_shrinkage": 0.3,
    "intercept": False,
    "max_iter": 4,
    "progress": False,
    "copy": True,
}


def _same(a, b):
    pd.testing.assert_frame_equal(a.obsm["grnrep"], b.obsm["grnrep"], check_exact=True)
    np.testing.assert_array_equal(a.varm["grnrep"].toarray(), b.varm["grnrep"].toarray())
    for table in ("network", "regulators", "genes"):
        pd.testing.assert_frame_equal(
            a.uns["grnrep"][table], b.uns["grnrep"][table], check_exact=True
        )
    assert a.uns["grnrep"]["params"] == b.uns["grnrep"]["params"]


@settings(deadline=None, max_examples=6, derandomize=True)
@given(
    share=st.sampled_from([0.0, 0.3, 0.9]),
    other=st.sampled_from([0.0, np.nan]),
    whole=st.booleans(),
)
def test_a_network_of_ones_is_one_without_signs(small, share, other, whole):
    adata, net = small(n_obs=20)
    unknown = np.random.default_rng(0).random(len(net)) < share
    ones = net.assign(weight=np.where(unknown, other, 1.0))
    if whole and not np.isnan(other):
        ones["weight"] = ones["weight"].astype(int)
    bare = gr.tl.fit(adata, net[["source", "target"]], **QUICK)
    _same(gr.tl.fit(adata, ones, **QUICK), bare)
    assert bare.uns["grnrep"]["params"]["signed"] is False
    report = gr.pp.check_network(adata, ones)
    assert report.summary["n_edges_signed"] == 0
    pd.testing.assert_series_equal(
        report.summary, gr.pp.check_network(adata, net.drop(columns="weight")).summary
    )


@pytest.mark.parametrize(
    "weights", [(1.0, -1.0), (1.0, 0.5), (2.0, 2.0), (-1.0, -1.0), (1.0, 1.0 + 1e-6)]
)
def test_any_other_weight_says_that_there_are_signs(small, caplog, weights):
    adata, net = small()
    net["weight"] = weights[0]
    net.loc[0, "weight"] = weights[1]
    found = gr.tl.fit(adata, net, **QUICK).uns["grnrep"]
    assert found["params"]["signed"] is True
    assert found["regulators"]["n_signed"].sum() == len(net)
    assert "taken as unknown" not in caplog.text


def test_the_user_has_the_last_word(small, caplog):
    adata, net = small()
    ones = net.assign(weight=1.0)
    believed = gr.tl.fit(adata, ones, signed=True, **QUICK)
    assert believed.uns["grnrep"]["params"]["signed"] is True
    assert believed.uns["grnrep"]["regulators"]["n_signed"].sum() == len(net)
    assert gr.pp.check_network(adata, ones, signed=True).summary["n_edges_signed"] == len(net)
    assert "signs" not in caplog.text
    _same(
        gr.tl.fit(adata, net, signed=False, **QUICK),
        gr.tl.fit(adata, net[["source", "target"]], **QUICK),
    )


def test_ones_are_spoken_of_once_with_both_remedies(small, caplog):
    adata, net = small()
    gr.tl.fit(adata, net.assign(weight=1.0), **QUICK)
    warned = [
        r.getMessage()
        for r in caplog.records
        if r.levelno >= logging.WARNING and "signs" in r.message
    ]
    assert len(warned) == 1
    for fragment in (f"all {len(net)} weights", "signed=True", "leave out the column 'weight'"):
        assert fragment in warned[0]


def test_the_whole_network_is_judged_not_the_part_among_the_genes(small):
    adata, net = small()
    net["weight"] = 1.0
    elsewhere = pd.DataFrame({"source": [net["source"][0]], "target": ["absent"], "weight": [-1.0]})
    found = gr.tl.fit(adata, pd.concat([net, elsewhere]), **QUICK).uns["grnrep"]
    assert found["params"]["signed"] is True


def test_counts_with_a_network_of_ones_are_fitted_as_counts(small):
    adata, net = small()
    rate = adata.X * np.random.default_rng(1).uniform(1, 4, (adata.n_obs, 1))
    adata.X = np.random.default_rng(0).poisson(5 * rate).astype(np.float32)
    fits = [
        gr.tl.fit(adata, net.assign(weight=w), max_iter=3, progress=False, copy=True)
        for w in (1.0, np.nan)
    ]
    chosen = [fit.uns["grnrep"]["params"]["likelihood"] for fit in fits]
    assert chosen[0] == chosen[1] != "tobit"


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_signed_is_true_false_or_auto(fit_refuses, value):
    fit_refuses(lambda a, n: (a, n), ValueError, f"'auto'; found {value!r}", signed=value)


@pytest.mark.parametrize("signs", [False, True])
def test_on_logarithms_of_counts_signs_are_not_guessed_from_skewness(caplog, signs):
    adata, net = gr.ds.simulate(
        80, 60, n_regulators=4, connectivity=0.3, counts="poisson", library_size=90,
        rng=0, progress=False,
    )  # fmt: skip
    counts = adata.to_df("counts").to_numpy(dtype=np.float64)
    adata.X = np.log1p(counts / counts.sum(1, keepdims=True) * 90).astype(np.float32)
    options = {**QUICK, "intercept": True, "sign_shrinkage": 0.3 if signs else 0.0}
    known = net if signs else net[["source", "target"]]
    fit = gr.tl.fit(adata, known, likelihood="tobit", **options)
    table = fit.uns["grnrep"]["regulators"]
    assert ("nothing says which way 4 of 4 regulators point" in caplog.text) is not signs
    assert set(table["sign_source"]) == {"prior" if signs else "none"}
    if signs:
        return
    assert (table["sign_confidence"] == 0.5).all()
    assert (fit.varm["grnrep"].sum(0) > 0).all()
    caplog.clear()
    other = gr.tl.fit(adata, known, likelihood="gaussian", **options)
    assert "nothing says which way" not in caplog.text
    assert set(other.uns["grnrep"]["regulators"]["sign_source"]) == {"skewness"}
