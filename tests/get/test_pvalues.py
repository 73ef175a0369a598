"""Standard errors and p-values beside conditional activities."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import grnrep as gr


@pytest.fixture
def uncertain():
    rng = np.random.default_rng(0)
    adata = ad.AnnData(np.ones((50, 1)))
    sd = rng.gamma(4, 0.25, (50, 2))
    tables = {"grnrep": rng.normal(size=(50, 2)) * sd, "grnrep_sd": sd}
    for name, values in tables.items():
        adata.obsm[name] = pd.DataFrame(values, adata.obs_names, ["P", "Q"])
    return adata


def test_two_sided_by_the_normal_distribution(uncertain):
    found = gr.get.activity(uncertain)
    z, sd = uncertain.obsm["grnrep"].to_numpy(), uncertain.obsm["grnrep_sd"].to_numpy()
    np.testing.assert_array_equal(found.layers["std_err"], sd)
    np.testing.assert_allclose(found.layers["pvalue"], 2 * stats.norm.sf(np.abs(z / sd)))
    assert stats.kstest(found.layers["pvalue"].ravel(), "uniform").pvalue > 0.01
    found.layers["std_err"][:] = 0  # copies
    assert (uncertain.obsm["grnrep_sd"] > 0).all().all()


def test_stored_activities_stay_lazy(uncertain):
    dask = pytest.importorskip("dask.array")
    expected = gr.get.activity(uncertain).layers["pvalue"]
    regulators = pd.DataFrame(index=["P", "Q"])
    uncertain.uns["grnrep"] = {"regulators": regulators, "network": None, "params": {}}
    for name in ("grnrep", "grnrep_sd"):
        uncertain.obsm[name] = dask.from_array(uncertain.obsm[name].to_numpy())
    found = gr.get.activity(uncertain).layers["pvalue"]
    assert hasattr(found, "compute")
    np.testing.assert_allclose(found.compute(), expected)


def test_without_deviations_there_are_none(uncertain):
    del uncertain.obsm["grnrep_sd"]
    assert not gr.get.activity(uncertain).layers
