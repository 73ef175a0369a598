"""What fit writes, and that it is right."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

import grnrep as gr
from grnrep._values import SCALE

pytestmark = pytest.mark.usefixtures("quick_choices")


# where nobody asks what is chosen
GIVEN = {"ridge": 1e-3, "sign_shrinkage": 0.3, "intercept": False, "max_iter": 20}


def _fit(adata, net, **options):
    gr.tl.fit(adata, net, progress=False, **options)
    return adata.uns[options.get("key_added", "grnrep")]


def test_writes_every_documented_field(small):
    adata, net = small()
    record = _fit(adata, net)
    regulators = sorted(net["source"].unique())
    activity = adata.obsm["grnrep"]
    assert list(activity.columns) == list(record["regulators"].index) == regulators
    assert activity.index.equals(adata.obs_names)
    assert (activity.dtypes == np.float32).all()
    weights = adata.varm["grnrep"]
    assert sp.issparse(weights)
    assert weights.format == "csr"
    assert weights.shape == (adata.n_vars, len(regulators))
    assert set(record) - {"activity_correlation"} == {
        "network",
        "regulators",
        "genes",
        "dropped_regulators",
        "params",
        "history",
    }
    assert {type(value) for value in record["params"].values()} <= {str, int, float, bool}
    assert list(record["genes"].index) == sorted(net["target"].unique())
    assert list(record["genes"].columns) == [
        *("n_regulators", "intercept", "r2", *SCALE),
        "noise_sd",
    ]
    assert record["history"]["objective"].dtype == np.float64
    assert record["history"]["objective"][-1] < record["history"]["objective"][0]


def test_counts_and_weights_are_of_the_right_names(small):
    adata, net = small()
    net.loc[::3, "weight"] = np.nan
    record = _fit(adata, net)
    by_source = net.groupby("source")
    np.testing.assert_array_equal(record["regulators"]["n_targets"], by_source.size())
    np.testing.assert_array_equal(record["regulators"]["n_signed"], by_source["weight"].count())
    np.testing.assert_array_equal(record["genes"]["n_regulators"], net.groupby("target").size())
    edges = record["network"]
    both = edges.merge(net, on=["source", "target"], suffixes=("", "_given"), validate="one_to_one")
    assert len(both) == len(net)
    pd.testing.assert_series_equal(both["weight"], both["weight_given"], check_names=False)
    dense = pd.DataFrame(
        adata.varm["grnrep"].toarray(), index=adata.var_names, columns=adata.obsm["grnrep"].columns
    )
    kept = [dense.loc[t, s] for s, t in zip(edges["source"], edges["target"], strict=True)]
    np.testing.assert_array_equal(np.float32(edges["learned"]), kept)
    assert adata.varm["grnrep"].nnz == len(net)


def test_recovers_activities_and_weights_of_noise_free_data(small):
    adata, net = small()
    record = _fit(adata, net)
    truth = adata.obsm["true_activity"]
    for name in truth.columns:
        assert np.corrcoef(truth[name], adata.obsm["grnrep"][name])[0, 1] > 0.999
    informative = record["genes"].index[record["genes"]["r2"] > 0.999]
    edges = record["network"].set_index(["target", "source"])
    true = net.set_index(["target", "source"])["weight"].reindex(edges.index)
    known = edges.index.get_level_values("target").isin(informative)
    for name in truth.columns:
        mine = known & (edges.index.get_level_values("source") == name)
        assert np.corrcoef(true[mine], edges.loc[mine, "learned"])[0, 1] > 0.99


def test_gene_r2_is_that_of_the_prediction(small):
    adata, net = small()
    adata.X = adata.X + np.random.default_rng(1).normal(0, 0.3, adata.shape).clip(0).astype(
        np.float32
    )
    record = _fit(adata, net, intercept=True)
    genes = record["genes"]
    bias = genes["intercept"].reindex(adata.var_names).to_numpy()
    p = adata.obsm["grnrep"].to_numpy() @ adata.varm["grnrep"].toarray().T + bias
    predicted = np.maximum(p, 0)
    if "noise_sd" in genes:  # of max(p + ε, 0)
        sd = genes["noise_sd"].reindex(adata.var_names).to_numpy()
        predicted = p * stats.norm.cdf(p / sd) + sd * stats.norm.pdf(p / sd)
    r2 = 1 - ((adata.X - predicted) ** 2).sum(0) / ((adata.X - adata.X.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(genes["r2"].reindex(adata.var_names), r2, rtol=1e-4)
    assert np.ptp(bias) > 0


def test_magnitude_of_prior_weights_does_not_matter(small):
    adata, net = small()
    one = gr.tl.fit(adata, net, progress=False, copy=True)
    two = gr.tl.fit(adata, net.assign(weight=np.sign(net["weight"])), progress=False, copy=True)
    pd.testing.assert_frame_equal(one.obsm["grnrep"], two.obsm["grnrep"], check_exact=True)


@pytest.mark.parametrize("unknown", [0.0, np.nan, None])
def test_unknown_signs_may_be_zero_missing_or_without_column(small, unknown):
    adata, net = small()
    options = GIVEN | {"sign_shrinkage": 0.0, "progress": False, "copy": True}
    bare = gr.tl.fit(adata, net[["source", "target"]], **options)
    other = gr.tl.fit(adata, net.assign(weight=unknown), **options)
    pd.testing.assert_frame_equal(bare.obsm["grnrep"], other.obsm["grnrep"], check_exact=True)
    assert (other.uns["grnrep"]["regulators"]["n_signed"] == 0).all()


def test_auto_is_tobit_without_and_gaussian_with_negative_values(small, caplog):
    adata, net = small()
    with caplog.at_level(logging.INFO, logger="grnrep"):
        params = _fit(adata, net)["params"]
    assert (params["likelihood"], params["intercept"]) == ("tobit", True)
    assert "likelihood='auto' chose 'tobit'" in caplog.text
    adata.X = adata.X - adata.X.mean(axis=0)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="grnrep"):
        params = _fit(adata, net)["params"]
    assert (params["likelihood"], params["intercept"]) == ("gaussian", True)
    assert "likelihood='auto' chose 'gaussian'" in caplog.text


def test_identity_link_reconstructs_linear_data():
    rng = np.random.default_rng(0)
    activity, weights = (
        rng.normal(size=(50, 3)),
        rng.normal(size=(12, 3)) * (rng.random((12, 3)) < 0.7),
    )
    adata = ad.AnnData(activity @ weights.T + rng.normal(size=12))
    gene, regulator = np.nonzero(weights)
    net = pd.DataFrame({"source": [f"TF{j}" for j in regulator], "target": gene.astype(str)})
    record = _fit(
        adata, net.assign(weight=weights[gene, regulator]), ridge=1e-4, sign_shrinkage=0.0
    )
    assert record["params"]["likelihood"] == "gaussian"
    assert record["genes"]["r2"].min() > 0.99


def test_layer_mask_and_key(small):
    adata, net = small()
    adata.layers["expression"] = adata.X.copy()
    adata.X = np.full(adata.shape, np.nan, dtype=np.float32)  # reading it would be an error
    adata.var["use"] = np.arange(adata.n_vars) % 2 == 0
    by_name = _fit(adata, net, layer="expression", mask_var="use", key_added="even", **GIVEN)
    by_array = _fit(
        adata,
        net,
        layer="expression",
        mask_var=adata.var["use"].to_numpy(),
        key_added="array",
        **GIVEN,
    )
    assert set(by_name["genes"].index) == set(adata.var_names[::2])
    assert by_name["params"]["layer"] == "expression"
    pd.testing.assert_frame_equal(adata.obsm["even"], adata.obsm["array"], check_exact=True)
    pd.testing.assert_frame_equal(by_name["network"], by_array["network"])
    rows = np.diff(adata.varm["even"].indptr)
    assert (rows[::2] > 0).all()
    assert (rows[1::2] == 0).all()
    assert "grnrep" not in adata.uns


def test_mask_equals_leaving_genes_out(small):
    adata, net = small()
    mask = np.arange(adata.n_vars) % 2 == 0
    smaller = adata[:, mask].copy()
    _fit(adata, net, mask_var=mask, **GIVEN)
    _fit(smaller, net, **GIVEN)
    pd.testing.assert_frame_equal(adata.obsm["grnrep"], smaller.obsm["grnrep"], check_exact=True)


def test_nan_in_a_gene_outside_the_network_does_no_harm(small):
    adata, net = small()
    net = net[net["target"] != adata.var_names[0]]
    clean = gr.tl.fit(adata, net, progress=False, copy=True, **GIVEN)
    adata.X[:, 0] = np.nan
    _fit(adata, net, **GIVEN)
    pd.testing.assert_frame_equal(adata.obsm["grnrep"], clean.obsm["grnrep"], check_exact=True)


def test_copy_leaves_the_original_alone(small, digest):
    adata, net = small()
    before = digest(adata)
    out = gr.tl.fit(adata, net, progress=False, copy=True, **GIVEN)
    assert digest(adata) == before
    assert gr.tl.fit(adata, net, progress=False, **GIVEN) is None
    assert digest(adata) == digest(out)


def test_an_earlier_fit_is_replaced_wholly(small):
    adata, net = small()
    fresh = gr.tl.fit(adata, net, progress=False, copy=True, **GIVEN)
    _fit(adata, net[net["source"] != "TF0"], **GIVEN | {"max_iter": 2})
    adata.uns["grnrep"]["left"] = "over"
    adata.obsm["grnrep_sd"] = np.zeros((adata.n_obs, 2))
    record = _fit(adata, net, **GIVEN)
    assert "grnrep_sd" not in adata.obsm
    assert set(record) == set(fresh.uns["grnrep"])
    assert adata.varm["grnrep"].shape == fresh.varm["grnrep"].shape


def test_net_is_not_changed(small):
    adata, net = small()
    before = net.copy(deep=True)
    _fit(adata, net, **GIVEN)
    pd.testing.assert_frame_equal(net, before)


def test_view_becomes_actual_and_parent_stays(small, digest, caplog):
    adata, net = small()
    before = digest(adata)
    view = adata[5:55, 3:]
    _fit(view, net, **GIVEN)
    assert not view.is_view
    assert "is a view" in caplog.text
    assert digest(adata) == before
    actual = adata[5:55, 3:].copy()
    _fit(actual, net, **GIVEN)
    pd.testing.assert_frame_equal(view.obsm["grnrep"], actual.obsm["grnrep"], check_exact=True)


def test_regulators_without_target_are_dropped_and_listed(small, caplog):
    adata, net = small()
    extra = pd.DataFrame(
        {"source": ["Zlost", "Alost"], "target": ["absent1", "absent2"], "weight": 1.0}
    )
    with caplog.at_level(logging.INFO, logger="grnrep"):
        record = _fit(adata, pd.concat([net, extra]))
    dropped = record["dropped_regulators"]
    assert dropped["n_targets"].to_dict() == {"Alost": 0, "Zlost": 0}
    assert set(dropped["reason"]) == {"no target among the genes"}
    assert (
        "2 of 6 regulators of net have no target among the genes: 'Alost', 'Zlost'" in caplog.text
    )
    assert set(adata.obsm["grnrep"].columns) == set(net["source"])


def test_constant_genes_are_fitted_and_reported(small, caplog):
    adata, net = small()
    regulated = adata.var_names.get_indexer(net["target"].unique()[:3])
    adata.X[:, regulated[0]] = 0.0
    adata.X[:, regulated[1]] = 2.5
    constant = np.ptp(adata.X, axis=0) == 0
    with caplog.at_level(logging.INFO, logger="grnrep"):
        record = _fit(adata, net)
    assert f"{constant.sum()} genes are constant" in caplog.text
    r2 = record["genes"]["r2"].reindex(adata.var_names).to_numpy()
    np.testing.assert_array_equal(np.isnan(r2), constant)
    assert np.isfinite(adata.obsm["grnrep"]).all(axis=None)
    assert np.isfinite(record["network"]["learned"]).all()


def test_names_that_are_not_strings_are_matched(small):
    adata, net = small()
    number = {name: i for i, name in enumerate(adata.var_names)}
    wanted = adata.copy()
    wanted.var_names = [str(number[name]) for name in wanted.var_names]
    wanted.obs_names = [str(i) for i in range(wanted.n_obs)]
    _fit(wanted, net.assign(target=net["target"].map(number).astype(str)), **GIVEN)
    adata.obsm.clear()  # tables there would keep the old names
    adata.obs.index = pd.RangeIndex(adata.n_obs)
    adata.var.index = pd.Index(range(adata.n_vars))
    _fit(adata, net.assign(target=net["target"].map(number)), **GIVEN)
    np.testing.assert_array_equal(adata.obsm["grnrep"], wanted.obsm["grnrep"])
    assert adata.obsm["grnrep"].index.equals(adata.obs.index)


def test_categorical_columns_work(small):
    adata, net = small()
    plain = gr.tl.fit(adata, net, progress=False, copy=True, **GIVEN)
    categories = net.astype({"source": "category", "target": "category"})
    other = gr.tl.fit(adata, categories, progress=False, copy=True, **GIVEN)
    pd.testing.assert_frame_equal(plain.obsm["grnrep"], other.obsm["grnrep"], check_exact=True)


def test_backed_data_is_fitted_and_copied_to_memory(small, tmp_path):
    adata, net = small()
    adata.write_h5ad(tmp_path / "data.h5ad")
    backed = ad.read_h5ad(tmp_path / "data.h5ad", backed="r")
    out = gr.tl.fit(backed, net, progress=False, copy=True, **GIVEN)
    assert backed.isbacked
    assert not out.isbacked
    assert "grnrep" not in backed.obsm
    _fit(backed, net, **GIVEN)
    _fit(adata, net, **GIVEN)
    pd.testing.assert_frame_equal(backed.obsm["grnrep"], adata.obsm["grnrep"], check_exact=True)
    pd.testing.assert_frame_equal(out.obsm["grnrep"], adata.obsm["grnrep"], check_exact=True)
