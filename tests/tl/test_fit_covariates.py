"""Covariates: batches and numbers in obs, fitted together with everything else."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep._cells import read_covariates

pytestmark = pytest.mark.usefixtures("quick_choices")

GIVEN = {"ridge": 1e-3, "sign_shrinkage": 0.03}  # where nobody asks what is chosen


def batches(seed=0, *, n_obs=300, n_vars=80, n_regulators=6, shift=1.0):
    """Eq. 6 with a shift per gene and batch inside the ReLU; and the same cells without it."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_vars, n_regulators)) < 0.3
    mask[np.arange(n_vars), rng.integers(n_regulators, size=n_vars)] = True
    w = mask * rng.uniform(-1, 1, mask.shape)
    z = rng.gamma(1.0, size=(n_obs, n_regulators))
    p = z @ w.T + 0.1 * rng.normal(size=(n_obs, n_vars))
    batch = rng.integers(2, size=n_obs)
    cells, genes = [f"c{i}" for i in range(n_obs)], [f"g{i}" for i in range(n_vars)]
    regulators = [f"TF{i}" for i in range(n_regulators)]
    obs = pd.DataFrame(
        {"batch": pd.Categorical(np.array(["one", "two"])[batch]), "pct_mito": rng.random(n_obs)},
        index=cells,
    )
    truth = pd.DataFrame(z, index=cells, columns=regulators)
    gene, regulator = np.nonzero(mask)
    net = pd.DataFrame(
        {
            "source": np.array(regulators)[regulator],
            "target": np.array(genes)[gene],
            "weight": w[gene, regulator],
        }
    )

    def data(p):
        x = np.maximum(p, 0).astype(np.float32)
        return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=genes), obsm={"true_activity": truth})

    return data(p + np.outer(batch, shift * rng.normal(size=n_vars))), data(p), net


def fit(adata, net, **options):
    gr.tl.fit(adata, net, progress=False, **options)
    return adata.uns["grnrep"]


def test_batches_cost_next_to_nothing():
    for seed in range(3):
        adata, free, net = batches(seed)
        fit(adata, net[["source", "target"]], covariates=["batch"])
        fit(free, net[["source", "target"]])
        found, best = gr.metrics.recovery(adata), gr.metrics.recovery(free)
        assert found["pearson"].mean() > best["pearson"].mean() - 0.01
        assert found["r2"].mean() > 0.9


def test_what_is_stored_and_its_way_through_a_file(tmp_path):
    adata, _, net = batches()
    record = fit(adata, net, covariates=["pct_mito", "batch"])
    columns = record["covariates"]
    assert columns["covariate"].tolist() == ["batch", "pct_mito"]
    assert columns["kind"].tolist() == ["categorical", "continuous"]
    assert (columns["level"].tolist(), columns["reference"].tolist()) == (["two", ""], ["one", ""])
    assert record["covariate_effects"].shape == (80, 2)
    assert record["params"]["intercept"] is True
    share = record["regulators"]["covariate_r2"]
    assert share.between(0, 1).all()
    assert share.max() > 0.1
    adata.write_h5ad(tmp_path / "fit.h5ad")
    again = ad.read_h5ad(tmp_path / "fit.h5ad")
    gr.tl.transform(again, again, progress=False)
    np.testing.assert_allclose(again.obsm["grnrep"], adata.obsm["grnrep"], atol=1e-4)


def test_order_of_covariates_cells_and_levels_does_not_matter():
    adata, _, net = batches()
    other = adata[::-1].copy()
    other.obs["batch"] = other.obs["batch"].astype(str)
    fit(adata, net, covariates=["batch", "pct_mito"], **GIVEN)
    fit(other, net, covariates=["pct_mito", "batch"], **GIVEN)
    pd.testing.assert_frame_equal(adata.obsm["grnrep"], other.obsm["grnrep"].loc[adata.obs_names])
    # which level is the reference changes nothing but the effects' sign
    swapped = adata.copy()
    swapped.obs["batch"] = swapped.obs["batch"].map({"one": "zzz", "two": "aaa"})
    fit(swapped, net, covariates=["batch", "pct_mito"], **GIVEN)
    np.testing.assert_allclose(swapped.obsm["grnrep"], adata.obsm["grnrep"], atol=2e-3)


def test_new_cells_of_one_batch():
    adata, _, net = batches()
    adata, new = adata[:200].copy(), adata[200:]
    fit(adata, net, covariates="batch", **GIVEN)
    new = new[new.obs["batch"] == "two"].copy()
    gr.tl.transform(new, adata, progress=False)
    assert gr.metrics.recovery(new)["pearson"].mean() > 0.95
    new.obs["batch"] = "three"
    with pytest.raises(ValueError, match="levels of the fit, 'one', 'two'; found also 'three'"):
        gr.tl.transform(new, adata, progress=False)
    del new.obs["batch"]
    with pytest.raises(KeyError, match=r"'batch' is not in new\.obs"):
        gr.tl.transform(new, adata, progress=False)


def test_fewer_genes_in_new_data():
    adata, _, net = batches()
    fit(adata, net, covariates=["batch"], **GIVEN)
    new = adata[:, 10:].copy()
    gr.tl.transform(new, adata, progress=False)
    found = gr.metrics.recovery(new)["pearson"]
    assert found.mean() > 0.95


def test_many_cells_learn_from_a_part():
    adata, _, net = batches()
    record = fit(adata, net, covariates=["batch"], max_cells=150, **GIVEN)
    assert record["params"]["n_obs_learned"] == 150
    assert gr.metrics.recovery(adata)["pearson"].mean() > 0.95


@pytest.mark.usefixtures("short_chain")
def test_repair_and_uncertainty_go_with_covariates():
    adata, _, net = batches()
    record = fit(adata, net, covariates=["batch"], repair=True, uncertainty=True, **GIVEN)
    assert (record["repair"]["status"] == "kept").mean() > 0.9
    assert gr.metrics.recovery(adata)["pearson"].mean() > 0.95
    assert np.isfinite(adata.obsm["grnrep_sd"]).all(axis=None)


def test_a_covariate_that_hides_a_regulator_is_named(caplog):
    adata, _, net = batches(shift=0.0)
    only = net[net["source"] == "TF0"]
    hidden = adata.obsm["true_activity"]["TF0"].to_numpy()
    adata.obs["score"] = hidden
    values = np.maximum(np.outer(hidden, only["weight"]), 0)
    extra = [f"own{i}" for i in range(len(only))]
    both = ad.AnnData(
        np.concatenate([adata.X, values], axis=1).astype(np.float32),
        obs=adata.obs,
        var=pd.DataFrame(index=[*adata.var_names, *extra]),
    )
    more = pd.DataFrame({"source": "HIDDEN", "target": extra, "weight": 1.0})
    with caplog.at_level(logging.WARNING, logger="grnrep"):
        record = fit(both, pd.concat([net, more]), covariates=["score"], **GIVEN)
    assert "cannot be told from them: 'HIDDEN'" in caplog.text
    assert record["regulators"].loc["HIDDEN", "covariate_r2"] > 0.9


@pytest.mark.parametrize(
    ("change", "options", "error", "fragments"),
    [
        (
            {},
            {"covariates": ["nothing"]},
            KeyError,
            ("'nothing' is not in adata.obs", "'batch', 'pct_mito'"),
        ),
        (
            {"batch": np.nan},
            {"covariates": ["batch"]},
            ValueError,
            ("found 300 cell(s) without", "Drop"),
        ),
        (
            {"batch": "one"},
            {"covariates": ["batch"]},
            ValueError,
            ("two levels or more", "only 'one'"),
        ),
        (
            {"pct_mito": 2.0},
            {"covariates": ["pct_mito"]},
            ValueError,
            ("must differ", "found 2 everywhere"),
        ),
        (
            {"pct_mito": np.inf},
            {"covariates": ["pct_mito"]},
            ValueError,
            ("finite value for every cell",),
        ),
        ({}, {"covariates": ["batch", "batch"]}, ValueError, ("name every column once",)),
        ({}, {"covariates": 3}, TypeError, ("names of columns of adata.obs", "found 3")),
        (
            {},
            {"covariates": ["batch"], "intercept": False},
            ValueError,
            ("intercept must be True or 'auto'",),
        ),
    ],
)
def test_bad_covariates(refuses, change, options, error, fragments):
    adata, _, net = batches()
    for name, value in change.items():
        adata.obs[name] = value
    with refuses(error, *fragments, adata=adata):
        gr.tl.fit(adata, net, progress=False, **options)


def test_covariates_that_follow_from_others(refuses):
    adata, _, net = batches()
    adata.obs["donor"] = np.where(adata.obs["batch"] == "one", "Ann", "Bob")
    with refuses(ValueError, "'donor' is a combination of 'batch'", adata=adata):
        gr.tl.fit(adata, net, covariates=["batch", "donor"], progress=False)
    adata.obs["barcode"] = adata.obs_names
    with refuses(ValueError, "fewer levels than cells; found 300", adata=adata):
        gr.tl.fit(adata, net, covariates=["barcode"], progress=False)


@pytest.mark.parametrize(
    ("values", "warns"),
    [
        (np.arange(300) % 3, True),
        (np.arange(300) % 3 + 0.0, True),
        (np.arange(300) % 25, True),
        (np.arange(300) % 2, False),  # one slope, or one difference: the same
        (np.arange(300) % 3 + 0.5, False),
        (np.arange(300), False),
        ((np.arange(300) % 3).astype(str), False),
    ],
)
def test_whole_numbers_that_may_be_codes_are_spoken_of(caplog, values, warns):
    adata, *_ = batches()
    adata.obs["code"] = values
    read_covariates(adata, "code")
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == warns
    for fragment in (
        "'code' holds",
        "one slope",
        "adata.obs['code'].astype('category')",
        "if they are amounts",
    ):
        assert not warns or fragment in said[0]
