"""A run that was killed goes on to the same result."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from importlib import import_module

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
import zarr

import grnrep as gr
from grnrep.core.als.problem import Problem
from grnrep.core.choose import shrinkage

CHOSEN = {"ridge": 1e-3, "sign_shrinkage": 0.3}
OPTIONS = {"max_cells": 150, "max_iter": 15, "block_size": 20, "progress": False, **CHOSEN}

SCRIPT = """
import os, signal, sys, time, anndata as ad, pandas as pd, grnrep as gr
adata, net = ad.read_h5ad(sys.argv[1]), pd.read_csv(sys.argv[2], float_precision="round_trip")
fit = gr.tl.fit
for line in sys.stdin:  # seconds that a process has, or inf: until it ends
    child = os.fork()
    if child == 0:
        fit(adata, net, checkpoint=sys.argv[3], max_cells=150, max_iter=15, block_size=20, progress=False,
            ridge=1e-3, sign_shrinkage=0.3)
        adata.write_h5ad(sys.argv[4])
        os._exit(0)
    if float(line) < float("inf"):
        time.sleep(float(line))
        os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1])
"""


@pytest.fixture(autouse=True)
def one_thread():
    """Blocks one after the other, so that a moment is one between two of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data():
    adata, net = gr.ds.simulate(400, 120, n_regulators=8, connectivity=0.2, rng=0, progress=False)
    adata.X = sp.csr_matrix(adata.X)
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 3, "one", "two")
    return adata, net


def interrupted(
    adata, net, path, monkeypatch, *, after, what="infer_cells", module=None, **options
):
    """Fit until something was called so often; then Ctrl-C."""
    module = gr.tl._infer if module is None else module
    whole, calls = getattr(module, what), []

    def stopping(*args, **given):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return whole(*args, **given)

    with monkeypatch.context() as patch:
        patch.setattr(module, what, stopping)
        with pytest.raises(KeyboardInterrupt):
            gr.tl.fit(adata, net, checkpoint=path, **OPTIONS | options)
    return calls


def same(a, b):
    np.testing.assert_array_equal(a.obsm["grnrep"], b.obsm["grnrep"])
    assert set(a.uns["grnrep"]) == set(b.uns["grnrep"])
    for name in ("network", "regulators", "genes"):
        pd.testing.assert_frame_equal(
            a.uns["grnrep"][name], b.uns["grnrep"][name], check_exact=True
        )
    assert a.uns["grnrep"]["params"] == b.uns["grnrep"]["params"]
    np.testing.assert_array_equal(
        a.uns["grnrep"]["history"]["objective"], b.uns["grnrep"]["history"]["objective"]
    )


@pytest.mark.parametrize(
    ("after", "options"),
    [
        (0, {"ridge": "auto", "sign_shrinkage": "auto"}),
        (1, {"covariates": ["batch"]}),
        (7, {"intercept": True}),
        (3, {"repair": True}),
        (1, {"uncertainty": True}),
    ],
    ids=str,
)
@pytest.mark.usefixtures("quick_choices", "short_chain")
def test_ctrl_c_loses_nothing(data, tmp_path, monkeypatch, digest, after, options):
    adata, net = data
    monkeypatch.setattr(shrinkage, "RIDGES", (0.3, 3.0))
    adata, wanted = adata.copy(), adata.copy()
    before = digest(adata)
    gr.tl.fit(wanted, net, **OPTIONS | options)
    interrupted(adata, net, tmp_path / "run", monkeypatch, after=after, **options)
    assert digest(adata) == before
    calls, infer = [], gr.tl._infer.infer_cells
    monkeypatch.setattr(
        gr.tl._infer, "infer_cells", lambda *a, **k: calls.append(1) or infer(*a, **k)
    )
    gr.tl.fit(adata, net, checkpoint=tmp_path / "run", **OPTIONS | options)
    assert len(calls) == 20 - after  # blocks of 20 of 400 cells
    same(adata, wanted)
    assert not (tmp_path / "run").exists()


def test_the_decoder_is_not_learned_twice(data, tmp_path, monkeypatch):
    adata, net = data
    interrupted(adata.copy(), net, tmp_path / "run", monkeypatch, after=0)
    monkeypatch.setattr(gr.tl._learn, "fit_decoder", None)
    gr.tl.fit(adata.copy(), net, checkpoint=tmp_path / "run", **OPTIONS)


PASSES = {"max_cells": None, "block_size": 300, "progress": False, **CHOSEN}


@pytest.fixture(scope="module")
def by_passes():
    """1,500 cells and their network, and the same cells with a fit to all of them."""
    adata, net = gr.ds.simulate(1500, 60, n_regulators=4, noise_sd=1.0, rng=0, progress=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    wanted = gr.tl.fit(adata, net, copy=True, **PASSES)
    torch.set_num_threads(before)
    return adata, net, wanted


@pytest.mark.parametrize("after", [0, 1, 9])
def test_passes_are_not_repeated(by_passes, tmp_path, monkeypatch, after):
    """Blocks of 300 of 1,500 cells: Ctrl-C in the first block, in the second, and in the second pass."""
    cells, net, wanted = by_passes
    adata = cells.copy()
    projection = gr.core.als.project.Projection
    sums, calls = projection.sums, []

    def stopping(self, *args):
        calls.append(1)
        if len(calls) == after + 1:
            raise KeyboardInterrupt
        return sums(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(projection, "sums", stopping)
        with pytest.raises(gr.tl.FitInterrupted) as stop:
            gr.tl.fit(adata, net, checkpoint=tmp_path / "run", **PASSES)
    gr.tl.transform(adata.copy(), stop.value.model, progress=False)
    assert len(list((tmp_path / "run").glob("pass-*"))) == after // 5
    calls.clear()
    monkeypatch.setattr(
        projection, "sums", lambda self, *args: calls.append(1) or sums(self, *args)
    )
    gr.tl.fit(adata, net, checkpoint=tmp_path / "run", **PASSES)
    same(adata, wanted)


def test_a_store_that_appeared_before_the_kill_is_known_again(data, tmp_path, monkeypatch):
    adata, net = data
    wanted, store = adata.copy(), tmp_path / "activity.zarr"
    gr.tl.fit(wanted, net, **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(
            import_module("grnrep.tl._run"),
            "results_of",
            lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            gr.tl.fit(adata, net, checkpoint=tmp_path / "run", activity_store=store, **OPTIONS)
    assert store.exists()
    with pytest.raises(ValueError, match="exists already"):
        gr.tl.fit(adata, net, activity_store=store, **OPTIONS)
    gr.tl.fit(adata, net, checkpoint=tmp_path / "run", activity_store=store, **OPTIONS)
    np.testing.assert_array_equal(
        np.asarray(adata.obsm["grnrep"]), wanted.obsm["grnrep"].to_numpy()
    )
    assert [path.name for path in tmp_path.iterdir()] == ["activity.zarr"]


def test_a_store_of_the_same_run_is_written_anew_and_others_are_not(tiny, tmp_path):
    """After the end of a fit, and before its model was saved, a process can be killed too."""
    adata, net, options = tiny
    store = tmp_path / "activity.zarr"
    where = {"checkpoint": tmp_path / "run", "activity_store": store}
    gr.tl.fit(adata.copy(), net, **where, **options)
    before = ad.read_zarr(store)
    gr.tl.fit(adata.copy(), net, **where, **options)
    np.testing.assert_array_equal(ad.read_zarr(store).X, before.X)
    with pytest.raises(ValueError, match="exists already, and is of another run"):
        gr.tl.fit(adata.copy(), net, **where, **options | {"rng": 1})
    zarr.open_group(store, mode="r+", use_consolidated=False).create_group("obsm/mine")
    with pytest.raises(ValueError, match="exists already; remove it"):
        gr.tl.fit(adata.copy(), net, **where, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["activity.zarr"]


def test_counts_go_on_too(data, tmp_path, monkeypatch):
    adata, net = gr.ds.simulate(
        160, 60, n_regulators=4, counts="nb", dispersion=0.5, rng=0, progress=False
    )
    adata.X = adata.layers["counts"]
    options, wanted = {"likelihood": "nb", "sign_shrinkage": 0.0, "max_iter": 5}, adata.copy()
    gr.tl.fit(wanted, net, **OPTIONS | options)
    interrupted(adata, net, tmp_path / "run", monkeypatch, after=4, **options)
    gr.tl.fit(adata, net, checkpoint=tmp_path / "run", **OPTIONS | options)
    same(adata, wanted)


def test_a_folder_with_other_things_is_left_alone(data, tmp_path, refuses):
    adata, net = data
    (tmp_path / "thesis.txt").write_text("mine")
    with refuses(ValueError, "is no checkpoint; choose another name", adata=adata):
        gr.tl.fit(adata, net, checkpoint=tmp_path, **OPTIONS)
    with refuses(TypeError, "checkpoint must be a path", adata=adata):
        gr.tl.fit(adata, net, checkpoint=3, **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_sigkill_at_random_moments(data, tmp_path):
    adata, net = data
    adata.write_h5ad(tmp_path / "data.h5ad")
    net.to_csv(tmp_path / "net.csv", index=False)
    (tmp_path / "run.py").write_text(SCRIPT)
    wanted, start = ad.read_h5ad(tmp_path / "data.h5ad"), time.perf_counter()
    gr.tl.fit(wanted, net, **OPTIONS)
    seconds = time.perf_counter() - start
    wanted.write_h5ad(tmp_path / "wanted.h5ad")
    wanted = ad.read_h5ad(tmp_path / "wanted.h5ad")
    paths = [
        str(tmp_path / name)
        for name in ("run.py", "data.h5ad", "net.csv", "checkpoint", "out.h5ad")
    ]
    times = [*np.random.default_rng(0).uniform(0, 2 * seconds, 3), np.inf]
    run = subprocess.run(
        [sys.executable, *paths],
        input="\n".join(map(str, times)), capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    status = [int(line) for line in run.stdout.split()]
    assert signal.SIGKILL in status[:-1]
    assert status[-1] == 0, run.stderr
    same(ad.read_h5ad(tmp_path / "out.h5ad"), wanted)
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("options", [{}, {"covariates": ["batch"]}, {"repair": True}], ids=str)
def test_ctrl_c_while_learning_leaves_the_decoder_so_far(data, monkeypatch, digest, options):
    adata, net = data
    adata = adata.copy()
    before, rounds = digest(adata), []
    cell_step = Problem.cell_step

    def stopping(problem, at, **how):
        if sys._getframe(3).f_code.co_name == "learn_from_sample":
            rounds.append(1)
        if len(rounds) > 10:
            raise KeyboardInterrupt
        return cell_step(problem, at, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Problem, "cell_step", stopping)
        with pytest.raises(gr.tl.FitInterrupted) as caught:
            gr.tl.fit(adata, net, **OPTIONS | options)
    assert digest(adata) == before
    model = caught.value.model
    assert model.uns["grnrep"]["params"]["converged"] is False
    gr.tl.transform(adata, model, progress=False)
    assert gr.metrics.recovery(adata)["pearson"].mean() > 0.8


def test_ctrl_c_while_inferring_leaves_the_decoder(data, monkeypatch, tmp_path):
    adata, net = data
    adata, wanted, again = adata.copy(), adata.copy(), adata.copy()
    gr.tl.fit(wanted, net, **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(gr.tl._infer, "infer_cells", _interrupt)
        with pytest.raises(gr.tl.FitInterrupted) as caught:
            gr.tl.fit(adata, net, **OPTIONS)
    gr.io.save(caught.value.model, tmp_path / "model.zarr")
    for new, model in ((adata, gr.io.load(tmp_path / "model.zarr")), (again, wanted)):
        gr.tl.transform(new, model, block_size=20, progress=False)
    np.testing.assert_array_equal(adata.obsm["grnrep"], again.obsm["grnrep"])


def _interrupt(*args, **options):
    raise KeyboardInterrupt
