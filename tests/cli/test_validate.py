"""``validate`` lists studies, runs them, prints and keeps what they find."""

from __future__ import annotations

import json

import matplotlib.image
import pandas as pd
import pytest
from matplotlib.figure import Figure

from grnrep import validation
from grnrep.cli.studies import STUDIES

ROWS = [
    {
        "n_train": n,
        "model": model,
        "seed": seed,
        "train_error": 0.1,
        "test_error": n / 8000 + seed / 64,
    }
    for n in (500, 1000)
    for model in ("decoder", "autoencoder")
    for seed in (0, 1)
]


@pytest.fixture
def study(monkeypatch):
    """A study of images that takes no time; gives the arguments that it was called with."""
    calls = []

    def run(data_dir, **options):
        calls.append({"data_dir": str(data_dir), **options})
        rows = ROWS[::2] if options["quick"] else ROWS
        if options["out"] is not None:
            options["out"].parent.mkdir(exist_ok=True)
            options["out"].write_text(json.dumps(rows))
        return pd.DataFrame(rows)

    def draw(table):
        fig = Figure(figsize=(2, 1))
        fig.suptitle(str(len(table)))
        return fig

    monkeypatch.setattr(validation, "mnist_study", run)
    monkeypatch.setattr(validation, "mnist_figure", draw)
    claims = pd.DataFrame({"claim": ["smaller"], "found": ["0.5"], "verdict": ["confirmed"]})
    monkeypatch.setattr(validation, "mnist_claims", lambda table: claims)
    return calls


def test_lists_studies(grnrep, work):
    result = grnrep("validate")
    assert result.exit_code == 0
    for name, study in STUDIES.items():
        assert f"{name}: {study.about}\n" in result.stdout


@pytest.mark.parametrize("name", STUDIES)
def test_studies_are_there(name):
    study = STUDIES[name]
    for function in filter(None, (study.function, study.figure, study.claims, study.images)):
        assert callable(getattr(validation, function)), function


def test_prints_means_and_deviations_and_keeps_rows_and_figure(grnrep, work, study):
    options = ["--data-dir", "here", "--rng", 4, "--out", "results", "--csv", "rows.csv"]
    result = grnrep("validate", "mnist", *options)
    assert result.exit_code == 0, result.stderr
    out = study[0].pop("out")
    assert (out.parent.name, out.name) == ("results", "mnist.json")
    assert study == [
        {"data_dir": "here", "quick": False, "rng": 4, "progress": False}
    ]  # no terminal
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["500", "decoder", "0.1", "±", "0", "0.07031", "±", "0.011"] in lines
    assert ["1000", "autoencoder", "0.1", "±", "0", "0.1328", "±", "0.011"] in lines
    assert ["0", "smaller", "0.5", "confirmed"] in lines
    assert json.loads((work / "results" / "mnist.json").read_text()) == ROWS
    assert matplotlib.image.imread(work / "results" / "mnist.png").shape[:2] == (150, 300)
    assert pd.read_csv("rows.csv").to_dict("records") == ROWS


def test_quick_and_quiet_without_files(grnrep, work, study, listing):
    before = listing()
    result = grnrep("validate", "mnist", "--quick", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (study[0]["quick"], study[0]["out"]) == (True, None)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["500", "decoder", "0.1", "0.0625"] in lines  # one seed has no deviation
    assert listing() == before


def test_the_figure_is_made_anew_but_a_table_only_on_request(grnrep, work, study):
    command = ["validate", "mnist", "--out", "results", "--csv", "rows.csv"]
    assert grnrep(*command, "--quick").exit_code == 0
    refused = grnrep(*command)
    assert refused.exit_code == 2
    assert "rows.csv' exists" in refused.stderr
    assert len(study) == 1
    assert grnrep(*command, "--overwrite").exit_code == 0
    assert len(pd.read_csv("rows.csv")) == len(ROWS)


def test_claims_are_printed(grnrep, work, monkeypatch):
    rows = pd.DataFrame(
        {"n": [5], "model": ["exact"], "load": [0.5], "load_unmasked": [0.05], "test_mse": [1.5e-7]}
        | {"pcc": [0.25], "abs_pcc": [0.25], "worst_pcc": [-0.5]}
    )
    monkeypatch.setattr(validation, "load_study", lambda **options: rows)
    monkeypatch.setattr(
        validation, "load_claims", lambda table: pd.DataFrame({"verdict": ["not tested"]})
    )
    result = grnrep("validate", "load-study", "-q")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["5", "exact", "0.5", "0.05", "1.5e-07", "0.25", "0.25", "-0.5"] in lines
    assert "Claims" in result.stdout
    assert "not tested" in result.stdout


def test_what_has_no_value_is_blank_and_rates_without_one_are_kept():
    table = pd.DataFrame(
        {"model": ["decoder", "encoder"], "lr": [1e-3, 1e-4], "lr_representation": [1e-2, None]}
        | {"test_mse": [0.1, None], "pcc": [1.0, 1.0], "abs_pcc": [1.0, 1.0]}
    )
    assert STUDIES["load-grid"].summary(table)["test_mse"].tolist() == ["0.1", ""]


@pytest.fixture
def yeast(monkeypatch):
    index = pd.MultiIndex.from_tuples(
        [("ulm", "auroc"), ("ulm", "auprc")], names=["method", "metric"]
    )
    table = pd.DataFrame(
        {"estimate": [0.25, 0.5], "low": [0.2, 0.4], "high": [0.3, 0.6]}, index=index
    )
    calls = []

    def study(data_dir, *, rng):
        calls.append((str(data_dir), rng))
        return table

    monkeypatch.setattr(validation, "yeast_induction", study)
    return calls


def test_a_table_with_named_rows(grnrep, work, yeast):
    options = ["--data-dir", "here", "--rng", 4, "--csv", "table.tsv", "--out", "results"]
    result = grnrep("validate", "yeast", *options)
    assert result.exit_code == 0, result.stderr
    assert yeast == [("here", 4)]
    assert ["ulm", "auroc", "0.250", "0.200", "0.300"] in [
        line.split() for line in result.stdout.splitlines()
    ]
    saved = pd.read_csv("table.tsv", sep="\t")
    assert saved.iloc[0].to_dict() == {
        "method": "ulm",
        "metric": "auroc",
        "estimate": 0.25,
        "low": 0.2,
        "high": 0.3,
    }
    rows = json.loads((work / "results" / "yeast.json").read_text())
    assert rows["rows"][1]["key"] == {"method": "ulm", "metric": "auprc"}
    assert rows["rows"][1]["result"] == {"estimate": 0.5, "low": 0.4, "high": 0.6}
    assert rows["settings"] == {"rng": 4}
    assert (work / "results" / "yeast.png").exists()


def test_rows_made_otherwise_are_refused_before_any_work(grnrep, work, yeast):
    command = ["validate", "yeast", "--out", "results", "--rng"]
    assert grnrep(*command, 4).exit_code == 0
    assert grnrep(*command, 4).exit_code == 0
    refused = grnrep(*command, 5)
    assert refused.exit_code == 2
    assert "rng: there 4, here 5" in refused.stderr
    assert len(yeast) == 2
