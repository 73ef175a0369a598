"""Counts: the verb beside its kernel, what must not matter, and what it refuses."""

import logging

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import grnrep as gr
from grnrep.core.als.fit import fit_decoder
from grnrep.core.network import Network
from grnrep.core.signs import orient

pytestmark = pytest.mark.usefixtures("quick_choices")


def counted(**options):
    sizes = {
        "n_obs": 250,
        "n_vars": 200,
        "n_regulators": 8,
        "connectivity": 0.2,
        "library_size": 2000,
    }
    adata, net = gr.ds.simulate(**{**sizes, "counts": "poisson", **options}, progress=False)
    # totals cannot tell a deep cell from one with more expression: activities are relative to it
    depth = adata.X.sum(1)
    adata.obsm["true_activity"] = adata.obsm["true_activity"].div(depth / depth.mean(), axis=0)
    adata.X = sp.csr_matrix(adata.layers.pop("counts"))
    return adata, net


def fit(adata, net, **options):
    gr.tl.fit(adata, net, progress=False, **options)
    return adata.uns["grnrep"]


def test_counts_are_recognised_and_recovered(caplog):
    for seed in range(3):
        adata, net = counted(rng=seed)
        adata, new = adata[:200].copy(), adata[200:].copy()
        with caplog.at_level(logging.INFO, logger="grnrep"):
            params = fit(adata, net[["source", "target"]])["params"]
        assert (params["likelihood"], params["solver"]) == ("poisson", "exact")
        assert "likelihood='auto' chose 'poisson'" in caplog.text
        assert gr.metrics.recovery(adata)["pearson"].mean() > 0.9
        gr.tl.transform(new, adata, progress=False)
        assert gr.metrics.recovery(new)["pearson"].mean() > 0.9
        assert gr.metrics.reconstruction(adata)["r2"].median() > 0.3


def test_prior_signs_ask_for_the_likelihood_that_uses_them(caplog):
    adata, net = counted()
    assert fit(adata, net)["params"]["likelihood"] == "tobit"
    assert (
        "though values are counts. Normalise and take logarithms, or choose likelihood='poisson'"
        in caplog.text
    )


def test_the_verb_is_the_kernel_with_totals_over_all_genes():
    adata, net = counted(n_obs=120, n_vars=100)
    net = net[net["target"].isin(adata.var_names[:75])]
    record = fit(adata, net, likelihood="nb", max_cells=None, intercept=False)
    genes, regulators = np.unique(net["target"]), np.unique(net["source"])
    cells = np.sort(adata.obs_names)
    edges = np.searchsorted(genes, net["target"]), np.searchsorted(regulators, net["source"])
    network = Network.from_edges(*edges, net["weight"], len(genes), len(regulators))
    sorted_ = adata[cells, genes].X.toarray().astype(np.float32)
    total = adata[cells].X.toarray().sum(1)
    found = fit_decoder(
        sorted_, network, likelihood="nb", size_factors=total / np.median(total), ridge=1e-3
    )
    wanted, *_ = orient(found, network)
    np.testing.assert_allclose(
        adata.obsm["grnrep"].loc[cells], wanted.activity, rtol=1e-4, atol=1e-4
    )
    assert record["params"]["depth"] == np.median(total)
    np.testing.assert_allclose(
        record["genes"]["dispersion"], wanted.likelihood.arrays()["dispersion"]
    )


def test_counts_with_signs_are_gaussian_however_few_genes(caplog):
    adata, net = gr.ds.simulate(
        300, 60, n_regulators=5, counts="poisson", min_targets=3, rng=0, progress=False
    )
    adata.X = adata.layers["counts"]
    with caplog.at_level("WARNING", logger="grnrep"):
        assert fit(adata, net, min_targets=1)["params"]["likelihood"] == "tobit"
    assert "those of counts draw no weights to prior signs" in caplog.text
    unsigned = net[["source", "target"]]
    assert fit(adata, unsigned, min_targets=1)["params"]["likelihood"] == "poisson"


def test_format_dtype_and_order_do_not_matter(tmp_path):
    adata, net = counted(n_obs=100, n_vars=80)
    options = {"likelihood": "poisson", "max_iter": 10}
    fit(adata, net, **options)
    wanted = adata.obsm["grnrep"]
    dense = ad.AnnData(adata.X.toarray().astype(np.int64), obs=adata.obs, var=adata.var)
    columns = ad.AnnData(adata.X.tocsc(), obs=adata.obs, var=adata.var)
    turned = adata[::-1, ::-1].copy()
    plain = ad.AnnData(adata.X, obs=adata.obs, var=adata.var)
    plain.write_h5ad(tmp_path / "counts.h5ad")
    backed = ad.read_h5ad(tmp_path / "counts.h5ad", backed="r")
    for other in (dense, columns, turned, backed):
        fit(other, net.sample(frac=1, random_state=0), **options)
        np.testing.assert_array_equal(other.obsm["grnrep"].loc[adata.obs_names], wanted)


def test_a_file_keeps_all_that_new_cells_need(tmp_path):
    adata, net = counted(counts="nb", dispersion=0.5, n_obs=120)
    params = fit(adata, net[["source", "target"]])["params"]
    assert params["likelihood"] == "nb"
    adata.write_zarr(tmp_path / "fit.zarr")
    again = ad.read_zarr(tmp_path / "fit.zarr")
    gr.tl.transform(again, again, progress=False)
    wanted = adata.obsm["grnrep"].to_numpy()
    # a cell ends where its steps are small; rounding in the file moves that by a few thousandths at most
    np.testing.assert_allclose(again.obsm["grnrep"], wanted, atol=5e-3 * wanted.std())


def test_a_deeper_cell_has_the_same_activities():
    adata, net = counted(library_size=20_000)
    fit(adata, net, likelihood="poisson")
    deep = adata.copy()
    deep.X = adata.X * 2
    gr.tl.transform(deep, adata, progress=False)
    # twice the counts say twice as much against the penalty, no more
    a, b = deep.obsm["grnrep"].to_numpy(), adata.obsm["grnrep"].to_numpy()
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    assert abs(np.polyfit(b.ravel(), a.ravel(), 1)[0] - 1) < 0.02


def test_many_cells_learn_from_a_part():
    adata, net = counted()
    record = fit(adata, net, likelihood="poisson", max_cells=150)
    assert record["params"]["n_obs_learned"] == 150
    assert gr.metrics.recovery(adata)["pearson"].mean() > 0.9


def test_batches_of_counts():
    adata, net = counted()
    draw = np.random.default_rng(0)
    second = draw.random(adata.n_obs) < 0.5
    ambient = draw.poisson(np.outer(second, 20 * draw.gamma(0.3, size=adata.n_vars)))
    before = np.asarray(adata.X.sum(1)).ravel()
    adata.X = sp.csr_matrix(adata.X + sp.csr_matrix(ambient))
    added = np.asarray(adata.X.sum(1)).ravel() / before
    adata.obsm["true_activity"] = adata.obsm["true_activity"].div(added / added.mean(), axis=0)
    adata.obs["batch"] = np.where(second, "two", "one")
    fit(adata, net, likelihood="poisson", covariates=["batch"])
    fit(adata, net, likelihood="poisson", key_added="blind")
    within = [part.copy() for part in (adata[second], adata[~second])]
    seen, blind = (
        np.mean([gr.metrics.recovery(part, key=key)["pearson"].mean() for part in within])
        for key in ("grnrep", "blind")
    )
    assert seen > 0.95
    assert 1 - seen < 0.7 * (1 - blind)


def test_gradients_are_not_of_counts(refuses):
    adata, net = counted(n_obs=60, n_vars=60)
    gr.tl.fit_gradient(adata, net, epochs=1, progress=False)
    assert adata.uns["grnrep"]["params"]["likelihood"] == "tobit"
    with refuses(ValueError, "'auto', 'gaussian', 'tobit'; found 'nb'", adata=adata):
        gr.tl.fit_gradient(adata, net, likelihood="nb", progress=False)


@pytest.mark.parametrize("options", [{}, {"counts": "nb", "dispersion": 0.3}])
def test_intervals_hold_the_truth_also_of_cells_that_were_not_learned_from(options, tmp_path):
    adata, net = counted(library_size=600, connectivity=0.4, **options)
    edges = net[["source", "target"]]
    fit(adata, edges, max_cells=150, uncertainty=True)
    z, sd, truth = (adata.obsm[name] for name in ("grnrep", "grnrep_sd", "true_activity"))
    assert list(sd.columns) == list(z.columns)
    assert (sd.dtypes == np.float32).all()
    truth = truth[z.columns]
    scale = (z * truth).sum() / (z**2).sum()  # that of an activity is a convention
    covered = ((z * scale - truth).abs() <= 1.96 * sd * scale.abs()).to_numpy()
    assert 0.9 < covered.mean() < 0.99
    record = adata.uns["grnrep"]
    assert record["params"]["n_obs_learned"] == 150
    assert "noise_variance" not in record["genes"]
    assert "rhat" not in record["regulators"]
    found = record["network"].merge(net, on=["source", "target"])
    # in the scale of the truth
    size = found["source"].map((z * truth).sum() / (truth**2).sum()).abs()
    learned, true = found["learned"] * size, found["weight_y"]
    true = true * (learned @ true) / (true @ true)  # counts for one unit of expression
    assert ((learned - true).abs() <= 1.96 * found["std_err"] * size).mean() > 0.85
    assert found["std_err"].quantile(0.25) < 0.3
    adata.write_h5ad(tmp_path / "fit.h5ad")


def test_deviations_change_nothing_else():
    adata, net = counted(n_obs=100, n_vars=80)
    plain, edges = adata.copy(), net[["source", "target"]]
    for data, uncertainty in ((adata, True), (plain, False)):
        fit(data, edges, likelihood="poisson", max_cells=60, uncertainty=uncertainty)
    # cells that were learned from keep what was found there, which the search of new cells finds to its tolerance
    off = (plain.obsm["grnrep"] - adata.obsm["grnrep"]) / adata.obsm["grnrep_sd"]
    assert off.abs().to_numpy().max() < 0.01
    assert "grnrep_sd" not in plain.obsm
    assert "std_err" not in plain.uns["grnrep"]["network"]


@pytest.mark.parametrize(("max_cells", "on_worker"), [(None, False), (100, False), (100, True)])
def test_deviations_of_a_file_are_those_of_memory(tmp_path, request, max_cells, on_worker):
    adata, net = counted(n_obs=150, n_vars=100)
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 2, "one", "two")
    ad.AnnData(adata.X, obs=adata.obs, var=adata.var).write_h5ad(tmp_path / "counts.h5ad")
    backed = ad.read_h5ad(tmp_path / "counts.h5ad", backed="r")
    options = {
        "likelihood": "poisson",
        "uncertainty": True,
        "max_cells": max_cells,
        "covariates": ["batch"],
    }
    fit(adata, net, **options)
    options["client"] = request.getfixturevalue("client") if on_worker else None
    fit(backed, net, block_size=33, activity_store=tmp_path / "activity.zarr", **options)
    for name in ("grnrep", "grnrep_sd"):
        wanted = adata.obsm[name].to_numpy()
        np.testing.assert_allclose(np.asarray(backed.obsm[name]), wanted, atol=1e-3 * wanted.std())
    np.testing.assert_allclose(
        backed.uns["grnrep"]["network"]["std_err"],
        adata.uns["grnrep"]["network"]["std_err"],
        rtol=1e-6,
    )


def test_deviations_fall_with_deeper_counts():
    sd = []
    for library_size in (600, 6000):
        adata, net = counted(library_size=library_size, n_obs=120, noise_sd=0.02)
        fit(adata, net, likelihood="poisson", uncertainty=True)
        scale = adata.obsm["grnrep"].std()
        sd.append(np.median(adata.obsm["grnrep_sd"] / scale))
    assert sd[1] < 0.6 * sd[0]


@pytest.mark.parametrize(
    ("value", "options", "fragments"),
    [
        (
            -1,
            {"likelihood": "poisson"},
            ("must be counts", "found 1 other value(s), first -1", "gene"),
        ),
        (0.5, {"likelihood": "nb"}, ("must be counts", "first 0.5", "likelihood='gaussian'")),
        (
            None,
            {"likelihood": "bernoulli"},
            ("must be 0 or 1", "larger whole numbers in"),
        ),
        (
            None,
            {"likelihood": "binomial"},
            ("'nb', 'bernoulli'; found 'binomial'",),
        ),
        (
            None,
            {"sign_shrinkage": 0.3, "likelihood": "nb"},
            ("sign_shrinkage must be 'auto' or 0", "found 0.3"),
        ),
        (
            None,
            {"repair": True, "likelihood": "poisson"},
            ("repair needs likelihood='gaussian' or 'tobit'", "'poisson'"),
        ),
        (
            None,
            {"repair": True, "uncertainty": True, "likelihood": "nb"},
            ("repair needs likelihood='gaussian' or 'tobit'", "'nb'"),
        ),
        (-1, {"uncertainty": True, "likelihood": "nb"}, ("must be counts", "first -1")),
    ],
)
def test_bad_counts(refuses, value, options, fragments):
    adata, net = counted(n_obs=60, n_vars=60)
    if value is not None:
        x = adata.X.toarray().astype(np.float32)
        x[3, adata.var_names.get_loc(net["target"].iloc[0])] = value
        adata.X = x
    with refuses(ValueError, *fragments, adata=adata):
        gr.tl.fit(adata, net, progress=False, **options)


def test_new_data_must_be_counts_too():
    adata, net = counted(n_obs=60, n_vars=60)
    fit(adata, net, likelihood="poisson", max_iter=2)
    new = adata.copy()
    new.X = np.log1p(adata.X.toarray())
    with pytest.raises(ValueError, match=r"new\.X must be counts"):
        gr.tl.transform(new, adata, progress=False)


def test_layer_is_named(refuses):
    adata, net = counted(n_obs=60, n_vars=60)
    adata.layers["log"] = np.log1p(adata.X.toarray())
    with refuses(ValueError, "adata.layers['log'] must be counts", adata=adata):
        gr.tl.fit(adata, net, layer="log", likelihood="poisson", progress=False)


@pytest.mark.parametrize("equal", ["of the network's genes", "over all genes"])
def test_the_likelihood_is_chosen_by_the_totals_that_the_fit_uses(equal):
    adata, net = counted(n_obs=80, n_vars=60)
    x = adata.X.toarray()
    inside = adata.var_names.isin(net["target"])
    everywhere = equal == "over all genes"
    spare = np.flatnonzero(inside)[-1]  # taken out of the network: takes what is left of a total
    net = net[net["target"] != adata.var_names[spare]]
    inside = adata.var_names.isin(net["target"])
    part = x.sum(1) - x[:, spare] if everywhere else x[:, inside].sum(1)
    if everywhere:
        x[:, spare] = part.max() + 5 - part
    else:
        x[:, np.flatnonzero(inside)[0]] += part.max() - part
    adata.X = x
    totals = {"of the network's genes": x[:, inside].sum(1), "over all genes": x.sum(1)}
    assert totals[equal].std() == 0
    assert all(total.std() > 0 for which, total in totals.items() if which != equal)
    record = fit(adata, net[["source", "target"]], max_iter=2)
    assert (record["params"]["likelihood"] == "tobit") is everywhere


def test_cells_without_a_count_are_numbered(caplog):
    adata, net = counted(n_obs=60, n_vars=60)
    x = adata.X.toarray()
    x[[3, 7]] = 0
    adata.X = sp.csr_matrix(x)
    fit(adata, net, likelihood="poisson", max_iter=2)
    assert "adata.X: 2 of 60 cells have no count in any gene" in caplog.text
    caplog.clear()
    gr.tl.transform(adata[:5].copy(), adata, progress=False)
    assert "new.X: 1 of 5 cells have no count in any gene" in caplog.text
    caplog.clear()
    fit(adata[8:].copy(), net, likelihood="poisson", max_iter=2)
    assert "no count" not in caplog.text


def test_sums_over_all_genes_that_are_not_finite_are_no_depths():
    adata, net = counted(n_obs=60, n_vars=60)
    adata.X = adata.X.toarray().astype(np.float32)
    net = net[net["target"] != adata.var_names[0]]
    adata.X[0, 0] = np.nan
    assert fit(adata, net[["source", "target"]], max_iter=2)["params"]["likelihood"] == "tobit"


def test_values_of_zero_and_one_from_fit_to_file(tmp_path):
    adata, net = gr.ds.simulate(
        150, 80, n_regulators=4, connectivity=0.3, noise_sd=0.3, rng=0, progress=False
    )
    x = np.asarray(adata.X)
    adata.X = (x > np.median(x)).astype(np.float32)
    adata, new = adata[:100].copy(), adata[100:].copy()
    record = fit(adata, net[["source", "target"]], likelihood="bernoulli", uncertainty=True)
    share = record["genes"]["share"]
    wanted = adata[:, share.index].X.mean(0, dtype=float).clip(1e-3, 1 - 1e-3)
    np.testing.assert_allclose(share, wanted)
    assert (adata.obsm["grnrep_sd"].to_numpy() > 0).all()
    gr.io.save(adata, tmp_path / "model.zarr")
    other = new.copy()
    gr.tl.transform(new, adata, progress=False)
    gr.tl.transform(other, gr.io.load(tmp_path / "model.zarr"), progress=False)
    np.testing.assert_array_equal(new.obsm["grnrep"], other.obsm["grnrep"])
    assert gr.metrics.recovery(new)["pearson"].mean() > 0.6
    new.X = new.X + 1
    with pytest.raises(ValueError, match=r"new.X must be 0 or 1; found larger whole numbers"):
        gr.tl.transform(new, adata, progress=False)
