"""Reconstruction of expression, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import mean_squared_error, r2_score

import grnrep as gr
from grnrep.rows import blocks


@pytest.fixture(scope="module")
def once(small):
    adata, net = small(n_obs=90)
    noise = np.random.default_rng(0).normal(0, 0.5, adata.shape)
    adata.X = np.maximum(adata.X + noise, 0).astype(np.float32)
    adata.layers["centred"] = adata.X - adata.X.mean(axis=0)
    train = adata[:60].copy()
    options = {"max_iter": 20, "ridge": 1e-3, "prior": 0.3, "progress": False}
    gr.tl.fit(train, net, intercept=True, **options)
    gr.tl.fit(train, net, layer="centred", key_added="centred", **options)
    return train, adata[60:].copy()


@pytest.fixture
def fitted(once):
    return tuple(adata.copy() for adata in once)


def _predict(adata, key, genes):
    record = adata.uns[key]
    weights = record["network"].pivot(index="target", columns="source", values="learned").fillna(0)
    weights = weights.loc[genes]
    z = adata.obsm[key][weights.columns].to_numpy(dtype=np.float64)
    p = z @ weights.to_numpy().T + record["genes"].loc[genes, "intercept"].to_numpy()
    return np.maximum(p, 0) if record["params"]["likelihood"] == "tobit" else p


@pytest.mark.parametrize("key", ["grnrep", "centred"])
def test_is_that_of_sklearn(fitted, key, monkeypatch):
    monkeypatch.setattr(blocks, "_SLICE_BYTES", 8 * 40 * 7)  # seven cells a block
    adata, _ = fitted
    found = gr.metrics.reconstruction(adata, key=key)
    x = adata[:, found.index].X if key == "grnrep" else adata[:, found.index].layers["centred"]
    predicted = _predict(adata, key, found.index)
    np.testing.assert_allclose(
        found["mse"], mean_squared_error(x, predicted, multioutput="raw_values"), rtol=1e-5
    )
    np.testing.assert_allclose(
        found["r2"], r2_score(x, predicted, multioutput="raw_values"), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(found["r2"], adata.uns[key]["genes"]["r2"], rtol=1e-4, atol=1e-5)


def test_new_cells_with_fewer_genes(fitted):
    adata, new = fitted
    new = new[:, 7:].copy()
    gr.tl.transform(new, adata, progress=False)
    found = gr.metrics.reconstruction(new)
    assert set(found.index) == set(new.var_names)
    wanted = r2_score(
        new[:, found.index].X, _predict(new, "grnrep", found.index), multioutput="raw_values"
    )
    np.testing.assert_allclose(found["r2"], wanted, rtol=1e-4, atol=1e-6)


def test_regulators_unknown_in_new_cells_do_no_harm(fitted):
    adata, new = fitted
    edges = adata.uns["grnrep"]["network"]
    lost = set(edges.loc[edges["source"] == edges["source"].iloc[0], "target"])
    new = new[:, ~new.var_names.isin(lost)].copy()
    gr.tl.transform(new, adata, progress=False)
    assert new.obsm["grnrep"].isna().any(axis=None)
    assert gr.metrics.reconstruction(new)["mse"].notna().all()


def test_constant_gene_has_no_r2(fitted):
    adata, _ = fitted
    adata.X[:, 3] = 0.1
    found = gr.metrics.reconstruction(adata)
    assert list(found.index[found["r2"].isna()]) == [adata.var_names[3]]
    assert found["mse"].notna().all()


def test_layer_can_be_named(fitted):
    adata, _ = fitted
    wanted = gr.metrics.reconstruction(adata)
    adata.layers["same"] = sp.csr_matrix(adata.X)
    adata.X = None
    pd.testing.assert_frame_equal(gr.metrics.reconstruction(adata, layer="same"), wanted)


def test_nothing_is_written(fitted, digest):
    adata, _ = fitted
    before = digest(adata)
    gr.metrics.reconstruction(adata)
    assert digest(adata) == before


def test_bad_input(fitted, refuses):
    adata, _ = fitted
    with refuses(KeyError, "key='fit' is not in adata.obsm", "'grnrep', 'centred'", adata=adata):
        gr.metrics.reconstruction(adata, key="fit")
    with refuses(KeyError, "is no fit in adata.uns; fits there: 'grnrep', 'centred'", adata=adata):
        gr.metrics.reconstruction(adata, key="true_activity")
    with refuses(KeyError, "layer='log' is not in adata.layers", "'centred'", adata=adata):
        gr.metrics.reconstruction(adata, layer="log")
    with refuses(TypeError, "adata must be an AnnData"):
        gr.metrics.reconstruction(adata.X)
    adata.X[0, 0] = np.nan
    with refuses(ValueError, "adata.X must be finite", adata=adata):
        gr.metrics.reconstruction(adata)
    adata.var_names = "other" + adata.var_names
    with refuses(ValueError, "adata has no gene of the fit", adata=adata):
        gr.metrics.reconstruction(adata)
