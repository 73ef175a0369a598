"""The SERGIO study: reading the files, technical noise, and that nothing of the truth is shown."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from grnrep.validation import load_sergio, sergio_recovery
from grnrep.validation.regulation.methods import METHODS, regulator_activity
from grnrep.validation.regulation.sergio import (
    hide_regulators,
    level_correlation,
    read_interactions,
    technical_noise,
)

FOLDER = Path(os.environ.get("GRNREP_DATA_DIR", "$GRNREP_DATA_DIR"))
REAL = FOLDER / "sergio" / "DS4" / "simulated_noNoise_S_0.csv.gz"
needs_sergio = pytest.mark.skipif(not REAL.is_file(), reason=f"real data: {REAL} is missing")


@pytest.fixture
def small_folder(tmp_path):
    """Files as SERGIO's are: genes 0, 1, 2 regulate 3 to 26, and 0 regulates 1 and itself."""
    rng = np.random.default_rng(0)
    level = rng.gamma(4, 1, size=(27, 60))
    lines = ["1.0,1.0,0.0,2.5,2.0", "0,1,0,1.0,2"]
    for gene in range(3, 27):
        own, sign = gene % 3, 1 if gene % 2 else -1
        level[gene] = 12 + sign * level[own] + 0.1 * rng.normal(size=60)
        lines.append(f"{gene}.0,1.0,{own}.0,{sign * 3.5},2.0")
    folder = tmp_path / "sergio" / "DS5"
    folder.mkdir(parents=True)
    (folder / "Interaction_cID_10.txt").write_text("\n".join(lines) + "\n")
    for k in range(2):
        with gzip.open(folder / f"simulated_noNoise_S_{k}.csv.gz", "wt") as file:
            pd.DataFrame(level + k).to_csv(file)
    return tmp_path


def test_reads_interactions():
    net = read_interactions(
        ["7.0,2.0,1.0,4.0,-2.5,3.5,2.0,2.0", "1,1,4,-1.0,2", "", "4,2,4,1,5,6,2,2"]
    )
    assert net.values.tolist() == [
        ["G1", "G7", -2.5],
        ["G4", "G7", 3.5],
        ["G4", "G1", -1.0],
        ["G1", "G4", 6.0],
    ]


def test_refuses_a_line_of_the_wrong_length():
    with pytest.raises(ValueError, match="line 2 names 2 regulators and should have 8 values"):
        read_interactions(["1,1,0,1.0,2", "7,2,1,4,-2.5,2.0,2.0"])


def test_reads_the_files(small_folder, monkeypatch):
    monkeypatch.setenv("GRNREP_DATA_DIR", str(small_folder))
    adata, net = load_sergio("DS5")
    second, _ = load_sergio("DS5", replicate=1, data_dir=small_folder)
    assert adata.shape == (60, 27)
    np.testing.assert_allclose(second["cell3", "G5"].X - adata["cell3", "G5"].X, 1, rtol=1e-5)
    assert list(net.columns) == ["source", "target", "weight"]
    assert not (net["source"] == net["target"]).any()
    assert net.set_index(["source", "target"])["weight"].loc[("G0", "G6")] == -3.5
    assert len(net) == 25


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "DS7"}, ValueError, "name must be one of 'DS4', 'DS5', 'DS6'; found 'DS7'"),
        ({"replicate": 3}, ValueError, "replicate must be below 3; found 3"),
        (
            {"name": "DS6"},
            FileNotFoundError,
            r"DS6.Interaction_cID_\*.txt is missing; it comes from https",
        ),
        (
            {"name": "DS5", "replicate": 2},
            FileNotFoundError,
            "simulated_noNoise_S_2.csv.gz is missing",
        ),
    ],
)
def test_refuses(small_folder, arguments, error, message):
    with pytest.raises(error, match=message):
        load_sergio(**arguments, data_dir=small_folder)


def test_says_where_the_data_come_from(monkeypatch):
    monkeypatch.delenv("GRNREP_DATA_DIR", raising=False)
    with pytest.raises(ValueError, match=r"GRNREP_DATA_DIR.*github.com/PayamDiba/SERGIO"):
        load_sergio()


def test_technical_noise_has_the_moments_it_should():
    rng = np.random.default_rng(0)
    levels = rng.gamma(3, 4, size=(400, 500))
    counts = technical_noise(levels, percentile=60, shape=6, rng=1)
    log = np.log1p(levels)
    kept = 1 / (1 + np.exp(-6 * (log - np.percentile(log, 60))))
    assert np.array_equal(counts, np.round(counts))
    assert counts.min() == 0
    for low, high in ((0, 8), (8, 20), (20, 60)):
        part = (levels >= low) & (levels < high)
        mean, square = (
            kept * levels,
            kept * (levels + levels**2),
        )  # of a Poisson variable kept or not
        error = np.sqrt((square - mean**2)[part].sum())
        assert abs(counts[part].sum() - mean[part].sum()) < 4 * error
        np.testing.assert_allclose(np.square(counts)[part].mean(), square[part].mean(), rtol=0.03)


def test_technical_noise_follows_the_seed():
    levels = np.full((50, 3), 9.0)
    first, again, other = (technical_noise(levels, percentile=50, rng=rng) for rng in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.usefixtures("quick_choices")
def test_truth_is_hidden_from_every_method(small_folder):
    """Whatever the levels of the regulators are, the activities are the same."""
    levels, net = load_sergio("DS5", data_dir=small_folder)
    other = levels.copy()
    other.X[:, :3] = np.random.default_rng(1).random((60, 3))
    for method in METHODS:
        one, two = (
            regulator_activity(hide_regulators(data, net), net, method=method)
            for data in (levels, other)
        )
        pd.testing.assert_frame_equal(one, two)
        assert sorted(one.columns) == ["G0", "G1", "G2"]


def test_correlation_matches_names_and_counts_what_is_missing_as_nothing():
    rng = np.random.default_rng(0)
    levels = anndata.AnnData(
        pd.DataFrame(rng.random((9, 3)), index=[f"c{k}" for k in range(9)], columns=["A", "B", "C"])
    )
    truth = levels.to_df()
    activity = pd.DataFrame({"C": -truth["C"], "A": 2 * truth["A"] + 1, "B": np.nan}).iloc[::-1]
    found = level_correlation(activity, levels)
    np.testing.assert_allclose(found.loc[["A", "B", "C"]], [1, 0, -1], atol=1e-6)


def test_study_on_small_files(small_folder):
    table = sergio_recovery(small_folder, sets=["DS5"], replicates=[0, 1])
    assert list(table.columns) == [
        "set",
        "replicate",
        "method",
        "regulator",
        "n_targets",
        "pearson",
        "seconds",
    ]
    assert len(table) == 2 * len(METHODS) * 3
    assert set(table["n_targets"]) == {8}
    best = table.groupby("method")["pearson"].min()
    assert (best[["grnrep", "tfa", "nca"]] > 0.9).all()


def test_study_with_noise_and_scales(small_folder):
    run = {"sets": ["DS5"], "replicates": [0], "methods": ["tfa"]}
    clean, noisy = (sergio_recovery(small_folder, **run, dropout=d)["pearson"] for d in (None, 30))
    assert (clean > noisy).all()
    raw, standard = (
        sergio_recovery(small_folder, **run, scale=s)["pearson"] for s in ("raw", "standard")
    )
    assert not np.allclose(raw, standard)


def test_study_refuses(small_folder):
    with pytest.raises(ValueError, match=r"methods must be among .*; found 'magic'"):
        sergio_recovery(small_folder, methods=["magic"])
    with pytest.raises(
        ValueError, match="scale must be one of 'log1p', 'standard', 'raw'; found 'log2'"
    ):
        sergio_recovery(small_folder, scale="log2")


@needs_sergio
@pytest.mark.parametrize(("name", "n_cells"), [("DS4", 900), ("DS5", 1200), ("DS6", 1800)])
def test_real_files(name, n_cells):
    adata, net = load_sergio(name)
    assert adata.shape == (n_cells, 100)
    assert (len(net), net["source"].nunique()) == (137, 10)
    truth = pd.read_csv(FOLDER / "sergio" / name / "gt_GRN.csv", header=None)
    assert {(f"G{s}", f"G{t}") for s, t in truth.to_numpy()} == set(
        zip(net["source"], net["target"], strict=True)
    )
    assert adata.X.min() >= 0


@needs_sergio
def test_pseudo_inverse_on_the_real_files():
    """Levels of master regulators can be read from their targets."""
    table = sergio_recovery(sets=["DS5"], replicates=[0], methods=["tfa"])
    assert table["pearson"].median() > 0.85
