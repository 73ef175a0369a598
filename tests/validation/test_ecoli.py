"""The E. coli study: the same set from files and from the package's tables, edges that are left out, its figures."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grnrep.validation import ecoli_knock_outs, load_ecoli, perturbation_study
from grnrep.validation.regulation.ecoli import NOT_INDEPENDENT, PARTLY_INDEPENDENT

FOLDER = Path(os.environ.get("GRNREP_DATA_DIR", "$GRNREP_DATA_DIR"))
EXPRESSION = FOLDER / "ecoli" / "expression.tsv.gz"
needs_ecoli = pytest.mark.skipif(
    not EXPRESSION.is_file(), reason=f"real data: {EXPRESSION} is missing"
)
needs_pymodulon = pytest.mark.skipif(
    find_spec("pymodulon") is None, reason="the package pymodulon is not installed"
)
SAMPLES = {
    # sample: project, condition, strain
    "a__wt_glc__1": ("a", "wt_glc", "Escherichia coli K-12 MG1655"),
    "a__wt_glc__2": ("a", "wt_glc", "Escherichia coli K-12 MG1655"),
    "a__wt_ph5__1": ("a", "wt_ph5", "Escherichia coli K-12 MG1655"),
    "a__delfur__1": ("a", "delfur", "Escherichia coli K-12 MG1655 del_fur"),
    "a__delfur__2": ("a", "delfur", "Escherichia coli K-12 MG1655 del_fur"),
    "a__bw_delcrp_ph5__1": ("a", "bw_delcrp_ph5", "Escherichia coli BW25113 del_crp"),
    "crp__delcrp_glc__1": ("crp", "delcrp_glc", "Escherichia coli K-12 MG1655 del_crp"),
    "control__wt_glc__1": ("control", "wt_glc", "Escherichia coli K-12 MG1655"),
    "a__two__1": ("a", "two", "Escherichia coli K-12 MG1655 del_menF del_entC"),
}
CONTROLS = {
    "a__delfur__1": ("a__wt_glc__1", "a__wt_glc__2"),
    "a__delfur__2": ("a__wt_glc__1", "a__wt_glc__2"),
    "a__bw_delcrp_ph5__1": ("a__wt_ph5__1",),
    "crp__delcrp_glc__1": ("control__wt_glc__1",),  # one that was compared with another project
}
REGULATORS = {"fur": range(6), "crp": range(4, 12), "arcA": range(12, 17), "rare": range(17, 20)}


def _tables():
    """Expression in which what lacks a regulator is lower in its targets, edges, and knock-outs."""
    rng = np.random.default_rng(0)
    genes = [f"g{i}" for i in range(22)]
    genes[3] = "fur"
    strain = [strain.rpartition("del_")[2] for *_, strain in SAMPLES.values()]
    x = pd.DataFrame(rng.normal(5, 0.1, (len(SAMPLES), 22)), index=list(SAMPLES), columns=genes)
    for sample, missing in zip(SAMPLES, strain, strict=True):
        x.loc[sample, [genes[i] for i in REGULATORS.get(missing, ())]] -= 2
    net = pd.DataFrame(
        [
            (r, genes[i], -1 if r == "arcA" else 1)
            for r, targets in REGULATORS.items()
            for i in targets
        ]
        + [("fur", "g20", 0), ("rare", "g21", 0)],
        columns=["source", "target", "weight"],
    )
    knock_outs = pd.DataFrame(
        {
            "regulator": [SAMPLES[s][2].rpartition("_")[2] for s in CONTROLS],
            "condition": [s.rpartition("__")[0] for s in CONTROLS],
            "controls": [";".join(c) for c in CONTROLS.values()],
        },
        index=pd.Index(CONTROLS, name="sample"),
    )
    return x.round(4), net, knock_outs


@pytest.fixture
def small_folder(tmp_path):
    folder = tmp_path / "data" / "ecoli"
    folder.mkdir(parents=True)
    x, net, knock_outs = _tables()
    x.to_csv(folder / "expression.tsv.gz", sep="\t", index_label="sample")
    net.to_csv(folder / "network.tsv", sep="\t", index=False)
    knock_outs.to_csv(folder / "perturbations.tsv", sep="\t")
    return tmp_path / "data"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of that name with the tables as it installs them: genes by number, two of one name."""
    folder = tmp_path / "site" / "pymodulon" / "data" / "ecoli"
    folder.mkdir(parents=True)
    (tmp_path / "site" / "pymodulon" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    x, net, _ = _tables()
    number = {gene: f"b{i:04}" for i, gene in enumerate(x.columns)}
    named = {b: gene for gene, b in number.items()} | {"b0020": "twin", "b0021": "twin"}
    (x.rename(columns=number).T + 3e-5).to_csv(folder / "log_tpm.csv")
    pd.DataFrame({"gene_name": named, "start": 1}).to_csv(folder / "gene_table.csv")
    sign = net["weight"].map({1: "+", -1: "-", 0: "?"})
    pd.DataFrame(
        {"regulator": net["source"], "gene_id": net["target"].map(number), "effect": sign}
    ).to_csv(folder / "trn.csv", index=False)
    columns = ["project", "condition", "Strain Description"]
    pd.DataFrame.from_dict(SAMPLES, orient="index", columns=columns).to_csv(
        folder / "sample_table.csv"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delenv("GRNREP_DATA_DIR", raising=False)
    monkeypatch.delitem(sys.modules, "pymodulon", raising=False)
    return folder


@pytest.mark.parametrize("sub", ["", "ecoli"])
def test_reads_what_can_be_judged(small_folder, sub):
    ecoli = load_ecoli(small_folder / sub)
    assert not ecoli.relative
    assert set(ecoli.net["source"]) == {"fur", "crp", "arcA"}  # three targets are too few
    assert ("fur", "fur") not in set(zip(ecoli.net["source"], ecoli.net["target"], strict=True))
    assert ((ecoli.net["weight"] == -1) == (ecoli.net["source"] == "arcA")).all()
    assert len(ecoli.net) == 5 + 8 + 5
    assert set(ecoli.adata.var_names) == set(ecoli.net["target"])
    assert list(ecoli.adata.obs_names) == list(SAMPLES)
    assert ecoli.perturbed["controls"].to_dict() == CONTROLS
    assert (ecoli.perturbed["expected"] == -1).all()


def test_the_package_gives_the_same_and_is_not_imported(small_folder, package):
    files, tables = load_ecoli(small_folder), load_ecoli()
    pd.testing.assert_frame_equal(files.adata.to_df(), tables.adata.to_df(), check_exact=True)
    pd.testing.assert_frame_equal(files.net, tables.net)
    pd.testing.assert_frame_equal(files.perturbed, tables.perturbed)
    assert files.relative == tables.relative
    (package / "trn.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"trn\.csv missing in .*0\.2\.1"):
        load_ecoli()


def test_files_come_before_the_package(small_folder, package, monkeypatch):
    (package / "trn.csv").unlink()
    monkeypatch.setenv("GRNREP_DATA_DIR", str(small_folder))
    assert load_ecoli().adata.n_obs == len(SAMPLES)
    (small_folder / "ecoli" / "network.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"network\.tsv is missing.*grnrep\[ecoli\]"):
        load_ecoli(small_folder)  # a folder that is given must have them


def test_missing_files_are_named_with_their_source(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymodulon", None)
    monkeypatch.delenv("GRNREP_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match=r"expression\.tsv\.gz.* is missing.*pymodulon"):
        load_ecoli(tmp_path)


def test_missing_regulators_are_found(small_folder):
    table = ecoli_knock_outs(small_folder, methods=["ulm", "grnrep"], n_boot=5)
    assert table["n_conditions"].unique().tolist() == [3]
    assert table["n_regulators"].unique().tolist() == [2]
    assert (table["estimate"].unstack()["direction"] == 1).all()
    assert table.loc[("ulm", "auroc"), "estimate"] == 1


def test_contrasts_are_changes_of_expression_by_condition(small_folder):
    ecoli = load_ecoli(small_folder)
    contrasts = ecoli.contrasts()
    x = ecoli.adata.to_df()
    fur = (
        x.loc[["a__delfur__1", "a__delfur__2"]].mean()
        - x.loc[["a__wt_glc__1", "a__wt_glc__2"]].mean()
    )
    pd.testing.assert_series_equal(contrasts.adata.to_df().loc["a__delfur"], fur, check_names=False)
    assert contrasts.relative
    assert contrasts.perturbed["regulator"].to_dict() == {
        "a__delfur": "fur", "a__bw_delcrp_ph5": "crp", "crp__delcrp_glc": "crp"
    }  # fmt: skip
    assert (contrasts.perturbed["expected"] == -1).all()
    with pytest.raises(ValueError, match="relative to its controls already"):
        contrasts.contrasts()


def test_scaled_genes_have_unit_variance_and_the_set_is_left_alone(small_folder):
    ecoli = load_ecoli(small_folder)
    before = ecoli.adata.to_df()
    x = ecoli.scaled().adata.X
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(x.std(axis=0), 1)
    pd.testing.assert_frame_equal(ecoli.adata.to_df(), before)


@needs_ecoli
def test_real_files_have_the_size_that_their_page_says():
    ecoli = load_ecoli(FOLDER)
    assert ecoli.adata.shape == (278, 2205)
    assert ecoli.net["source"].nunique() == 151
    assert len(ecoli.net) == 6080
    assert len(ecoli.perturbed) == 77
    assert ecoli.perturbed["regulator"].nunique() == 26
    judged = ecoli.perturbed[ecoli.perturbed["regulator"].isin(ecoli.net["source"])]
    assert judged[["condition", "regulator"]].nunique().tolist() == [27, 15]
    assert set(ecoli.perturbed["regulator"]) >= NOT_INDEPENDENT | PARTLY_INDEPENDENT


@needs_ecoli
def test_figures_of_ulm_and_mlm_on_the_real_set():
    ecoli = load_ecoli(FOLDER)
    options = {"methods": ["ulm", "mlm"], "n_boot": 0}
    raw, scaled, contrasts = (
        perturbation_study(data, **options).loc[("ulm", "auroc"), "estimate"]
        for data in (ecoli, ecoli.scaled(), ecoli.contrasts())
    )
    assert [raw, scaled, contrasts] == pytest.approx([0.788, 0.798, 0.807], abs=1e-3)


@needs_ecoli
@needs_pymodulon
def test_the_real_package_gives_the_same(monkeypatch):
    files = load_ecoli(FOLDER)
    monkeypatch.delenv("GRNREP_DATA_DIR", raising=False)
    tables = load_ecoli()
    pd.testing.assert_frame_equal(files.adata.to_df(), tables.adata.to_df(), check_exact=True)
    pd.testing.assert_frame_equal(files.net, tables.net)
    pd.testing.assert_frame_equal(files.perturbed, tables.perturbed)
