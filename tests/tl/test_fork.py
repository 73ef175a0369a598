"""Fits in a process that was forked after a fit: the same results, or an error that says what to do."""

import multiprocessing
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system"
)

# every way is gone in the parent, with threads, then in a child of its own, and there with a limit of time
SCRIPT = """
import os, signal, sys, warnings
from functools import partial
import anndata as ad, numpy as np, scipy.sparse as sp, torch
import grnrep as gr
from grnrep.core.posterior import sample as posterior

posterior._FEWEST, posterior._CELLS = 8, 0  # draws of a chain: as short as can be
data, net = gr.ds.simulate(n_obs=80, n_vars=40, n_regulators=4, connectivity=0.2, noise_sd=0.2, rng=0)
counts = data.copy()
counts.X = np.random.default_rng(0).poisson(np.asarray(data.X)).astype(np.float32)
sparse = data.copy()
sparse.X = sp.csr_matrix(data.X)
fixed = {"ridge": 0.1, "sign_shrinkage": 0.1, "intercept": True, "max_iter": 10}  # nothing to search for


def fit(data, net=net, **options):
    data = data.copy()
    gr.tl.fit(data, net, progress=False, **options)
    return np.asarray(data.obsm["grnrep"])


def lazy(folder):
    x = ad.experimental.read_lazy(folder + "/data.zarr").X
    return fit(ad.AnnData(x, obs=data.obs, var=data.var), block_size=20, max_cells=40, **fixed)


def transform():
    new = sparse[:, ::-1].copy()
    gr.tl.transform(new, fitted, progress=False)
    return np.asarray(new.obsm["grnrep"])


def task(name):
    return ways[name]()


if __name__ == "__main__":
    folder = sys.argv[1]
    data.write_zarr(folder + "/data.zarr")
    fitted = data.copy()
    gr.tl.fit(fitted, net, progress=False, **fixed)
    ways = {
        "blocks": partial(fit, sparse, block_size=20, max_cells=40, likelihood="tobit", **fixed),
        "counts": partial(fit, counts, likelihood="poisson", ridge=0.1, max_iter=5),
        "uncertainty": partial(fit, data, uncertainty=True, **fixed),
        "zarr": partial(lazy, folder),
        "transform": transform,
    }
    torch.set_num_threads(2)
    wanted = {name: way() for name, way in ways.items()}
    torch.ones(500, 500).exp() @ torch.ones(500, 500)  # work of anybody's own, on all threads
    for name, way in ways.items():
        child = os.fork()
        if child == 0:
            signal.alarm(120)
            same = np.array_equal(task(name), wanted[name], equal_nan=True)
            os._exit(0 if same and torch.get_num_threads() == 1 else 3)
        print(name, os.waitpid(child, 0)[1])
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(task, ["blocks", "counts"]).get(timeout=120)
    print("pool", sum(not np.array_equal(a, wanted[k]) for a, k in zip(found, ("blocks", "counts"))))
    print("parent", sum(not np.array_equal(ways[k](), wanted[k]) for k in ("blocks", "counts")))
    assert torch.get_num_threads() == 2
"""


def test_a_forked_child_gets_what_its_parent_got(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, path, tmp_path], capture_output=True, text=True, timeout=600, check=False
    )
    ended = dict(line.rsplit(" ", 1) for line in run.stdout.splitlines())
    names = ["blocks", "counts", "uncertainty", "zarr", "transform", "pool", "parent"]
    assert ended == dict.fromkeys(names, "0"), run.stderr
    assert run.returncode == 0
    assert "Traceback" not in run.stderr
