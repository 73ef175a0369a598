"""Comparing activities between groups of cells, with samples as replicates."""

from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import grnrep as gr
from grnrep.tl.rank_regulators import rank_regulators


def make(seed=0, *, n_samples=10, n_cells=30, m=6, sample_sd=1.0, effect=0.0, within=False):
    """Cells of several samples, each with its own level; groups between samples, or within each."""
    rng = np.random.default_rng(seed)
    sample = np.repeat(np.arange(n_samples), n_cells)
    group = np.tile([0, 1], len(sample) // 2) if within else sample % 2
    z = rng.normal(size=(n_samples, m))[sample] * sample_sd + rng.normal(size=(len(sample), m))
    z[:, 0] += effect * group
    names = [f"c{i}" for i in rng.permutation(len(sample))]
    obs = pd.DataFrame(
        {"sample": [f"s{i}" for i in sample], "group": [f"g{i}" for i in group]}, index=names
    )
    adata = ad.AnnData(np.ones((len(sample), 1)), obs=obs)
    adata.obsm["grnrep"] = pd.DataFrame(z, names, [f"TF{j}" for j in range(m)])
    return adata


def rank(adata, groupby="group", sample="sample", **options):
    return rank_regulators(adata, groupby, sample=sample, copy=True, **options).uns[
        "rank_regulators"
    ]


def test_equals_welch_on_sample_means():
    adata = make(effect=1.0)
    table = rank(adata, reference="g0").set_index("regulator")
    assert set(table["group"]) == {"g1"}
    assert set(table["test"]) == {"welch"}
    z, p = adata.obsm["grnrep"], {}
    for name in z:
        sides = {
            g: [
                z.loc[(adata.obs["group"] == g) & (adata.obs["sample"] == s), name].mean()
                for s in set(part["sample"])
            ]
            for g, part in adata.obs.groupby("group")
        }
        expected = stats.ttest_ind(sides["g1"], sides["g0"], equal_var=False)
        assert table.loc[name, "scores"] == pytest.approx(expected.statistic)
        assert table.loc[name, "pvals"] == pytest.approx(expected.pvalue)
        assert table.loc[name, "difference"] == pytest.approx(
            np.mean(sides["g1"]) - np.mean(sides["g0"])
        )
        p[name] = expected.pvalue
    adjusted = dict(zip(p, stats.false_discovery_control(list(p.values())), strict=True))
    assert table["pvals_adj"].to_dict() == pytest.approx(adjusted)
    assert table["pvals"].is_monotonic_increasing


def test_groups_within_samples_are_paired():
    adata = make(within=True, effect=1.0, sample_sd=3.0)
    table = rank(adata, reference="g0")
    mean = adata.obsm["grnrep"]["TF0"].groupby([adata.obs["group"], adata.obs["sample"]]).mean()
    assert table.loc[0, "pvals"] == pytest.approx(stats.ttest_rel(mean["g1"], mean["g0"]).pvalue)
    assert set(table["test"]) == {"paired"}
    assert table.loc[0, "regulator"] == "TF0"
    assert table.loc[0, "pvals_adj"] < 0.01


def test_rest_compares_every_group():
    adata = make(n_samples=12)
    adata.obs["group"] = [f"g{int(s[1:]) % 3}" for s in adata.obs["sample"]]
    table = rank(adata)
    assert list(table["group"].unique()) == ["g0", "g1", "g2"]
    assert (table["n_samples"] == 4).all()
    assert (table["n_samples_reference"] == 8).all()


@pytest.mark.parametrize("within", [False, True])
def test_nominal_false_positives_where_cells_as_replicates_find_many(within):
    """No group differs; samples do. Binomial limits of 2,000 tests, 4 standard errors."""
    adata = make(1, n_samples=12, m=2000, within=within)
    if within:  # what a group does differs from sample to sample
        unit = adata.obs["sample"] + adata.obs["group"]
        shift = np.random.default_rng(2).normal(size=(unit.nunique(), 2000))
        adata.obsm["grnrep"] += shift[pd.factorize(unit)[0]]
    p = rank(adata, reference="g0")["pvals"]
    assert abs((p < 0.05).mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 2000)
    z, group = adata.obsm["grnrep"].to_numpy(), adata.obs["group"].to_numpy()
    by_cell = stats.ttest_ind(z[group == "g1"], z[group == "g0"], equal_var=False).pvalue
    assert (by_cell < 0.05).mean() > 0.3


def test_order_of_cells_does_not_matter():
    adata = make(effect=1.0)
    shuffled = adata[np.random.default_rng(1).permutation(adata.n_obs)].copy()
    pd.testing.assert_frame_equal(rank(adata), rank(shuffled))


def test_cells_without_group_or_sample_are_left_out():
    adata = make()
    expected = rank(adata[30:])
    adata.obs.loc[adata.obs_names[:15], "group"] = None
    adata.obs.loc[adata.obs_names[15:30], "sample"] = None
    pd.testing.assert_frame_equal(rank(adata), expected)


def test_nothing_varies_or_unknown_gives_nan():
    adata = make()
    adata.obsm["grnrep"]["TF1"] = 0.0
    adata.obsm["grnrep"]["TF2"] = np.nan
    table = rank(adata, reference="g0").set_index("regulator")
    assert table.loc[["TF1", "TF2"], ["pvals", "pvals_adj"]].isna().all().all()
    rest = table.drop(["TF1", "TF2"])
    assert rest["pvals_adj"].to_numpy() == pytest.approx(
        stats.false_discovery_control(rest["pvals"])
    )


def test_sd_is_of_the_cells_of_all_groups():
    adata = make(effect=3.0)
    adata.obs["group"] = np.random.default_rng(3).choice(["g0", "g1", "g2"], adata.n_obs)
    adata.obs.loc[adata.obs_names[:40], "group"] = None
    expected = adata.obsm["grnrep"].iloc[40:].std(ddof=0)
    for options in ({}, {"reference": "g0"}, {"sample": None}):
        table = rank(adata, **options)
        np.testing.assert_allclose(table["sd"], expected[table["regulator"]])


def test_in_place_and_saved(tmp_path):
    adata = make()
    assert rank_regulators(adata, "group", sample="sample", key_added="r") is None
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad").uns["r"]
    pd.testing.assert_frame_equal(back, adata.uns["r"], check_dtype=False, check_index_type=False)


def moved(adata, *, keep):
    """Only those cells of group g1 that are of the first ``keep`` samples."""
    of_g1 = adata.obs["group"] == "g1"
    late = ~adata.obs["sample"].isin([f"s{i}" for i in range(keep)])
    return adata[~(of_g1 & late).to_numpy()].copy()


def test_samples_of_which_some_are_on_both_sides():
    from grnrep.core.comparison import mixed

    adata = moved(make(within=True, effect=2.0, sample_sd=3.0, n_samples=8), keep=6)
    table = rank(adata, reference="g0").set_index("regulator")
    assert set(table["test"]) == {"mixed"}
    counts = table[["n_samples", "n_samples_reference", "n_samples_shared"]]
    assert counts.iloc[0].tolist() == [6, 8, 6]
    mean = adata.obsm["grnrep"].groupby([adata.obs["group"], adata.obs["sample"]]).mean()
    expected = mixed(mean.loc["g1"].to_numpy(), mean.loc["g0"].to_numpy(), np.arange(6))
    assert table.loc[[*mean], "std_err"].tolist() == pytest.approx(expected.std_err)
    assert table.loc["TF0", "difference"] == pytest.approx(2.0, abs=0.5)
    assert table.loc["TF0", "pvals_adj"] < 0.05


def test_rest_is_every_other_cell_of_a_sample():
    """Cells of other groups count alike, whatever group they are of."""
    adata = make(within=True, n_samples=6)
    adata.obs.loc[adata.obs_names[::5], "group"] = "g2"
    table = rank(adata)
    table = table[table["group"] == "g0"].set_index("regulator")
    z, of_g0 = adata.obsm["grnrep"], adata.obs["group"] == "g0"
    sides = [z[side].groupby(adata.obs["sample"][side]).mean() for side in (of_g0, ~of_g0)]
    expected = stats.ttest_rel(*sides)
    assert table.loc[list(z), "scores"].tolist() == pytest.approx(expected.statistic)


def test_one_sample_compares_cells_and_says_so(caplog):
    adata = make(n_samples=1, within=True, effect=1.0)
    table = rank(adata, sample=None, reference="g0").set_index("regulator")
    assert "cells are compared, which are no replicates" in caplog.text
    assert "sample=" in caplog.text
    assert set(table["unit"]) == {"cell, no replicate"}
    assert (table[["n_samples", "n_samples_reference", "n_samples_shared"]] == 0).all().all()
    assert (table[["n_cells", "n_cells_reference"]] == 15).all().all()
    z, group = adata.obsm["grnrep"], adata.obs["group"]
    expected = stats.ttest_ind(z[group == "g1"], z[group == "g0"], equal_var=False)
    assert table.loc[list(z), "pvals"].tolist() == pytest.approx(expected.pvalue)
    ratio = table["difference"] / table["std_err"]
    assert ratio.tolist() == pytest.approx(table["scores"].tolist())


def test_one_sample_equals_scanpy():
    adata = make(n_samples=4, effect=1.0)
    adata.obs["group"] = pd.Categorical([f"g{int(s[1:]) % 3}" for s in adata.obs["sample"]])
    cells = gr.get.activity(adata)
    sc.tl.rank_genes_groups(cells, "group", method="t-test")
    gr.tl.rank_regulators(adata, "group")
    ours, key = gr.get.activity(adata), "rank_regulators"
    for group in ("g0", "g1", "g2"):
        expected = sc.get.rank_genes_groups_df(cells, group).set_index("names")
        found = sc.get.rank_genes_groups_df(ours, group, key=key).set_index("names")
        assert list(found.index) == list(expected.index)
        for name in ("scores", "pvals", "pvals_adj"):
            assert found[name].tolist() == pytest.approx(expected[name].tolist(), rel=1e-4)


def test_samples_give_no_warning(caplog):
    rank(make())
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


@pytest.fixture
def ranked():
    adata = make(n_samples=12, effect=3.0)
    adata.obs["group"] = pd.Categorical([f"g{int(s[1:]) % 3}" for s in adata.obs["sample"]])
    gr.tl.rank_regulators(adata, "group", sample="sample")
    return adata


def test_layout_of_scanpy(ranked, tmp_path):
    found, table = gr.get.activity(ranked), ranked.uns["rank_regulators"]
    frame = sc.get.rank_genes_groups_df(found, None, key="rank_regulators")
    theirs = {"regulator": "names", "difference": "logfoldchanges"}
    columns = ["group", "regulator", "difference", "scores", "pvals", "pvals_adj"]
    expected = table[columns].rename(columns=theirs).set_index(["group", "names"]).sort_index()
    frame = frame.astype({"group": str}).set_index(["group", "names"]).sort_index()
    pd.testing.assert_frame_equal(frame[list(expected)], expected)
    assert found.uns["rank_regulators"]["params"]["reference"] == "rest"
    scores = sc.get.rank_genes_groups_df(found, "g1", key="rank_regulators")["scores"]
    assert scores.is_monotonic_decreasing
    found.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    again = sc.get.rank_genes_groups_df(back, "g1", key="rank_regulators")["scores"]
    assert again.tolist() == scores.tolist()


@pytest.mark.parametrize(
    ("plot", "options"),
    [
        ("rank_genes_groups", {}),
        ("rank_genes_groups_dotplot", {"values_to_plot": "logfoldchanges"}),
        ("rank_genes_groups_matrixplot", {}),
        ("rank_genes_groups_heatmap", {}),
        ("rank_genes_groups_stacked_violin", {}),
        ("rank_genes_groups_tracksplot", {}),
        ("rank_genes_groups_violin", {"gene_names": ["TF0", "TF1"], "groups": ["g1"]}),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of scanpy's own
def test_plots_of_scanpy(ranked, plot, options):
    plt.switch_backend("agg")
    found = gr.get.activity(ranked)
    if not plot.endswith(("_groups", "_violin")) or plot.endswith("stacked_violin"):
        options = {"dendrogram": False, "n_genes": 3, **options}
    getattr(sc.pl, plot)(found, key="rank_regulators", show=False, **options)
    plt.close("all")


def test_tables_of_other_regulators_are_not_in_the_layout(ranked):
    ranked.obsm["other"] = ranked.obsm["grnrep"][["TF1"]]
    assert "rank_regulators" not in gr.get.activity(ranked, key="other").uns
    ranked.uns["mine"] = pd.DataFrame({"regulator": ["TF1"]})
    assert "mine" not in gr.get.activity(ranked).uns


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["sample", None]), st.booleans())
def test_order_and_names_do_not_matter(seed, sample, within):
    rng = np.random.default_rng(seed)
    adata = make(seed, n_samples=6, n_cells=6, m=4, within=within)
    first = rank(adata, sample=sample, reference="g0").set_index("regulator")
    other = adata[rng.permutation(adata.n_obs)].copy()
    names = [f"{c}{k}" for k, c in enumerate(rng.choice(list("zyxw"), 4, replace=False))]
    renamed = dict(zip(adata.obsm["grnrep"], names, strict=True))
    table = other.obsm["grnrep"].rename(columns=renamed)[rng.permutation(names)]
    other.obs_names = [f"n{i}" for i in range(other.n_obs)]
    other.obsm["grnrep"] = table.set_axis(other.obs_names)
    second = rank(other, sample=sample, reference="g0").set_index("regulator")
    pd.testing.assert_frame_equal(
        second.loc[names], first.loc[[*renamed]].set_axis(names), check_names=False
    )


def test_refuses(refuses):
    adata = make()
    with refuses(KeyError, "groupby='x'", "'sample', 'group'", adata=adata):
        rank_regulators(adata, "x", sample="sample")
    with refuses(KeyError, "sample='x'", adata=adata):
        rank_regulators(adata, "group", sample="x")
    with refuses(KeyError, "key='other'", "'grnrep'", adata=adata):
        rank_regulators(adata, "group", sample="sample", key="other")
    with refuses(ValueError, "reference", "'g0', 'g1'", "'g7'", adata=adata):
        rank_regulators(adata, "group", sample="sample", reference="g7")
    with refuses(
        ValueError, "group 'g0'", "at least two samples", "'g0'", "no replicates", adata=adata
    ):
        rank_regulators(adata, "group", sample="group")
    with refuses(KeyError, "groupby='x'", adata=adata):
        rank_regulators(adata, "x")
    few = make()
    few.obs["group"] = ["g1", *["g0"] * (few.n_obs - 1)]
    with refuses(ValueError, "group 'g1'", "at least two cells", "found 1", adata=few):
        rank_regulators(few, "group")
    one = make(n_samples=2)
    with refuses(ValueError, "group 'g0'", "'s0'", "add samples", adata=one):
        rank_regulators(one, "group", sample="sample")
    alone = make(n_samples=1)
    with refuses(ValueError, "two groups", adata=alone):
        rank_regulators(alone, "group", sample="sample")


def test_marginal_activities_are_compared_by_their_slopes(small):
    adata, net = small(n_obs=180)
    gr.tl.fit(adata, net, max_iter=10, ridge=1e-3, sign_shrinkage=0.3, progress=False)
    true = adata.obsm["true_activity"].iloc[:, 0]
    adata.obs["state"] = np.where(true > true.median(), "high", "low")
    adata.obs["donor"] = [f"donor{i % 6}" for i in range(adata.n_obs)]
    options = {"sample": "donor", "reference": "low", "copy": True}
    found = gr.tl.rank_regulators(adata, "state", marginal=True, **options)
    found = found.uns["rank_regulators"]
    assert found["regulator"].iloc[0] == true.name
    assert found["pvals_adj"].iloc[0] < 0.05
    adata.obsm["alone"] = gr.get.activity(adata, marginal=True).to_df("slope")
    expected = gr.tl.rank_regulators(adata, "state", key="alone", **options)
    expected = expected.uns["rank_regulators"].assign(marginal=True, key="grnrep")
    pd.testing.assert_frame_equal(found, expected)


def test_a_column_of_numbers_is_no_column_of_groups(refuses):
    obs = pd.DataFrame({"age": np.arange(8) / 7, "half": [0.0, 1.0] * 4}, index=list("abcdefgh"))
    adata = ad.AnnData(np.ones((8, 1)), obs=obs)
    adata.obsm["grnrep"] = pd.DataFrame({"P": np.arange(8.0)}, index=adata.obs_names)
    with refuses(
        ValueError, "adata.obs['age'] holds numbers, 8 different", "pandas.cut", adata=adata
    ):
        gr.tl.rank_regulators(adata, "age")
    gr.tl.rank_regulators(adata, "half")  # two groups, though they are called 0 and 1
