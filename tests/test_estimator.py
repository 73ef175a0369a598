"""The scikit-learn estimator: its manners, and the same results as those of the verbs."""

from __future__ import annotations

import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_get_feature_names_out_error,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    estimator_checks_generator,
)

import grnrep as gr
from grnrep.estimator.sparse_decoder import edges_of

QUICK = {"ridge": 1e-3, "sign_shrinkage": 0.1, "free_factors": 0}


def network(n_features=20, *, prefix="x"):
    """Two regulators of all features but one each, which are named as if they had no names."""
    names = [f"{prefix}{i}" for i in range(n_features)]
    edges = {"source": ["P"] * (n_features - 1) + ["Q"] * (n_features - 1)}
    weights = [1, -1] * (n_features - 1)
    return pd.DataFrame({**edges, "target": names[:-1] + names[1:], "weight": weights})


# without signs, whose use would be judged by held-out fits each time
UNSIGNED = network().drop(columns="weight")
CHECKED = gr.SparseDecoder(UNSIGNED, likelihood="gaussian", max_iter=5, min_targets=1, **QUICK)
CHECKS = [check for _, check in estimator_checks_generator(CHECKED)]


@pytest.mark.parametrize(
    "check", CHECKS, ids=[f"{check.func.__name__}-{k}" for k, check in enumerate(CHECKS)]
)
@pytest.mark.filterwarnings("ignore")
def test_manners_of_scikit_learn(check):
    """All of them: none is expected to fail. With "auto" they pass too, in five minutes."""
    check(clone(CHECKED))


@pytest.mark.parametrize(
    "check",
    [
        check_get_feature_names_out_error,
        check_set_output_transform,
        check_set_output_transform_pandas,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_names_and_output(check):
    # whether or not features are named there
    both = pd.concat([UNSIGNED, network(prefix="col").drop(columns="weight")])
    check("SparseDecoder", gr.SparseDecoder(both, max_iter=5, min_targets=1, **QUICK))


@pytest.fixture(scope="module")
def data(small):
    """Cells with names for genes; some to fit, some new."""
    adata, net = small(n_obs=90)
    adata.X += np.random.default_rng(0).normal(size=adata.shape).astype(np.float32)
    table = adata.to_df()
    return table.iloc[:70], table.iloc[70:], net.assign(weight=np.sign(net["weight"]))


def verbs(x, new, net, **options):
    """The same by the verbs, on cells that are named by their place."""
    adata, other = (
        ad.AnnData(table.reset_index(drop=True).rename(index=str)) for table in (x, new)
    )
    gr.tl.fit(adata, net, progress=False, **options)
    gr.tl.transform(other, adata, progress=False)
    return adata, other


@pytest.mark.parametrize("options", [QUICK, {"likelihood": "gaussian"}], ids=["given", "auto"])
@pytest.mark.usefixtures("quick_choices")
def test_equals_the_verbs(data, options):
    x, new, net = data
    decoder = gr.SparseDecoder(net, **options).fit(x)
    adata, other = verbs(x, new, net, **options)
    genes = adata.uns["grnrep"]["genes"]
    np.testing.assert_array_equal(decoder.transform(new), other.obsm["grnrep"])
    np.testing.assert_array_equal(
        decoder.weights_.toarray().astype(np.float32), adata.varm["grnrep"].toarray()
    )
    place = x.columns.get_indexer(genes.index)
    np.testing.assert_array_equal(decoder.intercept_[place], genes["intercept"])
    np.testing.assert_allclose(decoder.mean_, x.mean(), rtol=1e-5)
    assert list(decoder.get_feature_names_out()) == list(other.obsm["grnrep"])
    if "noise_sd" in genes:
        np.testing.assert_array_equal(decoder.noise_sd_[place], genes["noise_sd"])
    else:
        assert np.isnan(decoder.noise_sd_).all()
    assert decoder.n_iter_ == len(adata.uns["grnrep"]["history"]["objective"])
    # of cells that were learned from, up to where the search ended
    activity = adata.obsm["grnrep"].to_numpy()
    np.testing.assert_allclose(
        decoder.fit_transform(x), activity, atol=0.02 * np.abs(activity).max()
    )


def test_sparse_and_other_types_give_the_same(data):
    x, new, net = data
    net = net.assign(target=x.columns.get_indexer(net["target"]))
    x, new = x.to_numpy().clip(0), new.to_numpy().clip(0)
    first = gr.SparseDecoder(net, **QUICK).fit(x)
    expected = first.transform(new)
    for kind in (sp.csr_array, sp.csr_matrix, sp.csc_matrix):
        other = gr.SparseDecoder(net, **QUICK).fit(kind(x))
        np.testing.assert_allclose(other.transform(kind(new)), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(other.mean_, first.mean_, rtol=1e-5)
        assert other.score(kind(new)) == pytest.approx(first.score(new), abs=1e-5)
    assert expected.dtype == np.float32
    assert first.transform(new.astype(np.float64)).dtype == np.float64


def test_networks_that_say_the_same():
    names = pd.Index([f"x{i}" for i in range(4)], dtype=object)
    table = pd.DataFrame(
        {"source": list("aabb"), "target": [0, 1, 1, 3], "weight": [1, -1, 1, np.nan]}
    )
    signs = np.array([[1, 0], [-1, 1], [0, 0], [0, np.nan]])
    found = [
        edges_of(net, names).sort_values(["source", "target"])
        for net in (table, table.assign(target=names[table["target"]]), signs, sp.csc_array(signs))
    ]
    for edges in found:
        assert edges["target"].tolist() == ["x0", "x1", "x1", "x3"]
        np.testing.assert_array_equal(edges["weight"], [1, -1, 1, np.nan])
    assert found[2]["source"].unique().tolist() == ["regulator0", "regulator1"]
    many = edges_of(np.ones((4, 11)), names)["source"]
    assert sorted(many.unique())[2] == "regulator02"


def test_expected_expression(data):
    x, new, net = data
    x, new = x.assign(other=1.5), new.assign(other=0.0)
    decoder = gr.SparseDecoder(net, likelihood="gaussian", **QUICK).fit(x)
    z = decoder.transform(new)
    expected = z @ decoder.weights_.T + decoder.intercept_
    expected[:, -1] = 1.5  # a feature without a regulator has its mean
    np.testing.assert_allclose(decoder.inverse_transform(z), expected, rtol=1e-4, atol=1e-5)
    relu = gr.SparseDecoder(net, likelihood="tobit", **QUICK).fit(x.clip(lower=0))
    found = relu.inverse_transform(z)
    expected = np.maximum(z @ relu.weights_.T + relu.intercept_, 0)
    np.testing.assert_allclose(found[:, :-1], expected[:, :-1], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("quick_choices")
def test_noise_that_a_relu_cuts_has_a_mean(data):
    x, _, net = data
    decoder = gr.SparseDecoder(net).fit(x.clip(lower=0))
    assert np.isfinite(decoder.noise_sd_).all()
    z = np.random.default_rng(0).normal(size=(3, 4))
    p = z @ decoder.weights_.T + decoder.intercept_
    noise = np.random.default_rng(1).normal(size=(20_000, 1, 1)) * decoder.noise_sd_
    expected = np.maximum(p + noise, 0).mean(0)
    np.testing.assert_allclose(decoder.inverse_transform(z), expected, atol=0.05)


def test_counts_are_rates():
    rng = np.random.default_rng(0)
    z, w = rng.gamma(2, 1, (80, 2)), np.zeros((20, 2))
    w[:12, 0], w[8:, 1] = 1, 1
    depth = rng.uniform(0.5, 2, (80, 1))
    rates = 5 * (z @ w.T + 0.2)
    x = rng.poisson(depth * rates).astype(float)
    decoder = gr.SparseDecoder(w, likelihood="poisson", max_iter=30).fit(x[:60])
    found = decoder.inverse_transform(decoder.transform(x[60:]))
    size = x[60:].sum(1, keepdims=True) / np.median(x[:60].sum(1))
    expected = rates[60:] * depth[60:] / size  # as totals follow activities too
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    assert 0.3 < decoder.score(x[60:]) < 1


def test_score_is_of_genes_that_were_hidden(data):
    """By the verbs: each fifth of the genes from cells that lack it."""
    x, new, net = data
    decoder = gr.SparseDecoder(net, likelihood="gaussian", **QUICK).fit(x)
    adata, _ = verbs(x, new, net, likelihood="gaussian", **QUICK)
    genes = np.array(adata.uns["grnrep"]["genes"].index)
    scale = x[genes].astype(np.float64).var(ddof=0)
    left = there = 0
    for k in range(5):
        hidden = genes[k::5]
        part = ad.AnnData(new.drop(columns=hidden))
        gr.tl.transform(part, adata, progress=False)
        z, edges = part.obsm["grnrep"].fillna(0), adata.uns["grnrep"]["network"]
        w = edges.pivot(index="source", columns="target", values="learned").fillna(0)
        predicted = z @ w.loc[z.columns, hidden] + adata.uns["grnrep"]["genes"]["intercept"][hidden]
        left += (((new[hidden] - predicted) ** 2).sum() / scale[hidden]).sum()
        there += (((new[hidden] - new[hidden].mean()) ** 2).sum() / scale[hidden]).sum()
    assert decoder.score(new) == pytest.approx(1 - left / there, abs=1e-4)


def test_score_has_no_unit_and_prefers_the_network(data):
    x, new, net = data
    options = {"likelihood": "gaussian", **QUICK}
    true = gr.SparseDecoder(net, **options).fit(x).score(new)
    mixed = net.assign(weight=np.random.default_rng(1).permutation(net["weight"]))
    assert gr.SparseDecoder(mixed, **options).fit(x).score(new) < true
    scale = 2.0
    assert gr.SparseDecoder(net, **options).fit(scale * x).score(scale * new) == pytest.approx(
        true, abs=1e-3
    )


def test_pipeline_and_grid_search(data):
    x, new, net = data
    scaled = make_pipeline(
        StandardScaler().set_output(transform="pandas"),
        gr.SparseDecoder(net, likelihood="gaussian", max_iter=30, **QUICK),
    )
    values = [1e-3, 0.1, 100.0]
    search = GridSearchCV(scaled, {"sparsedecoder__ridge": values}, cv=2).fit(x)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["sparsedecoder__ridge"] < 100  # which predicts the mean
    table = search.best_estimator_.set_output(transform="pandas").transform(new)
    assert list(table.index) == list(new.index)
    assert list(table) == list(search.best_estimator_.get_feature_names_out())


def test_clone_and_pickle(data):
    x, new, net = data
    decoder = gr.SparseDecoder(net, **QUICK).fit(x)
    expected = decoder.transform(new)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(decoder)).transform(new), expected)
    copy = clone(decoder)
    assert not hasattr(copy, "weights_")
    np.testing.assert_array_equal(copy.fit(x).transform(new), expected)


def test_model_is_that_of_the_verbs(data, tmp_path):
    x, new, net = data
    decoder = gr.SparseDecoder(net, **QUICK).fit(x)
    gr.io.save(decoder.model_, tmp_path / "model.zarr")
    other = ad.AnnData(new)
    gr.tl.transform(other, gr.io.load(tmp_path / "model.zarr"), progress=False)
    np.testing.assert_array_equal(other.obsm["grnrep"], decoder.transform(new))


@pytest.mark.usefixtures("quick_choices")
@pytest.mark.parametrize("seed", [None, np.random.RandomState(0), 3, np.int64(3)])
def test_seeds(data, seed):
    x, _, net = data
    decoder = gr.SparseDecoder(net, max_iter=3, random_state=seed, **QUICK).fit(x)
    kept = decoder.model_.uns["grnrep"]["params"]["rng"]
    assert kept == 3 if isinstance(seed, int | np.integer) else kept >= 0


def test_refuses(data):
    x, new, net = data
    with pytest.raises(TypeError, match=r"network must be a table .* found str"):
        gr.SparseDecoder("collectri").fit(x)
    with pytest.raises(ValueError, match=r"\(40, n_regulators\).* found shape \(3, 2\)"):
        gr.SparseDecoder(np.ones((3, 2))).fit(x)
    with pytest.raises(ValueError, match=r"positions of the 40 features.* from 0 to 40"):
        gr.SparseDecoder(pd.DataFrame({"source": "a", "target": [0, 40]})).fit(x)
    with pytest.raises(ValueError, match="net has no target"):
        gr.SparseDecoder(network()).fit(x)
    with pytest.raises(ValueError, match="ridge must be"):
        gr.SparseDecoder(net, ridge=-1).fit(x)
    decoder = gr.SparseDecoder(net, max_iter=3, **QUICK)
    with pytest.raises(NotFittedError):
        decoder.score(x)
    decoder.fit(x)
    with pytest.raises(ValueError, match=r"X must have 4 columns.* found 3"):
        decoder.inverse_transform(np.ones((2, 3)))
    with pytest.raises(ValueError, match="at least two samples; found n_samples = 1"):
        decoder.score(new.iloc[:1])
    one = net[net["target"] == x.columns[0]]
    one = gr.SparseDecoder(one, max_iter=3, min_targets=1, **QUICK).fit(x)
    with pytest.raises(ValueError, match=r"at least two features with a regulator.* found 1"):
        one.score(new)
    with pytest.raises(ValueError, match="feature names"):
        decoder.transform(new.iloc[:, ::-1])
    with pytest.raises(ValueError, match="length equal to number of features"):
        decoder.get_feature_names_out(["a"])
    with pytest.raises(ValueError, match="not equal to feature_names_in_"):
        decoder.get_feature_names_out([*"a" * x.shape[1]])
