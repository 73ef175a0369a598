"""All that fit and transform write goes to h5ad and zarr and comes back."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grnrep as gr

pytestmark = pytest.mark.usefixtures("quick_choices")


def _write_and_read(adata, folder, form):
    path = folder / f"data.{form}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Writing zarr v2")  # a default of anndata
        getattr(adata, f"write_{form}")(path)
        return getattr(ad, f"read_{form}")(path)


def _assert_equal(one, two):
    for name in ("network", "regulators", "genes", "dropped_regulators"):
        pd.testing.assert_frame_equal(
            one[name], two[name], check_index_type=False, check_column_type=False, check_exact=True
        )
    assert dict(one["params"]) == dict(two["params"])
    assert list(one.get("missing_genes", [])) == list(two.get("missing_genes", []))


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
@pytest.mark.parametrize("signed", [True, False])
def test_fit_survives_a_file(small, tmp_path, form, signed):
    data, net = small(n_obs=80)
    adata, new = data[:60].copy(), data[60:].copy()
    extra = pd.DataFrame({"source": ["lost"], "target": ["absent"], "weight": [1.0]})
    net = pd.concat([net, extra])
    gr.tl.fit(adata, net if signed else net[["source", "target"]], progress=False)
    back = _write_and_read(adata, tmp_path, form)
    pd.testing.assert_frame_equal(
        adata.obsm["grnrep"], back.obsm["grnrep"], check_column_type=False
    )
    np.testing.assert_array_equal(adata.varm["grnrep"].toarray(), back.varm["grnrep"].toarray())
    _assert_equal(adata.uns["grnrep"], back.uns["grnrep"])
    objective = adata.uns["grnrep"]["history"]["objective"]
    np.testing.assert_array_equal(objective, back.uns["grnrep"]["history"]["objective"])

    from_memory = gr.tl.transform(new, adata, progress=False, copy=True)
    from_file = gr.tl.transform(new, back, progress=False, copy=True)
    np.testing.assert_array_equal(from_memory.obsm["grnrep"], from_file.obsm["grnrep"])
    assert list(from_file.obsm["grnrep"].columns) == list(adata.obsm["grnrep"].columns)


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_transform_and_later_steps_survive_a_file(small, tmp_path, form):
    data, net = small(n_obs=80)
    adata, new = data[:60].copy(), data[60:, 4:].copy()
    gr.tl.fit(adata, net, ridge=1e-3, sign_shrinkage=0.3, intercept=False, progress=False)
    gr.tl.transform(new, adata, progress=False)
    back = _write_and_read(new, tmp_path, form)
    _assert_equal(new.uns["grnrep"], back.uns["grnrep"])
    for measure in (gr.metrics.recovery, gr.metrics.reconstruction):
        pd.testing.assert_frame_equal(
            measure(new),
            measure(back),
            check_index_type=False,
            check_column_type=False,
            check_exact=True,
        )
    activity = _write_and_read(gr.get.activity(back), tmp_path, form)
    np.testing.assert_array_equal(activity.X, new.obsm["grnrep"])
    twice = _write_and_read(back, tmp_path, form)
    _assert_equal(new.uns["grnrep"], twice.uns["grnrep"])
