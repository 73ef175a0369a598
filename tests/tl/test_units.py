"""Expression in another unit, c x: what is stored, and what follows from it, changes by its own unit."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr
from grnrep.core.choose import sample_size as sufficient
from grnrep.core.posterior import sample as posterior
from grnrep.tl import _posterior

MODEL = {"ridge": 0.01, "max_iter": 20, "progress": False, "copy": True}
# to the bit where the root of the unit is a power of two; elsewhere searches may end a step apart, and draws
# in single precision part for good where one is accepted in one unit alone
EXACT, ROUNDED = (2.0**-6, 0.25, 16.0), (0.01, 100.0)
WAYS = {
    "plain": ({}, EXACT),
    "plain, rounded": ({}, ROUNDED),
    "repair": ({"repair": True}, EXACT),
    "passes": ({"max_cells": None}, EXACT + ROUNDED),
    "uncertainty": ({"uncertainty": True}, EXACT),
    "stored uncertainty": ({"uncertainty": True}, EXACT),
}


def simulated(seed: int) -> tuple[ad.AnnData, pd.DataFrame]:
    """Noisy cells of Eq. 6 with a batch, in whose unit nothing is a whole number; and a signed network."""
    rng = np.random.default_rng(seed)
    n_obs, n_vars, m = 60, 30, 3
    mask = rng.random((n_vars, m)) < 0.5
    mask[np.arange(n_vars), rng.integers(m, size=n_vars)] = True
    w = mask * rng.uniform(0.2, 1.0, mask.shape) * rng.choice([-1, 1], mask.shape)
    p = rng.gamma(1.0, size=(n_obs, m)) @ w.T + 0.3 * rng.normal(size=(n_obs, n_vars))
    gene, regulator = np.nonzero(mask)
    names = [f"g{i:02}" for i in range(n_vars)]
    obs = pd.DataFrame(
        {"batch": rng.choice(["one", "two"], n_obs)}, index=[f"c{i}" for i in range(n_obs)]
    )
    net = {
        "source": np.array(["P", "Q", "R"])[regulator],
        "target": np.array(names)[gene],
        "weight": w[mask],
    }
    x = np.maximum(p, 0).astype(np.float32)
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=names)), pd.DataFrame(net)


def results(adata: ad.AnnData, net: pd.DataFrame, c: float, *, on_disk: bool, **options) -> dict:
    """By the power of the unit: what a fit to c x stores, and what its decoder makes of other cells."""
    adata = adata.copy()
    adata.X = adata.X * np.float32(c)
    train, new = adata[:45].copy(), adata[45:].copy()
    with TemporaryDirectory() as folder:
        store = Path(folder) / "activities.zarr" if on_disk else None
        fit = gr.tl.fit(train, net, activity_store=store, **MODEL, **options)
        sets = [np.asarray(fit.obsm[name]) for name in ("grnrep", "grnrep_sd") if name in fit.obsm]
    sets.append(gr.tl.transform(new, fit, copy=True, progress=False).obsm["grnrep"].to_numpy())
    record = fit.uns["grnrep"]
    genes, regulators, edges = (record[name] for name in ("genes", "regulators", "network"))
    one = [*sets, genes["intercept"]]
    one += [record["covariate_effects"]] if "covariate_effects" in record else []
    none = [fit.varm["grnrep"].toarray(), genes["r2"], edges["learned"]]
    none += [regulators["ridge"], regulators["sign_confidence"]]
    two = []
    if options.get("uncertainty"):
        none += [edges["std_err"], regulators["rhat"]]
        two.append(genes["noise_variance"])
    if "repair" in record:
        none += [record["repair"][name] for name in ("learned", "std_err", "fdr")]
    return {0: none, 1: one, 2: two}


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None, max_examples=2, derandomize=True)
@given(
    seed=st.integers(0, 20),
    unit=st.integers(0, 29),
    signed=st.booleans(),
    known=st.sampled_from([{"intercept": False}, {"intercept": True}, {"covariates": "batch"}]),
    likelihood=st.sampled_from(["tobit", "gaussian"]),
)
def test_of_everything_stored_and_transformed(way, seed, unit, signed, known, likelihood):
    adata, net = simulated(seed)
    options, units = WAYS[way]
    c = units[unit % len(units)]
    options = (
        options
        | known
        | {"likelihood": likelihood, "sign_shrinkage": 0.3 * signed, "on_disk": "stored" in way}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posterior, "_MOST", 20)
        patch.setattr(_posterior, "_MAX_CELLS", 30)  # others are outside the chain
        if way == "passes":
            patch.setattr(sufficient, "_FEWEST", 20)
            patch.setattr(sufficient, "_PER_WEIGHT", 5)
        found, expected = (results(adata, net, times, **options) for times in (c, 1.0))
    rel = 1e-5 if c in EXACT else 2e-2
    for power, values in expected.items():
        for a, b in zip(found[power], values, strict=True):
            b = np.asarray(b, dtype=np.float64) * c**power
            np.testing.assert_allclose(a, b, rtol=rel, atol=rel * np.nanmax(np.abs(b)))
