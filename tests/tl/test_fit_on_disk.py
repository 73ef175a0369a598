"""Data on disk, activities on disk, and clusters: the same result as in memory."""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import grnrep as gr

OPTIONS = {
    "max_cells": 150,
    "max_iter": 15,
    "ridge": 1e-3,
    "sign_shrinkage": 0.3,
    "progress": False,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    adata, net = gr.ds.simulate(400, 120, n_regulators=8, connectivity=0.2, rng=0, progress=False)
    adata.X = sp.csr_matrix(adata.X)
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 3, "one", "two")
    adata.write_h5ad(folder / "data.h5ad")
    adata.write_zarr(folder / "data.zarr")
    return folder, adata, net


@pytest.fixture(scope="module")
def whole(files):
    """Cells in memory with their fit."""
    adata = files[1].copy()
    gr.tl.fit(adata, files[2], **OPTIONS)
    return adata


@pytest.fixture(scope="module")
def of_batches(files):
    """Cells in memory with a fit that knows their batches."""
    adata = files[1].copy()
    gr.tl.fit(adata, files[2], covariates=["batch"], **OPTIONS)
    return adata


def opened(folder: Path, form: str) -> ad.AnnData:
    if form == "backed":
        return ad.read_h5ad(folder / "data.h5ad", backed="r")
    return ad.experimental.read_lazy(folder / f"data.{form}")


def close(a, b, *, within: float = 1e-4) -> None:
    a, b = np.asarray(a), np.asarray(b)
    np.testing.assert_allclose(a, b, rtol=0, atol=within * b.std())


@pytest.mark.parametrize("form", ["backed", "zarr", "h5ad"])
def test_stores_give_what_memory_gives(files, of_batches, form):
    folder, _, net = files
    memory, disk = of_batches, opened(folder, form)
    gr.tl.fit(disk, net, covariates=["batch"], **OPTIONS)
    np.testing.assert_array_equal(
        disk.uns["grnrep"]["network"]["learned"], memory.uns["grnrep"]["network"]["learned"]
    )
    close(disk.obsm["grnrep"], memory.obsm["grnrep"])
    np.testing.assert_allclose(
        disk.uns["grnrep"]["genes"]["r2"], memory.uns["grnrep"]["genes"]["r2"], atol=1e-5
    )
    new = opened(folder, form)
    gr.tl.transform(new, memory, progress=False)
    close(new.obsm["grnrep"], memory.obsm["grnrep"])


@pytest.mark.parametrize("form", ["memory", "zarr"])
def test_cells_learned_from_keep_what_was_found_and_others_are_inferred(files, form, tmp_path):
    folder, adata, net = files
    options = OPTIONS | {"max_cells": 390}
    whole = gr.tl.fit(adata, net, block_size=1000, copy=True, **options)
    other = adata.copy() if form == "memory" else opened(folder, form)
    store = None if form == "memory" else tmp_path / "activity.zarr"
    # of most blocks there is no other cell
    gr.tl.fit(other, net, block_size=3, activity_store=store, **options)
    close(other.obsm["grnrep"], whole.obsm["grnrep"])
    np.testing.assert_allclose(
        other.uns["grnrep"]["genes"]["r2"], whole.uns["grnrep"]["genes"]["r2"], atol=1e-5
    )
    again = adata.copy()
    gr.tl.transform(again, whole, progress=False)
    # the one search began where learning ended, the other at zero
    close(again.obsm["grnrep"], whole.obsm["grnrep"], within=3e-4)


@pytest.mark.parametrize("block_size", [7, 1000])
def test_block_size_does_not_matter(files, whole, block_size):
    folder, adata, net = files
    for data in (adata.copy(), opened(folder, "backed")):
        gr.tl.fit(data, net, block_size=block_size, **OPTIONS)
        close(data.obsm["grnrep"], whole.obsm["grnrep"])


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """More cells than "auto" learns from."""
    path = tmp_path_factory.mktemp("many") / "data.h5ad"
    adata, net = gr.ds.simulate(
        1500, 60, n_regulators=4, connectivity=0.2, noise_sd=1.0, rng=0, progress=False
    )
    adata.X = sp.csr_matrix(adata.X)
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 3, "one", "two")
    adata.write_h5ad(path)
    return path, adata, net


@pytest.mark.usefixtures("quick_choices")
@pytest.mark.parametrize("covariates", [None, ["batch"]], ids=str)
def test_a_decoder_is_learned_from_all_cells_without_holding_them(many, monkeypatch, covariates):
    path, adata, net = many
    learn, sizes = gr.tl._learn.learn_from_sample, []
    monkeypatch.setattr(
        gr.tl._learn,
        "learn_from_sample",
        lambda choices, config: sizes.append(len(choices.sample.x)) or learn(choices, config),
    )
    options = {"max_cells": None, "covariates": covariates, "intercept": covariates is not None}
    options["progress"] = False
    memory, backed, some = adata.copy(), ad.read_h5ad(path, backed="r"), adata.copy()
    gr.tl.fit(memory, net, **options)
    gr.tl.fit(backed, net, block_size=170, **options)
    gr.tl.fit(some, net, **options | {"max_cells": "auto"})
    assert max(sizes) < 1500
    a, b, c = (data.uns["grnrep"] for data in (memory, backed, some))
    assert a["params"]["n_obs_learned"] == 1500
    close(a["network"]["learned"], b["network"]["learned"])
    close(memory.obsm["grnrep"], backed.obsm["grnrep"])
    whole = gr.metrics.recovery(memory)["pearson"].mean()
    assert whole > gr.metrics.recovery(some)["pearson"].mean() - 1e-3
    direct = adata.copy()  # all cells in memory at once
    gr.tl.fit(
        direct,
        net,
        **options | {"max_cells": 1500},
    )
    for j in memory.obsm["grnrep"]:
        assert np.corrcoef(memory.obsm["grnrep"][j], direct.obsm["grnrep"][j])[0, 1] > 0.999
    assert not np.allclose(a["network"]["learned"], c["network"]["learned"], atol=1e-4)


@pytest.mark.usefixtures("short_chain")
def test_activities_go_to_a_store(files, tmp_path):
    folder, adata, net = files
    wanted = adata.copy()
    gr.tl.fit(wanted, net, uncertainty=True, **OPTIONS)
    for form in ("memory", "backed"):
        _goes_to_a_store(form, folder, adata, net, wanted, tmp_path)


def _goes_to_a_store(form, folder, adata, net, wanted, tmp_path):
    data = adata.copy() if form == "memory" else opened(folder, "backed")
    store = tmp_path / f"{form}.zarr"
    gr.tl.fit(data, net, uncertainty=True, activity_store=store, block_size=64, **OPTIONS)
    back = ad.read_zarr(store)
    assert list(back.var_names) == list(wanted.obsm["grnrep"].columns)
    assert list(back.obs_names) == list(adata.obs_names)
    close(back.X, wanted.obsm["grnrep"])
    close(back.layers["sd"], wanted.obsm["grnrep_sd"])
    assert hasattr(data.obsm["grnrep"], "compute")
    close(data.obsm["grnrep"], back.X)
    assert gr.metrics.recovery(data)["pearson"].mean() > 0.9
    lazy = gr.get.activity(data)
    assert hasattr(lazy.X, "compute")
    assert list(lazy.var_names) == list(back.var_names)
    close(lazy[:, "TF_002"].X, back[:, "TF_002"].X)


def test_transform_to_a_store_leaves_what_is_unknown_open(files, whole, tmp_path):
    _, adata, net = files
    lost = net.loc[net["source"] == "TF_003", "target"]
    new = adata[:, ~adata.var_names.isin(lost)].copy()
    gr.tl.transform(new, whole, activity_store=tmp_path / "new.zarr", block_size=64, progress=False)
    plain = new.copy()
    gr.tl.transform(plain, whole, progress=False)
    back = ad.read_zarr(tmp_path / "new.zarr").to_df()
    assert back["TF_003"].isna().all()
    close(back.drop(columns="TF_003"), plain.obsm["grnrep"].drop(columns="TF_003"))


@pytest.mark.parametrize(
    ("store", "error", "fragments"),
    [
        (3, TypeError, ("activity_store must be a path",)),
        ("activity.h5ad", ValueError, ("must end in .zarr",)),
        ("there.zarr", ValueError, ("exists already",)),
        ("nowhere/activity.zarr", ValueError, ("there is no folder",)),
    ],
)
def test_bad_stores_are_refused_before_any_work(
    files, refuses, tmp_path, monkeypatch, store, error, fragments
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.zarr").mkdir()
    _, adata, net = files
    with refuses(error, *fragments, adata=adata):
        gr.tl.fit(adata, net, activity_store=store, **OPTIONS)


def test_nothing_is_left_of_a_store_that_failed(files, tmp_path, monkeypatch, refuses):
    _, adata, net = files
    data, calls = adata.copy(), []
    infer = gr.tl._infer.infer_cells

    def failing(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return infer(*args, **options)

    monkeypatch.setattr(gr.tl._infer, "infer_cells", failing)
    with refuses(OSError, "no space is left", "activity.zarr", adata=data):
        gr.tl.fit(data, net, activity_store=tmp_path / "activity.zarr", block_size=50, **OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_bad_block_size(files, refuses):
    _, adata, net = files
    with refuses(ValueError, "block_size must be at least 1; found 0", adata=adata):
        gr.tl.fit(adata, net, block_size=0, **OPTIONS)


def test_truncated_file_says_so(files, tmp_path):
    folder, _, net = files
    content = (folder / "data.h5ad").read_bytes()
    (tmp_path / "short.h5ad").write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match="truncated"):
        gr.tl.fit(ad.read_h5ad(tmp_path / "short.h5ad", backed="r"), net, **OPTIONS)


@pytest.fixture(scope="module")
def by_passes(many):
    """Cells in a file with the fit to all of them."""
    backed = ad.read_h5ad(many[0], backed="r")
    gr.tl.fit(backed, many[2], block_size=300, client=None, **OPTIONS | {"max_cells": None})
    return backed


def test_a_cluster_sums_what_a_decoder_step_needs(many, by_passes, client):
    path, _, net = many
    there = ad.read_h5ad(path, backed="r")
    gr.tl.fit(there, net, block_size=300, client=client, **OPTIONS | {"max_cells": None})
    np.testing.assert_allclose(there.obsm["grnrep"], by_passes.obsm["grnrep"], atol=1e-6)


def test_rows_in_another_order_move_what_passes_find_no_further_than_is_said(
    many, by_passes, tmp_path
):
    path, _, net = many
    data = ad.read_h5ad(path)
    data[np.random.default_rng(0).permutation(data.n_obs)].copy().write_h5ad(
        tmp_path / "other.h5ad"
    )
    other = ad.read_h5ad(tmp_path / "other.h5ad", backed="r")
    gr.tl.fit(other, net, block_size=300, client=None, **OPTIONS | {"max_cells": None})
    wanted = by_passes.obsm["grnrep"]
    apart = (other.obsm["grnrep"].loc[data.obs_names] - wanted).abs() / wanted.std()
    assert 0 < apart.to_numpy().max() < 0.05


@pytest.mark.parametrize("form", ["backed", "zarr"])
def test_a_cluster_gives_the_same(files, client, form):
    folder, _, net = files
    here, there = opened(folder, form), opened(folder, form)
    gr.tl.fit(here, net, block_size=50, client=None, **OPTIONS)
    gr.tl.fit(there, net, block_size=50, client=client, **OPTIONS)
    np.testing.assert_allclose(there.obsm["grnrep"], here.obsm["grnrep"], atol=1e-6)
    new = opened(folder, form)
    gr.tl.transform(new, here, block_size=50, client=None, progress=False)
    gr.tl.transform(there, here, block_size=50, progress=False)  # the active one
    np.testing.assert_allclose(there.obsm["grnrep"], new.obsm["grnrep"], atol=1e-6)


def test_a_lost_worker_changes_nothing(files, client, monkeypatch):
    folder, _, net = files
    here, there = opened(folder, "backed"), opened(folder, "backed")
    gr.tl.fit(here, net, block_size=5, client=None, **OPTIONS)
    pid = min(client.run(os.getpid).values())
    map_blocks = gr.tl._infer.map_blocks

    def killing(*args, **options):
        for count, result in enumerate(map_blocks(*args, **options)):
            if count == 5:
                os.kill(pid, 9)
            yield result

    monkeypatch.setattr(gr.tl._infer, "map_blocks", killing)
    gr.tl.fit(there, net, block_size=5, client=client, **OPTIONS)
    np.testing.assert_allclose(there.obsm["grnrep"], here.obsm["grnrep"], atol=1e-6)
