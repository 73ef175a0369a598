"""The report on a network and data, before any fitting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import grnrep as gr

QUICK = {"ridge": 0.01, "sign_shrinkage": 0.3, "max_iter": 3, "progress": False}


@pytest.fixture
def partial(small):
    """Data that lack some targets, and a network with a regulator that has none of its own there."""
    adata, net = small()
    net.loc[::4, "weight"] = 0.0
    extra = pd.DataFrame(
        {"source": ["lost", "lost"], "target": ["absent1", "absent2"], "weight": 1.0}
    )
    return adata[:, 5:].copy(), pd.concat([net, extra], ignore_index=True)


def test_counts(partial):
    adata, net = partial
    report = gr.pp.check_network(adata, net)
    found = net[net["target"].isin(adata.var_names)]
    wanted = {
        "n_obs": 60,
        "n_vars": 35,
        "n_targets_in_net": net["target"].nunique(),
        "n_targets_found": found["target"].nunique(),
        "n_regulators_in_net": 5,
        "n_regulators_kept": 4,
        "n_edges_in_net": len(net),
        "n_edges_found": len(found),
        "n_edges_signed": int((found["weight"] != 0).sum()),
    }
    assert report.summary[list(wanted)].to_dict() == wanted
    by_source = report.regulators
    pd.testing.assert_series_equal(
        by_source["n_targets_in_net"], net.groupby("source").size(), check_names=False
    )
    assert by_source["n_targets_found"].to_dict() == {"lost": 0, **found.groupby("source").size()}
    signed = found[found["weight"] != 0].groupby("source").size()
    assert by_source["n_signed"].to_dict() == {"lost": 0, **signed}
    assert by_source.index[~by_source["kept"]].tolist() == ["lost"]
    assert by_source["reason"].to_dict() == {
        "lost": "no target among the genes",
        **dict.fromkeys(signed.index, ""),
    }


def test_loads_are_those_of_the_equations(partial):
    adata, net = partial
    summary = gr.pp.check_network(adata, net).summary
    found = net[net["target"].isin(adata.var_names)]
    n, m, edges = found["target"].nunique(), 4, len(found)
    np.testing.assert_allclose(summary["decoder_load"], 60 * n / (edges + 60 * m))
    positive = (adata[:, found["target"].unique()].X > 0).sum()
    np.testing.assert_allclose(summary["effective_load"], positive / (edges + 60 * m))
    cells, per_cell = summary["n_obs_needed"], positive / 60
    assert cells * per_cell / (edges + cells * m) >= 1.2
    assert (cells - 1) * per_cell / (edges + (cells - 1) * m) < 1.2


def test_genes(partial):
    adata, net = partial
    adata.X[:, 2] = 1.5
    genes = gr.pp.check_network(adata, net).genes
    assert set(genes.index) == set(adata.var_names)
    x = adata[:, genes.index].X
    np.testing.assert_allclose(genes["fraction_positive"], (x > 0).mean(axis=0))
    np.testing.assert_array_equal(genes["constant"], np.ptp(x, axis=0) == 0)
    assert genes["constant"][adata.var_names[2]]


def test_says_what_fit_will_do(partial):
    adata, net = partial
    report = gr.pp.check_network(adata, net)
    gr.tl.fit(adata, net, intercept=False, **QUICK)
    record = adata.uns["grnrep"]
    assert list(report.genes.index) == list(record["genes"].index)
    kept = report.regulators[report.regulators["kept"]]
    assert list(kept.index) == list(record["regulators"].index)
    np.testing.assert_array_equal(kept["n_targets_found"], record["regulators"]["n_targets"])
    np.testing.assert_array_equal(kept["n_signed"], record["regulators"]["n_signed"])
    assert report.summary["effective_load"] == record["params"]["effective_load"]
    assert report.summary["decoder_load"] == record["params"]["decoder_load"]


def test_negative_values_all_constrain_and_need_intercepts(partial):
    adata, net = partial
    adata.X = adata.X - adata.X.mean(axis=0)
    report = gr.pp.check_network(adata, net)
    gr.tl.fit(adata, net, intercept=True, **QUICK)
    assert report.summary["effective_load"] == report.summary["decoder_load"]
    assert report.summary["effective_load"] == adata.uns["grnrep"]["params"]["effective_load"]


def test_format_layer_and_mask(partial):
    adata, net = partial
    wanted = gr.pp.check_network(adata, net, mask_var=np.arange(adata.n_vars) < 20)
    adata.layers["log"] = sp.csr_matrix(adata.X)
    adata.var["use"] = np.arange(adata.n_vars) < 20
    found = gr.pp.check_network(adata, net, layer="log", mask_var="use")
    pd.testing.assert_series_equal(found.summary, wanted.summary)
    pd.testing.assert_frame_equal(found.genes, wanted.genes)
    assert set(found.genes.index) == set(adata.var_names[:20])


def test_prints_numbers_and_dropped_regulators(partial):
    report = gr.pp.check_network(*partial)
    text = str(report)
    assert repr(report) == text
    assert "effective_load" in text
    assert f"{report.summary['effective_load']:.2f}".rstrip("0") in text
    assert "1 of 5 regulators would be left out: 1 with no target among the genes" in text
    html = report._repr_html_()
    assert html.count("<table") == 2
    assert "lost" in html


def test_low_load_comes_with_advice(small):
    adata, net = small(n_obs=3)
    report = gr.pp.check_network(adata, net)
    assert report.summary["effective_load"] < 1.2
    assert f"{report.summary['n_obs_needed']:.0f} such cells would reach it" in report.advice
    assert report.advice in str(report)
    assert report.advice in report._repr_html_()
    assert gr.pp.check_network(*small()).advice == ""


def test_load_out_of_reach_says_so(small):
    adata, net = small()
    one_gene = net[net["target"] == net["target"].iloc[0]]
    report = gr.pp.check_network(adata, one_gene, min_targets=1)
    assert np.isnan(report.summary["n_obs_needed"])
    assert "no number of such cells reaches it" in report.advice


def test_nothing_is_written(partial, digest):
    adata, net = partial
    before = digest(adata)
    gr.pp.check_network(adata, net)
    assert digest(adata) == before


def test_bad_input_is_refused_as_by_fit(partial, refuses):
    adata, net = partial
    with refuses(ValueError, "net has no target among adata.var_names", adata=adata):
        gr.pp.check_network(adata, net.assign(target="other_" + net["target"]))
    with refuses(ValueError, "net must have every edge once", adata=adata):
        gr.pp.check_network(adata, pd.concat([net, net]))
    with refuses(KeyError, "layer='log' is not in adata.layers", adata=adata):
        gr.pp.check_network(adata, net, layer="log")
    with refuses(KeyError, "mask_var='hv' is not in adata.var", adata=adata):
        gr.pp.check_network(adata, net, mask_var="hv")
    with refuses(TypeError, "adata must be an AnnData; found ndarray"):
        gr.pp.check_network(adata.X, net)
    adata.X[1, 1] = np.nan
    with refuses(ValueError, "adata.X must be finite", adata=adata):
        gr.pp.check_network(adata, net)
