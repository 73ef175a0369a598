"""One fit that all plots are of, and what was drawn."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

import grnrep as gr


@pytest.fixture(autouse=True)
def _close():
    """Plots look the same whatever a user has set, and take no memory afterwards."""
    with mpl.rc_context(mpl.rcParamsDefault | {"backend": "Agg"}):
        yield
    plt.close("all")


@pytest.fixture(scope="session")
def cells():
    """80 cells of two states and four donors with a fit, and their network. Nobody changes them."""
    adata, net = gr.ds.simulate(
        80, 60, n_regulators=6, connectivity=0.25, noise_sd=0.3, rng=1, progress=False
    )
    adata.obs["state"] = pd.Categorical(["ill", "well", "mild", "ill"] * 20)
    adata.obs["donor"] = [f"d{k}" for k in np.arange(80) // 4 % 5]
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(80, 2))
    gr.tl.fit(adata, net, ridge=1e-3, sign_shrinkage=0.3, progress=False)
    activity = adata.obsm["grnrep"]
    activity.loc[adata.obs["state"] == "ill", "TF_001"] += 3 * activity["TF_001"].std()
    activity.loc[adata.obs["state"] == "ill", "TF_002"] -= 3 * activity["TF_002"].std()
    adata.obsm["grnrep_sd"] = 0.1 + 0 * activity
    gr.tl.rank_regulators(adata, "state", sample="donor")
    gr.tl.unexplained(adata)
    return adata, net


@pytest.fixture
def changed(cells):
    """A copy of the cells to change."""
    return cells[0].copy()


@pytest.fixture(scope="session")
def dots():
    """Positions of the points of axes: ``dots(ax)``, an array for each collection."""

    def of(ax):
        kinds = (mpl.collections.PathCollection,)
        return [np.asarray(c.get_offsets()) for c in ax.collections if isinstance(c, kinds)]

    return of


@pytest.fixture(scope="session")
def legend():
    """Texts of the legend of axes."""
    return lambda ax: [text.get_text() for text in ax.get_legend().get_texts()]
