"""Identifiability of a network, and recovery over load."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import grnrep as gr


@pytest.fixture(scope="module")
def report(cells):
    """TF_001 and its twin have the same targets; all of those of "inner" are also TF_002's."""
    adata, net = cells
    twin = net[net["source"] == "TF_001"].assign(source="twin")
    inner = net[net["source"] == "TF_002"].iloc[:6].assign(source="inner")
    return gr.pp.check_network(adata, pd.concat([net, twin, inner]))


def test_every_regulator_is_where_its_targets_and_load_are(report, dots, legend):
    ax = gr.pl.check_network(report)
    table = report.regulators
    same = table["group"] >= 0
    mixed = ~table["activity_identified"] & ~same
    drawn = dots(ax)
    assert legend(ax) == [
        f"told apart: {(~same & ~mixed).sum()}", f"may contain others: {mixed.sum()}",
        f"same targets as another: {same.sum()}",
    ]  # fmt: skip
    assert {*table.index[same]} == {"TF_001", "twin"}
    for points, chosen in zip(drawn, (~same & ~mixed, mixed, same), strict=True):
        expected = table.loc[chosen, ["n_targets_found", "load"]].to_numpy(float)
        np.testing.assert_allclose(points, expected)
    assert (
        ax.get_title(loc="left")
        == f"{(~same & ~mixed).sum()} of {len(table)} regulators can be told apart"
    )


def test_what_cannot_be_told_apart_is_named_together(report):
    names = [text.get_text() for text in gr.pl.check_network(report).texts]
    assert "TF_001 = twin" in names
    assert "inner" in names
    assert "TF_001" not in names
    assert not any("=" in text.get_text() for text in gr.pl.check_network(report, n=0).texts)


def test_load_below_one_is_shaded(report):
    few = gr.pp.NetworkReport(
        **{
            **vars(report),
            "regulators": report.regulators.assign(
                load=np.geomspace(0.1, 4, len(report.regulators))
            ),
        }
    )
    ax = gr.pl.check_network(few)
    below = int((few.regulators["load"] < 1).sum())
    assert ax.texts[0].get_text() == f"load below 1: {below} regulators"
    assert ax.patches[0].get_y() + ax.patches[0].get_height() == pytest.approx(1)


def test_check_network_takes_a_report(cells, report):
    with pytest.raises(
        TypeError, match=r"what grnrep\.pp\.check_network\(adata, net\) returns; found AnnData"
    ):
        gr.pl.check_network(cells[0])
    none = gr.pp.NetworkReport(
        **{**vars(report), "regulators": report.regulators.assign(kept=False)}
    )
    with pytest.raises(ValueError, match="found none"):
        gr.pl.check_network(none)


# load


@pytest.fixture
def table():
    rows = [
        {"model": model, "n": n, "load": n / 10 + 0.01 * k, "pcc": pcc + 0.02 * k}
        for model, shift in {"exact": 0.0, "gradient": -0.3}.items()
        for n, pcc in {5: 0.4 + shift, 20: 0.9 + shift}.items()
        for k in (0, 1)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_load_curve_has_means_and_bands_of_replicates(table, legend):
    ax = gr.pl.load_curve(table)
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(lines["exact"], [[0.505, 0.41], [2.005, 0.91]])
    np.testing.assert_allclose(lines["gradient"], [[0.505, 0.11], [2.005, 0.61]])
    assert {*legend(ax)} == {"exact", "gradient", "1: as many values\nas parameters"}
    for band in ax.collections:
        heights = band.get_paths()[0].vertices[:, 1]
        assert np.ptp(
            heights[np.isclose(band.get_paths()[0].vertices[:, 0], 0.505)]
        ) == pytest.approx(0.02)


def test_load_curve_marks_data_and_thresholds(cells, table, legend):
    adata, _ = cells
    own = adata.uns["grnrep"]["params"]["decoder_load"]
    ax = gr.pl.load_curve(table, adata, thresholds={3.3: "encoder"})
    marked = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    assert marked["3.3: encoder"] == 3.3
    assert marked[f"{own:.2g}: these data"] == pytest.approx(own)


def test_load_curve_errors(table, cells):
    with pytest.raises(KeyError, match=r"recovery='pc' is no column of table \(closest: 'pcc'"):
        gr.pl.load_curve(table, recovery="pc")
    with pytest.raises(TypeError, match="DataFrame with a row per fit; found dict"):
        gr.pl.load_curve({"load": [1]})
    with pytest.raises(ValueError, match="at most 4 values, a line each; found 8"):
        gr.pl.load_curve(table.assign(model=range(8)))
    with pytest.raises(KeyError, match="key='none' is no fit"):
        gr.pl.load_curve(table, cells[0], key="none")
