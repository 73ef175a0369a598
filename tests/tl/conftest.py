"""Data so small that a fit takes a moment."""

from __future__ import annotations

import multiprocessing

import anndata as ad
import dask
import distributed
import numpy as np
import pandas as pd
import pytest
from distributed.utils import get_mp_context

import grnrep as gr


@pytest.fixture(scope="session")
def tiny():
    """30 cells × 10 genes with covariates and kinds, a network, and options: four blocks, no slow choices."""
    draw = np.random.default_rng(0)
    activity, weights = draw.gamma(1.0, size=(30, 2)), draw.uniform(0.2, 1.0, (2, 10))
    x = np.maximum(activity @ weights + 0.1 * draw.standard_normal((30, 10)), 0).astype(np.float32)
    obs = {
        "batch": draw.choice(["one", "two"], 30),
        "age": draw.random(30),
        "kind": draw.choice(list("abc"), 30),
    }
    adata = ad.AnnData(
        x,
        obs=pd.DataFrame(obs, index=[f"cell{k}" for k in draw.permutation(30)]),
        var=pd.DataFrame({"use": True}, index=[f"gene{i}" for i in range(10)]),
    )
    sources, targets = ["P"] * 7 + ["Q"] * 7, [*adata.var_names[:7], *adata.var_names[3:]]
    net = pd.DataFrame({"source": sources, "target": targets, "weight": np.nan})
    options = {
        "likelihood": "tobit", "intercept": True, "ridge": 1e-3, "sign_shrinkage": 0.0,
        "max_iter": 5, "max_cells": 15, "block_size": 8, "progress": False,
    }  # fmt: skip
    return adata, net, options


@pytest.fixture(scope="session")
def begin():
    """Fit until some blocks are done, then Ctrl-C: ``begin(adata, net, checkpoint, n_blocks, **options)``."""

    def fit(adata, net, path, n_blocks: int, **options) -> None:
        infer, calls = gr.tl._infer.infer_cells, []

        def stopping(*args, **given):
            calls.append(1)
            if len(calls) > n_blocks:
                raise KeyboardInterrupt
            return infer(*args, **given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gr.tl._infer, "infer_cells", stopping)
            with pytest.raises(KeyboardInterrupt):
                gr.tl.fit(adata, net, checkpoint=path, **options)

    return fit


@pytest.fixture(scope="session")
def cluster():
    """Two worker processes, forked from one that has imported what their tasks need."""
    workers = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context()  # sets what to import before forking, which the next line replaces
        preload = ["distributed", "grnrep.tl", "grnrep.core.als.project", "torch"]
        multiprocessing.get_context("forkserver").set_forkserver_preload(preload)
        with distributed.LocalCluster(**workers, dashboard_address=None) as cluster:
            yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    """A client of the cluster; it is the active one only in the modules that ask for it."""
    with distributed.Client(cluster) as client:
        yield client
