"""Plots of differences between groups: matrix and dots, bars, volcano."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

import grnrep as gr
from grnrep.pl._axes import GREY, HIGHER, LOWER


def _names(labels):
    return [label.get_text() for label in labels]


def _ranked(adata, group):
    table = adata.uns["rank_regulators"]
    table = table[table["group"] == group].sort_values("pvals").reset_index(drop=True)
    return table.assign(effect=table["difference"] / table["sd"])


# top regulators


def test_matrix_has_standardised_means(cells):
    adata, _ = cells
    ax = gr.pl.top_regulators(adata, "state", regulators=["TF_004", "TF_001"])
    assert _names(ax.get_yticklabels()) == ["TF_004", "TF_001"]
    assert _names(ax.get_xticklabels()) == ["ill", "mild", "well"]
    activity = adata.obsm["grnrep"][["TF_004", "TF_001"]]
    scaled = (activity - activity.mean()) / activity.std(ddof=0)
    expected = scaled.groupby(adata.obs["state"], observed=True).mean().T
    (colours,) = ax.collections
    np.testing.assert_allclose(
        np.ravel(colours.get_array()), expected.to_numpy().ravel(), rtol=1e-4
    )
    low, high = colours.get_clim()
    assert low == -high == pytest.approx(-np.abs(expected.to_numpy()).max(), rel=1e-4)


@pytest.mark.parametrize("kind", ["matrix", "dots"])
def test_one_extreme_group_does_not_bleach_the_others(cells, kind):
    adata, _ = cells
    adata = adata.copy()
    activity = adata.obsm["grnrep"].copy()
    adata.obs["few"] = np.where(np.arange(adata.n_obs) < 2, "few", adata.obs["state"].astype(str))
    names = list(activity.columns)
    gr.pl.top_regulators(adata, "few", regulators=names, kind=kind)
    activity.iloc[:2, 0] = activity.iloc[:, 0].mean() + 40 * activity.iloc[:, 0].std()
    adata.obsm["grnrep"] = activity
    gr.pl.top_regulators(adata, "few", regulators=names, kind=kind)
    ordinary, extreme = (
        next(ax for ax in plt.figure(number).axes if ax.get_title().startswith("mean activity"))
        for number in plt.get_fignums()
    )
    scaled = (activity - activity.mean()) / activity.std(ddof=0)
    means = np.abs(scaled.groupby(adata.obs["few"], observed=True).mean().to_numpy())
    low, high = extreme.get_xlim()
    assert -low == high == pytest.approx(np.sort(means.ravel())[-2], rel=1e-4)
    assert means.max() > 1.5 * high
    # the bar has tips, which say that there is more
    assert len(extreme.patches) == len(ordinary.patches) + 2


def test_top_regulators_are_those_that_are_higher_each_once(cells):
    adata, _ = cells
    table = adata.uns["rank_regulators"]
    shown = _names(gr.pl.top_regulators(adata, "state", n=6).get_yticklabels())
    higher = table[table["difference"] > 0].sort_values("pvals").drop_duplicates("regulator")
    assert sorted(shown) == sorted(higher["regulator"])
    assert (
        shown[0]
        == _ranked(adata, "ill").loc[lambda t: t["difference"] > 0, "regulator"].iloc[0]
        == "TF_001"
    )
    assert len(_names(gr.pl.top_regulators(adata, "state", n=1).get_yticklabels())) <= 3


def test_dots_say_which_share_is_above_the_mean(cells):
    adata, _ = cells
    ax = gr.pl.top_regulators(adata, "state", regulators=["TF_001", "TF_002"], kind="dots")
    sizes = ax.collections[0].get_sizes().reshape(2, 3)
    activity = adata.obsm["grnrep"][["TF_001", "TF_002"]]
    share = (activity > activity.mean()).groupby(adata.obs["state"], observed=True).mean().T
    assert (np.argsort(sizes) == np.argsort(share.to_numpy())).all()


def test_top_regulators_leave_out_cells_without_a_group(changed):
    changed.obs["part"] = np.where(np.arange(80) < 60, "a", None)
    changed.obs.loc[changed.obs_names[:20], "part"] = "b"
    ax = gr.pl.top_regulators(changed, "part", regulators=["TF_001"], ax=plt.subplots()[1])
    assert _names(ax.get_xticklabels()) == ["a", "b"]


def test_matrix_of_cells_that_share_names(cells, changed):
    expected = gr.pl.top_regulators(cells[0], "state").collections[0].get_array()
    changed.obs_names = ["cell"] * changed.n_obs
    found = gr.pl.top_regulators(changed, "state").collections[0].get_array()
    np.testing.assert_array_equal(found, expected)


def test_top_regulators_where_no_cell_has_a_group(changed):
    changed.obs["none"] = np.nan
    with pytest.raises(ValueError, match=r"obs\['none'\] must have at least one group; found none"):
        gr.pl.top_regulators(changed, "none", regulators=["TF_001"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"groupby": "stat"}, KeyError, r"groupby='stat' is not in adata\.obs; .*'state'"),
        ({"groupby": "donor"}, ValueError, r"compares the groups of: 'ill', 'mild', 'well'; found 'donor'"),
        ({"regulators": ["TF_01"]}, KeyError, r"'TF_01' not among .*closest: 'TF_001'"),
        ({"rank_key": "rank_regulator"}, KeyError, r"closest: 'rank_regulators'.*Run grnrep\.tl\.rank_regulators"),
        ({"kind": "dot"}, ValueError, "kind must be one of 'matrix', 'dots'"),
        ({"n": 0}, ValueError, "n must be at least 1"),
    ],
)  # fmt: skip
def test_top_regulators_errors(cells, options, error, message):
    with pytest.raises(error, match=message):
        gr.pl.top_regulators(cells[0], **{"groupby": "state", **options})


def test_top_regulators_where_none_is_higher(changed):
    changed.uns["rank_regulators"] = changed.uns["rank_regulators"].assign(difference=-1.0)
    with pytest.raises(ValueError, match=r"no group .* name them by regulators="):
        gr.pl.top_regulators(changed, "state")


# bars


def test_bars_are_differences_with_standard_errors(cells, legend):
    adata, _ = cells
    table = _ranked(adata, "ill")
    ax = gr.pl.rank_regulators(adata, "ill", n=5)
    top = table.iloc[:5]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], top["effect"])
    assert _names(ax.get_yticklabels()) == list(top["regulator"])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the clearest is the uppermost
    expected = [
        GREY if row.pvals_adj >= 0.05 else HIGHER if row.difference > 0 else LOWER
        for row in top.itertuples()
    ]
    assert [to_hex(bar.get_facecolor()).upper() for bar in ax.patches] == expected
    assert len({*expected}) > 1
    (bars,) = (c for c in ax.collections if len(c.get_segments()) == 5)
    half = [np.ptp(segment[:, 0]) / 2 for segment in bars.get_segments()]
    np.testing.assert_allclose(half, np.abs(top["effect"] / top["scores"]))
    assert ax.get_xlabel() == "difference of mean activity\n(sd of all cells)"
    assert legend(ax) == [
        "higher, FDR < 5 %",
        "lower, FDR < 5 %",
        "not significant",
        "± standard error",
    ]


def test_all_groups_have_axes_each_and_one_legend(cells):
    every = gr.pl.rank_regulators(cells[0], n=3)
    assert [ax.get_title(loc="left") for ax in every] == ["ill", "mild", "well"]
    assert [ax.get_legend() is not None for ax in every] == [False, True, False]


def test_units_of_activities_change_no_bar(changed):
    before = [bar.get_width() for bar in gr.pl.rank_regulators(changed, "ill").patches]
    changed.obsm["grnrep"] = changed.obsm["grnrep"] * np.geomspace(1e-2, 1e2, 6)
    gr.tl.rank_regulators(changed, "state", sample="donor")
    after = [bar.get_width() for bar in gr.pl.rank_regulators(changed, "ill").patches]
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_standard_errors_of_the_table_are_taken(changed):
    changed.uns["rank_regulators"] = changed.uns["rank_regulators"].assign(std_err=0.5, sd=2.0)
    ax = gr.pl.rank_regulators(changed, "ill", n=2)
    (bars,) = (c for c in ax.collections if len(c.get_segments()) == 2)
    np.testing.assert_allclose([np.ptp(s[:, 0]) for s in bars.get_segments()], 0.5)


def test_cells_as_units_are_said(changed, legend):
    changed.uns["rank_regulators"] = changed.uns["rank_regulators"].assign(
        unit="cell, no replicate"
    )
    assert (
        legend(gr.pl.rank_regulators(changed, "ill"))[-1]
        == "± standard error\n(of cells, no replicates)"
    )
    assert gr.pl.volcano(changed, "ill").get_ylabel() == "−log10 p-value (of cells, no replicates)"


# volcano


def test_volcano_has_every_regulator_that_was_tested(changed, dots, legend):
    table = changed.uns["rank_regulators"]
    table.loc[table["regulator"] == "TF_006", ["scores", "pvals", "pvals_adj"]] = np.nan
    ax = gr.pl.volcano(changed, "ill", n=3)
    tested = _ranked(changed, "ill").dropna(subset="pvals")
    drawn = np.concatenate(dots(ax))
    expected = np.column_stack([tested["effect"], -np.log10(tested["pvals"])])
    np.testing.assert_allclose(drawn[drawn[:, 0].argsort()], expected[expected[:, 0].argsort()])
    significant = tested["pvals_adj"] < 0.05
    higher, lower, rest = dots(ax)
    assert len(higher) == (significant & (tested["difference"] > 0)).sum() >= 1
    assert len(lower) == (significant & (tested["difference"] < 0)).sum() >= 1
    assert legend(ax) == [
        f"higher: {len(higher)}",
        f"lower: {len(lower)}",
        f"not significant: {len(rest)}",
    ]
    assert [text.get_text() for text in ax.texts if text.get_text() != "FDR 5 %"] == list(
        tested["regulator"][:3]
    )


def test_volcano_with_a_p_value_of_zero_and_without_names(changed, dots):
    changed.uns["rank_regulators"]["pvals"] = 0.0
    ax = gr.pl.volcano(changed, "ill", n=0)
    assert np.isfinite(np.concatenate(dots(ax))).all()


def test_names_hide_neither_each_other_nor_leave_the_axes(changed):
    table = changed.uns["rank_regulators"]
    table["difference"] = np.linspace(-1e-3, 1e-3, len(table))
    table["pvals"] = table["pvals_adj"] = 1e-4
    ax = gr.pl.volcano(changed, "ill", n=6)
    ax.figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in ax.texts]  # without their lines
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 for box in boxes)


@pytest.mark.parametrize("plot", [gr.pl.volcano, gr.pl.rank_regulators])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "Ill"}, r"'Ill' not among the groups of 'rank_regulators' \(closest: 'ill'"),
        ({"key": "rank"}, r"key='rank' is no table .*'rank_regulators'.*Run grnrep\.tl\.rank_regulators first"),
    ],
)  # fmt: skip
def test_group_errors(cells, plot, options, message):
    options = {"group": "ill", **options}
    with pytest.raises(KeyError, match=message):
        plot(cells[0], options.pop("group"), **options)


def test_bars_of_several_groups_need_axes_of_their_own(cells):
    with pytest.raises(ValueError, match="ax takes one group; name one of 'ill', 'mild', 'well'"):
        gr.pl.rank_regulators(cells[0], ax=plt.subplots()[1])
