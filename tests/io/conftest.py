"""Fits, and a model of one."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import grnrep as gr


@pytest.fixture(scope="session")
def fit_small(small):
    """Fit small data: ``adata, new = fit_small(signed=True, counts=False, **options of fit)``."""

    def run(*, signed=True, counts=False, **options):
        """Data with a fit, and new cells."""
        data, net = small(n_obs=90)
        extra = pd.DataFrame({"source": ["lost"], "target": ["absent"], "weight": [1.0]})
        net = pd.concat([net, extra], ignore_index=True)
        if counts:
            data.X = np.random.default_rng(0).poisson(5 * data.X).astype(np.float32)
        data.layers["other"] = sp.csr_matrix(2 * data.X)
        data.obs["batch"] = pd.Categorical(np.where(np.arange(90) % 3, "one", "zwölf"))
        data.obs["age"] = np.random.default_rng(1).random(90)
        adata, new = data[:70].copy(), data[70:].copy()
        fit = gr.tl.fit_gradient if "epochs" in options else gr.tl.fit
        steps = {} if "epochs" in options else {"max_iter": 5}  # of any decoder, converged or not
        edges = net if signed else net[["source", "target"]]
        fit(adata, edges, progress=False, **steps | options)
        return adata, new

    return run


@pytest.fixture(scope="session")
def fitted(fit_small):
    """One fit, its cells and new ones."""
    return fit_small(ridge=1e-3, sign_shrinkage=0.3)


@pytest.fixture(scope="session")
def saved(fitted, tmp_path_factory):
    """Path of a model that nobody changes."""
    path = tmp_path_factory.mktemp("saved") / "model.zarr"
    gr.io.save(fitted[0], path)
    return path


@pytest.fixture
def model(saved, tmp_path):
    """Path of a model in a folder of its own."""
    return shutil.copytree(saved, tmp_path / "model.zarr")
