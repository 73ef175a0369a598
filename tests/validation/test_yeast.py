"""The yeast study: reading the files, and the published figures of the field's own methods."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grnrep.validation import load_yeast, perturbation_figure, yeast_induction

FOLDER = Path(os.environ.get("GRNREP_DATA_DIR", "$GRNREP_DATA_DIR"))
EXPRESSION = FOLDER / "yeast" / "zev_expression.tsv"
needs_yeast = pytest.mark.skipif(
    not EXPRESSION.is_file(), reason=f"real data: {EXPRESSION} is missing"
)


@pytest.fixture
def small_folder(tmp_path):
    """Files as the real ones are, with 4 regulators of 8 genes each and one gene without a regulator."""
    rng = np.random.default_rng(0)
    regulators, genes = ["A", "B", "C", "D"], [f"g{i}" for i in range(33)]
    sign = pd.DataFrame(0.0, index=genes, columns=regulators)
    for j in range(4):
        sign.iloc[8 * j : 8 * j + 8, j] = rng.choice([-1.0, 1.0], size=8)
    samples = [*regulators, "elsewhere", "WT"]
    induced = pd.DataFrame(0.0, index=samples, columns=regulators)
    for name in regulators:
        induced.loc[name, name] = 2.0
    expression = sign @ induced.T + rng.normal(scale=0.1, size=(33, 6))
    expression["WT"] = 0.0
    folder = tmp_path / "yeast"
    folder.mkdir()
    expression.to_csv(folder / "zev_expression.tsv", sep="\t")
    sign.to_csv(folder / "tfko_network_signed.tsv", sep="\t")
    return tmp_path


@pytest.mark.parametrize("sub", ["", "yeast"])
def test_reads_folder_or_the_one_above(small_folder, sub):
    yeast = load_yeast(small_folder / sub)
    adata, net = yeast.adata, yeast.net
    assert adata.shape == (6, 33)
    assert list(adata.obs_names) == ["A", "B", "C", "D", "elsewhere", "WT"]
    assert (adata["WT"].X == 0).all()
    assert yeast.relative
    assert list(yeast.perturbed.index) == ["A", "B", "C", "D", "elsewhere"]
    assert (yeast.perturbed["regulator"] == yeast.perturbed.index).all()
    assert (yeast.perturbed["expected"] == 1).all()
    assert set(yeast.perturbed["controls"]) == {("WT",)}
    assert list(net.columns) == ["source", "target", "weight"]
    assert len(net) == 32
    truth = pd.read_csv(small_folder / "yeast" / "tfko_network_signed.tsv", sep="\t", index_col=0)
    for edge in net.itertuples():
        assert truth.loc[edge.target, edge.source] == edge.weight != 0


def test_folder_from_the_environment(small_folder, monkeypatch):
    monkeypatch.setenv("GRNREP_DATA_DIR", str(small_folder))
    assert load_yeast().adata.n_obs == 6


def test_missing_files_are_named_with_their_source(small_folder, monkeypatch):
    (small_folder / "yeast" / "tfko_network_signed.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"tfko_network_signed\.tsv is missing.*BrentLab"):
        load_yeast(small_folder)
    monkeypatch.delenv("GRNREP_DATA_DIR", raising=False)
    with pytest.raises(ValueError, match=r"GRNREP_DATA_DIR.*zev_expression\.tsv.*BrentLab"):
        load_yeast()


def test_every_method_finds_clear_inductions(small_folder):
    table = yeast_induction(small_folder, methods=["ulm", "mlm", "grnrep"], n_boot=5)
    assert list(table.index.unique("method")) == ["ulm", "mlm", "grnrep"]
    assert (table["n_conditions"] == 4).all()
    figures = table["estimate"].unstack()
    assert (figures["direction"] == 1).all()
    assert (figures["median_percentile"] == 75).all()
    assert (figures["auroc"] == 1).all()


def test_grnrep_alone_needs_no_other_library(small_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "decoupler", None)
    table = yeast_induction(small_folder, methods=["grnrep"], n_boot=0)
    assert table.loc[("grnrep", "direction"), "estimate"] == 1
    with pytest.raises(ImportError, match="pip install"):
        yeast_induction(small_folder, methods=["ulm"], n_boot=0)


@pytest.mark.parametrize("methods", [["gsea"], []])
def test_unknown_methods_are_refused(small_folder, methods):
    with pytest.raises(ValueError, match="methods must be among"):
        yeast_induction(small_folder, methods=methods)


def test_figure_shows_intervals(small_folder):
    table = yeast_induction(small_folder, methods=["ulm", "mlm"], n_boot=20)
    axes = perturbation_figure(table).axes
    assert [ax.get_xlabel() for ax in axes] == ["direction", "median percentile", "auroc", "auprc"]
    ax = axes[2]
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["mlm", "ulm"]
    part = table.xs("auroc", level="metric")
    for line, method in zip(ax.lines[:2], ["mlm", "ulm"], strict=True):
        assert list(line.get_xdata()) == list(part.loc[method, ["low", "high"]])


@needs_yeast
def test_real_files_have_their_published_size():
    yeast = load_yeast(FOLDER)
    adata, net = yeast.adata, yeast.net
    assert adata.shape == (180, 573)
    assert adata.obs_names[-1] == "WT"
    assert net["source"].nunique() == 50
    assert len(net) == 1283
    assert set(net["source"]) <= set(adata.obs_names)
    assert not set(net["source"]) & set(net["target"])


@needs_yeast
@pytest.mark.parametrize(
    ("ties", "ulm", "mlm"),
    [("magnitude", [0.833, 0.883], [0.850, 0.896]), ("shared", [0.833, 0.878], [0.849, 0.891])],
)
def test_figures_of_ulm_and_mlm(ties, ulm, mlm):
    table = yeast_induction(FOLDER, methods=["ulm", "mlm"], ties=ties, n_boot=0)["estimate"]
    assert table["ulm"].to_list() == pytest.approx([0.86, 98, *ulm], abs=5e-4)
    assert table["mlm"].to_list() == pytest.approx([0.84, 98, *mlm], abs=5e-4)


@needs_yeast
def test_shared_ties_are_the_benchmark_of_decoupler():
    import decoupler

    yeast = load_yeast(FOLDER)
    adata, net = yeast.adata, yeast.net
    ours = yeast_induction(FOLDER, methods=["ulm", "mlm"], ties="shared", n_boot=0)[
        "estimate"
    ].unstack()
    adata.obs["source"], adata.obs["type_p"] = adata.obs_names.to_numpy(), 1
    how = {"tmin": 1, "methods": ["ulm", "mlm"], "cons": False}
    theirs = decoupler.bm.benchmark(adata, net, metrics=["auc"], kws_decouple=how)
    theirs = theirs.pivot_table(index="method", columns="metric", values="score")
    pd.testing.assert_frame_equal(
        ours[["auprc", "auroc"]], theirs, check_names=False, check_like=True
    )
