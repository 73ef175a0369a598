"""A checkpoint goes on with the fit that began it, and with no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import grnrep as gr
from grnrep.tl import _data

COLUMNS = {"covariates": ["age", "batch"], "stratify": "kind"}


@pytest.fixture(scope="module")
def begun(tiny, begin, tmp_path_factory):
    """A checkpoint with covariates and kinds."""
    adata, net, options = tiny
    path = tmp_path_factory.mktemp("begun") / "run"
    begin(adata.copy(), net, path, 1, **options, **COLUMNS)
    return path


@pytest.fixture
def checkpoint(begun, tmp_path):
    return Path(shutil.copytree(begun, tmp_path / "run"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def of_obs(name, change):
    def changed(adata, net):
        adata.obs[name] = change(adata.obs[name].to_numpy())
        return adata, net

    return changed


def of_x(change):
    def changed(adata, net):
        change(adata.X)
        return adata, net

    return changed


def same_sums(x) -> None:
    """Move expression between entries of two cells and two genes: no sum changes."""
    full = np.flatnonzero((x[:, :2] > 0.25).all(1))[:2]
    x[np.ix_(full, [0, 1])] += np.array([[0.25, -0.25], [-0.25, 0.25]], dtype=np.float32)


def swap_cells(x) -> None:
    x[[3, 4]] = x[[4, 3]]


def renamed(adata, net):
    adata.obs_names = ["other", *adata.obs_names[1:]]
    return adata, net


def renamed_gene(adata, net):
    adata.var_names = ["other", *adata.var_names[1:]]
    return adata, net.replace("gene0", "other")


def weighted(k, weight):
    def changed(adata, net):
        return adata, net.assign(weight=np.where(np.arange(len(net)) == k, weight, net["weight"]))

    return changed


def without_effect(adata, net):
    return adata, pd.concat([net, pd.DataFrame({"source": ["R"], "target": ["nowhere"]})])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (of_x(lambda x: x.__setitem__((7, 2), x[7, 2] + np.float32(1e-6))), "values"),
        (of_x(same_sums), "values"),
        (of_x(swap_cells), "values"),
        (renamed, "obs_names"),
        (lambda adata, net: (adata[:-1].copy(), net), "obs_names"),
        (lambda adata, net: (adata[:, 1:].copy(), net), "genes"),
        (renamed_gene, "genes"),
        (lambda adata, net: (adata, net[1:]), "net"),
        (lambda adata, net: (adata, net.replace({"source": {"P": "Z"}})), "net"),
        (weighted(3, -1.0), "net"),
        (without_effect, "net"),
        (of_obs("batch", lambda values: values[::-1]), "covariates"),
        (of_obs("age", lambda values: values + (np.arange(30) == 7) * 1e-9), "covariates"),
        (of_obs("age", lambda values: values[::-1]), "covariates"),
        (of_obs("kind", lambda values: values[::-1]), "stratify"),
    ],
)
def test_other_data_are_refused(tiny, checkpoint, refuses, change, name):
    adata, net = change(tiny[0].copy(), tiny[1])
    before = files(checkpoint)
    with refuses(ValueError, "belongs to another run", name, adata=adata):
        gr.tl.fit(adata, net, checkpoint=checkpoint, **tiny[2] | COLUMNS)
    assert files(checkpoint) == before


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"rng": 1}, "rng"),
        ({"intercept": "auto"}, "intercept"),
        ({"likelihood": "gaussian"}, "likelihood"),
        ({"likelihood": "auto"}, "likelihood"),
        ({"ridge": 1e-2}, "ridge"),
        ({"sign_shrinkage": 1.0}, "sign_shrinkage"),
        ({"max_iter": 6}, "max_iter"),
        ({"max_iter": None}, "max_iter"),
        ({"max_cells": None}, "max_cells"),
        ({"repair": True}, "repair"),
        ({"uncertainty": True}, "uncertainty"),
        ({"stratify": None}, "stratify"),
        ({"stratify": "batch"}, "stratify"),
        ({"covariates": ["age"]}, "covariates"),
        ({"mask_var": np.arange(10) > 0}, "genes"),
        ({"layer": "same"}, "layer"),
        ({"device": "cpu"}, "device"),
        ({"block_size": 9}, "block_size"),
        ({"activity_store": "activity.zarr"}, "activity_store"),
    ],
    ids=str,
)
def test_other_options_are_refused(tiny, checkpoint, refuses, monkeypatch, options, name):
    adata, before = tiny[0].copy(), files(checkpoint)
    adata.layers["same"] = adata.X
    monkeypatch.chdir(checkpoint.parent)
    with refuses(ValueError, "belongs to another run", f"{name}", "differ(s)", adata=adata):
        gr.tl.fit(adata, tiny[1], checkpoint=checkpoint, **tiny[2] | COLUMNS | options)
    assert files(checkpoint) == before
    assert [path.name for path in checkpoint.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("package", ["numpy", "scipy", "torch", "numba"])
def test_another_version_of_what_draws_is_refused(tiny, checkpoint, refuses, monkeypatch, package):
    version = _data.version
    monkeypatch.setattr(_data, "version", lambda name: version(name) + ".1" * (name == package))
    with refuses(ValueError, f"another run: version of {package} differ(s)"):
        gr.tl.fit(tiny[0].copy(), tiny[1], checkpoint=checkpoint, **tiny[2] | COLUMNS)


def test_another_number_of_threads_is_refused_where_draws_hang_on_it(
    tiny, begin, tmp_path, refuses, monkeypatch
):
    adata, net, options = tiny
    options = options | {"uncertainty": True}
    monkeypatch.setattr(gr.core.posterior.sample, "_FEWEST", 4)
    monkeypatch.setattr(gr.core.posterior.sample, "_CELLS", 60)
    begin(adata.copy(), net, tmp_path / "run", 1, **options)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1234)
    with refuses(ValueError, "another run: number of threads"):
        gr.tl.fit(adata.copy(), net, checkpoint=tmp_path / "run", **options)


def backed(adata, net):
    adata.write_h5ad("data.h5ad")
    return ad.read_h5ad("data.h5ad", backed="r"), net


def test_another_order_of_cells_is_refused_where_they_are_read_in_it(
    tiny, checkpoint, refuses, monkeypatch
):
    monkeypatch.chdir(checkpoint.parent)
    adata, net = backed(tiny[0].copy(), tiny[1])
    with refuses(ValueError, "another run: order of obs_names differ(s)"):
        gr.tl.fit(adata, net, checkpoint=checkpoint, **tiny[2] | COLUMNS)


def as_x(make):
    def changed(adata, net):
        adata.X = make(adata.X)
        return adata, net

    return changed


@pytest.mark.parametrize(
    "change",
    [
        as_x(sp.csr_matrix),
        as_x(sp.csc_matrix),
        as_x(lambda x: x.astype(np.float64)),
        as_x(lambda x: np.where(x == 0, np.float32(-0.0), x)),
        lambda adata, net: (adata[::-1].copy(), net),
        lambda adata, net: (adata[:, ::-1].copy(), net),
        lambda adata, net: (adata, net[::-1].drop(columns="weight")),
        lambda adata, net: backed(adata[np.argsort(adata.obs_names)].copy(), net),
    ],
    ids=[
        "csr",
        "csc",
        "float64",
        "-0.0",
        "order of cells",
        "order of genes",
        "order of edges",
        "backed",
    ],
)
def test_the_same_data_in_another_form_go_on(tiny, checkpoint, monkeypatch, change):
    monkeypatch.chdir(checkpoint.parent)
    wanted, (adata, net) = tiny[0].copy(), change(tiny[0].copy(), tiny[1])
    gr.tl.fit(wanted, tiny[1], **tiny[2] | COLUMNS)
    monkeypatch.setattr(
        gr.tl._learn,
        "learn_from_sample",
        lambda *a, **k: pytest.fail("the decoder is learned again"),
    )
    again = gr.tl.fit(adata, net, checkpoint=checkpoint, copy=True, **tiny[2] | COLUMNS)
    pd.testing.assert_frame_equal(again.obsm["grnrep"].loc[wanted.obs_names], wanted.obsm["grnrep"])
    assert not checkpoint.exists()
