"""A regulator's targets: where lines end, what colours and markers say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import grnrep as gr
from grnrep.pl._axes import HIGHER, LOWER


@pytest.fixture
def by_hand(changed):
    """Edges of one regulator of every kind."""
    net = pd.DataFrame(
        {
            "source": ["P"] * 5 + ["Q"],
            "target": list("abcdef"),
            "weight": [1.0, -1.0, np.nan, 1.0, np.nan, 1.0],
            "learned": [0.5, 1.0, -2.0, -0.25, 0.1, 9.0],
            "std_err": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        }
    )
    repair = net.assign(status=["kept"] * 4 + ["added", "kept"])[
        ["source", "target", "learned", "std_err", "status"]
    ]
    repair.loc[6] = ["P", "gone", 0.05, 0.5, "dropped"]
    repair["fdr"] = 0.01
    changed.uns["grnrep"] = {
        "network": net,
        "repair": repair,
        "regulators": pd.DataFrame(index=["P", "Q"]),
        "dropped_regulators": pd.DataFrame({"reason": ["too few"]}, index=["lost"]),
        "params": {},
    }
    return changed


def test_lines_end_at_the_weights_the_largest_first(by_hand, legend):
    ax = gr.pl.targets(by_hand, "P")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["b", "a", "e", "gone", "d", "c"]
    lines, *_ = ax.collections
    weight = np.array([1, 0.5, 0.1, 0.05, -0.25, -2])
    np.testing.assert_allclose(
        [s[:, 0] for s in lines.get_segments()], np.column_stack([0 * weight, weight])
    )
    colours = [to_hex(colour).upper() for colour in lines.get_colors()]
    assert colours == [HIGHER] * 4 + [LOWER] * 2
    assert legend(ax) == [
        "activates", "represses", "sign as in the prior", "against the prior sign", "no prior sign",
        "added by the repair", "dropped by the repair", "95 % interval",
    ]  # fmt: skip
    assert ax.get_title(loc="left") == "P: all 6 targets"


def test_markers_say_what_is_known(by_hand, dots):
    ax = gr.pl.targets(by_hand, "P")
    agrees, against, unknown, added, dropped = dots(ax)
    np.testing.assert_allclose(agrees[:, 0], [0.5])
    np.testing.assert_allclose(against[:, 0], [1.0, -0.25])
    np.testing.assert_allclose(unknown[:, 0], [-2])
    np.testing.assert_allclose(added[:, 0], [0.1])
    np.testing.assert_allclose(dropped[:, 0], [0.05])


def test_intervals_are_95_per_cent(by_hand):
    ax = gr.pl.targets(by_hand, "P", n=2)
    bars = ax.collections[-1].get_segments()
    np.testing.assert_allclose([np.ptp(s[:, 0]) for s in bars], 2 * 1.96 * np.array([0.2, 0.3]))
    assert ax.get_title(loc="left") == "P: 2 of 6 targets"


def test_without_standard_errors_there_is_no_interval(by_hand, legend):
    record = by_hand.uns["grnrep"]
    del record["repair"]
    record["network"] = record["network"].drop(columns="std_err")
    assert not any("interval" in text for text in legend(gr.pl.targets(by_hand, "P")))
    record["network"]["learned_sd"] = 0.1
    assert legend(gr.pl.targets(by_hand, "P"))[-1] == "± 1.96 deviations\nof the fit"


def test_targets_of_a_fit(cells):
    adata, net = cells
    ax = gr.pl.targets(adata, "TF_002", n=100)
    shown = {text.get_text() for text in ax.get_yticklabels()}
    assert shown == {*net.loc[net["source"] == "TF_002", "target"]}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"regulator": "p"}, KeyError, r"'p'.*key='grnrep'.*clos.*'P'"),
        ({"regulator": "lost"}, KeyError, "'lost' was left out of the fit"),
        ({"key": "other"}, KeyError, r"key='other' is no fit in adata\.uns.*Run grnrep\.tl\.fit first"),
        ({"n": 0}, ValueError, "n must be at least 1"),
    ],
)  # fmt: skip
def test_errors(by_hand, options, error, message):
    options = {"regulator": "P", **options}
    with pytest.raises(error, match=message):
        gr.pl.targets(by_hand, options.pop("regulator"), **options)
