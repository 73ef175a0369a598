"""The demonstration writes what it says."""

from __future__ import annotations

import shutil

import anndata as ad
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import grnrep as gr
from grnrep.cli import demo

SMALL = ["--n-obs", 60, "--n-held-out", 20, "--n-vars", 120, "--n-regulators", 6]
OUTPUTS = ["held_out.h5ad", "network.csv", "recovery.png", "training.h5ad"]


@pytest.fixture(scope="module")
def done(grnrep, tmp_path_factory):
    """A demonstration, and the folder that it made."""
    folder = tmp_path_factory.mktemp("work") / "here" / "demo"
    result = grnrep("demo", *SMALL, "--output-dir", folder)
    assert result.exit_code == 0, result.stderr
    return result, folder


def test_numbers_are_those_of_the_files(done):
    result, folder = done
    assert sorted(path.name for path in folder.iterdir()) == OUTPUTS
    training, held_out = (
        ad.read_h5ad(folder / "training.h5ad"),
        ad.read_h5ad(folder / "held_out.h5ad"),
    )
    net = pd.read_csv(folder / "network.csv")
    shown = dict(
        line.rsplit("  ", 1) for line in result.stdout.splitlines() if "  " in line.strip()
    )
    shown = {name.strip(): value.strip() for name, value in shown.items()}
    new = gr.metrics.recovery(held_out)["pearson"]
    learned = training.varm["grnrep"].toarray()
    edges = learned[
        training.var_names.get_indexer(net["target"]), pd.factorize(net["source"], sort=True)[0]
    ]
    agree = np.sign(edges) * np.sign(net["weight"])
    expected = {
        "cells: fitted + held out": "60 + 20",
        "genes": "120",
        "regulators": "6",
        "edges": str(len(net)),
        "signed PCC with the truth, fitted cells, median": (
            f"{gr.metrics.recovery(training)['pearson'].median():.4f}"
        ),
        "signed PCC with the truth, held-out cells, median": f"{new.median():.4f}",
        "lowest of a regulator, held-out cells": f"{new.min():.4f} ({new.idxmin()})",
        "edges with the right sign": f"{100 * (agree > 0).mean():.1f} %",
        "edges with the wrong sign": f"{100 * (agree < 0).mean():.1f} %",
    }
    assert {name: shown.get(name) for name in expected} == expected


def test_cells_are_of_one_simulation_and_no_sign_was_given(done):
    _, folder = done
    training, held_out = (
        ad.read_h5ad(folder / "training.h5ad"),
        ad.read_h5ad(folder / "held_out.h5ad"),
    )
    data, net = gr.ds.simulate(n_obs=80, n_vars=120, n_regulators=6)
    np.testing.assert_array_equal(np.concatenate([training.X, held_out.X]), data.X)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "network.csv"), net)
    assert training.uns["grnrep"]["network"]["weight"].isna().all()
    again = gr.tl.transform(held_out, training, copy=True, progress=False)
    np.testing.assert_array_equal(again.obsm["grnrep"], held_out.obsm["grnrep"])


def test_figure(done, monkeypatch):
    _, folder = done
    image = matplotlib.image.imread(folder / "recovery.png")
    assert image.shape[:2] == (780, 2100)
    data = {name: ad.read_h5ad(folder / f"{name}.h5ad") for name in ("training", "held_out")}
    net = pd.read_csv(folder / "network.csv")
    fig = demo.figure(
        demo.Demo(**data, net=net, seconds={"simulate": 0.5, "fit": 12.34, "project": 0.5})
    )
    left, middle, right = fig.axes[:3]
    assert left.collections[0].get_array().sum() == 20 * 6
    assert len(middle.collections[0].get_offsets()) == 6
    assert sum(len(dots.get_offsets()) for dots in right.collections) == len(net)
    assert "60 cells fitted in 12.3 s; 20 held-out cells" in fig.texts[0].get_text()


@pytest.mark.usefixtures("quick_choices")
def test_results_are_not_overwritten_unasked(grnrep, done, work, listing, monkeypatch):
    monkeypatch.setattr(demo, "figure", lambda found: Figure())
    shutil.copytree(done[1], work / "here" / "demo")
    before = listing()
    result = grnrep("demo", *SMALL, "--output-dir", "here/demo")
    assert result.exit_code == 2
    assert "exists" in result.stderr
    assert listing() == before
    assert (
        grnrep("demo", *SMALL, "--output-dir", "here/demo", "--overwrite", "--rng", 1).exit_code
        == 0
    )
    after = listing()
    assert set(after) == set(before)
    assert after["here/demo/network.csv"] != before["here/demo/network.csv"]


def test_sign_shares_by_hand():
    net = pd.DataFrame(
        {"source": list("PPQQ"), "target": list("abab"), "weight": [1.0, -2.0, 0.5, 3.0]}
    )
    learned = net.iloc[::-1].assign(learned=[0.0, -1.0, -1.0, 2.0], weight=np.nan)
    adata = ad.AnnData(uns={"grnrep": {"network": learned}})
    shares = demo.sign_shares(demo.Demo(training=adata, held_out=adata, net=net, seconds={}))
    assert shares == (0.5, 0.25)
