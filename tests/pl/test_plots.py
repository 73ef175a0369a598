"""What the plots show: the right number of points, at the right places."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

import grnrep as gr


@pytest.fixture(scope="module")
def fitted():
    data, net = gr.ds.simulate(n_obs=90, n_vars=60, n_regulators=5, connectivity=0.2, noise_sd=0.5)
    adata, new = data[:60].copy(), data[60:].copy()
    gr.tl.fit(adata, net, ridge=1e-3, sign_shrinkage=0.3, progress=False)
    gr.tl.transform(new, adata, progress=False)
    return adata, new, net


def _dots(ax):
    return [np.asarray(c.get_offsets()) for c in ax.collections if len(c.get_offsets())]


def _labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# recovery


def test_recovery_shows_sorted_correlations(fitted):
    adata, _, _ = fitted
    pearson = gr.metrics.recovery(adata)["pearson"].sort_values(ascending=False)
    ax = gr.pl.recovery(adata)
    (dots,) = _dots(ax)
    np.testing.assert_allclose(dots, np.column_stack([[1, 2, 3, 4, 5], pearson]))
    assert _labels(ax) == [f"median {pearson.median():.3f}"]
    bottom, top = ax.get_ylim()
    assert bottom < pearson.min() < 1 < top


def test_recovery_of_several_data_sets_shares_the_order_of_the_first(fitted):
    adata, new, _ = fitted
    first = gr.metrics.recovery(new)["pearson"].sort_values(ascending=False)
    second = gr.metrics.recovery(adata)["pearson"].loc[first.index]
    ax = gr.pl.recovery({"held out": new, "training": adata})
    one, two = _dots(ax)
    np.testing.assert_allclose(one[:, 1], first)
    np.testing.assert_allclose(two[:, 1], second)
    assert not np.allclose(one, two)
    assert _labels(ax) == [
        f"held out, median {first.median():.3f}",
        f"training, median {second.median():.3f}",
    ]


def test_recovery_keeps_the_sign_and_the_place_of_what_is_lacking(fitted):
    adata = fitted[0].copy()
    table = adata.obsm["grnrep"]
    adata.obsm["grnrep"] = table.assign(TF_001=-table["TF_001"]).drop(columns="TF_002")
    del adata.uns["grnrep"]
    ax = gr.pl.recovery(adata)
    values = np.ma.filled(_dots(ax)[0][:, 1], np.nan)
    assert values[3] < -0.5
    assert np.isnan(values[4])
    assert ax.get_ylim()[0] < values[3]


def test_perfect_recovery_has_room_too(fitted):
    adata = fitted[0].copy()
    adata.obsm["same"] = adata.obsm["true_activity"].copy()
    bottom, top = gr.pl.recovery(adata, key="same").get_ylim()
    assert bottom < 1 < top


@pytest.mark.parametrize("n", [0, 5])
def test_recovery_says_how_many_data_sets_it_takes(fitted, n):
    with pytest.raises(ValueError, match=f"1 to 4 of them by name; found {n}"):
        gr.pl.recovery({str(i): fitted[0] for i in range(n)})


# activities


def test_activities_counts_every_pair_once(fitted):
    adata, _, _ = fitted
    counts = gr.pl.activities(adata).collections[0].get_array()
    assert counts.sum() == 60 * 5
    counts = gr.pl.activities(adata, regulators=["TF_003", "TF_001"]).collections[0].get_array()
    assert counts.sum() == 60 * 2


@pytest.mark.parametrize("sign", [1, -1])
def test_activities_are_where_the_data_are(fitted, sign):
    adata = fitted[0].copy()
    adata.obsm["grnrep"] = sign * adata.obsm["grnrep"]
    hexagons = gr.pl.activities(adata, regulators=["TF_002"]).collections[0]
    x, y = np.asarray(hexagons.get_offsets()).T
    counts = hexagons.get_array()
    # standardised: weighted by counts, centre 0 and spread 1 but for the size of a hexagon
    np.testing.assert_allclose(
        np.average(np.column_stack([x, y]), axis=0, weights=counts), 0, atol=0.05
    )
    np.testing.assert_allclose(
        np.average(np.column_stack([x, y]) ** 2, axis=0, weights=counts), 1, atol=0.1
    )
    pearson = np.corrcoef(adata.obsm["true_activity"]["TF_002"], adata.obsm["grnrep"]["TF_002"])[
        0, 1
    ]
    assert abs(pearson) > 0.5
    assert np.average(x * y, weights=counts) == pytest.approx(pearson, abs=0.1)


def test_activities_are_matched_by_name(fitted):
    adata = fitted[0].copy()
    before = gr.pl.activities(adata).collections[0]
    table = adata.obsm["true_activity"]
    adata.obsm["true_activity"] = table[table.columns[::-1]]
    after = gr.pl.activities(adata).collections[0]
    np.testing.assert_array_equal(before.get_offsets(), after.get_offsets())
    np.testing.assert_array_equal(before.get_array(), after.get_array())


def test_activities_leave_out_what_has_no_variance(fitted):
    adata = fitted[0].copy()
    adata.obsm["grnrep"] = adata.obsm["grnrep"].assign(TF_001=0.1)
    assert gr.pl.activities(adata).collections[0].get_array().sum() == 60 * 4


def test_activities_say_which_regulators_there_are(fitted):
    with pytest.raises(ValueError, match=r"found 'TF_9', in both are 'TF_001', 'TF_002'"):
        gr.pl.activities(fitted[0], regulators=["TF_001", "TF_9"])
    with pytest.raises(KeyError, match="truth='lost' is not in"):
        gr.pl.activities(fitted[0], truth="lost")


# weights


def test_weights_by_hand(fitted):
    adata = fitted[0].copy()
    edges = pd.DataFrame({"source": list("PPPQ"), "target": list("abca"), "weight": 1.0})
    adata.uns["grnrep"] = {"network": edges.assign(learned=[3.0, -4.0, 0.0, 2.0])}
    true = edges.assign(weight=[1.0, 7.0, -5.0, 0.5]).iloc[::-1]
    true.loc[len(true)] = ["Q", "elsewhere", 1.0]
    ax = gr.pl.weights(adata, true)
    right, wrong, zero = _dots(ax)
    # root mean squares: P 5 and 5 / √3; Q alone
    np.testing.assert_allclose(right, [[1 / 5, 3 * 3**0.5 / 5], [1, 1]])
    np.testing.assert_allclose(wrong, [[7 / 5, -4 * 3**0.5 / 5]])
    np.testing.assert_allclose(zero, [[-1, 0]])
    assert _labels(ax) == ["sign right: 50.0 %", "sign wrong: 25.0 %", "weight 0: 25.0 %"]


def test_weights_of_a_fit(fitted):
    adata, _, net = fitted
    ax = gr.pl.weights(adata, net.sample(frac=1, random_state=0))
    dots = np.concatenate(_dots(ax))
    assert len(dots) == len(net)
    assert np.corrcoef(dots.T)[0, 1] > 0.5
    flipped = np.concatenate(_dots(gr.pl.weights(adata, net.assign(weight=-net["weight"]))))
    assert np.corrcoef(flipped.T)[0, 1] < -0.5


def test_weights_need_a_true_weight(fitted):
    adata, _, net = fitted
    with pytest.raises(
        ValueError, match=r"found none in common.*columns of net: 'source', 'target'"
    ):
        gr.pl.weights(adata, net[["source", "target"]])


# history


def test_history_shows_the_objective(fitted):
    adata, new, _ = fitted
    ax = gr.pl.history(adata)
    objective = adata.uns["grnrep"]["history"]["objective"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), objective)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.arange(1, len(objective) + 1))
    with pytest.raises(KeyError, match="has no history; pass the data that was fitted"):
        gr.pl.history(new)


# all


def test_plots_draw_on_the_axes_given(fitted):
    adata, _, net = fitted
    fig, axs = plt.subplots(2, 2)
    calls = [gr.pl.recovery, gr.pl.activities, gr.pl.history]
    for ax, call in zip(axs.flat, calls, strict=False):
        assert call(adata, ax=ax) is ax
    assert gr.pl.weights(adata, net, ax=axs[1, 1]) is axs[1, 1]
    assert plt.get_fignums() == [fig.number]
    fig.canvas.draw()


def test_plots_leave_data_as_they_are(fitted, digest):
    adata, _, net = fitted
    before = digest(adata)
    gr.pl.recovery(adata)
    gr.pl.activities(adata)
    gr.pl.weights(adata, net)
    gr.pl.history(adata)
    assert digest(adata) == before


# unexplained


def test_unexplained_shows_shares_beside_chance_and_names_genes(fitted):
    adata = fitted[0].copy()
    with pytest.raises(KeyError, match=r"grnrep\.tl\.unexplained"):
        gr.pl.unexplained(adata)
    value, loading = np.random.default_rng(0).normal(size=(2, 60))
    adata.X = adata.X + 5 * np.outer(np.abs(value), np.abs(loading)).astype(np.float32)
    gr.tl.unexplained(adata)
    found = adata.uns["grnrep"]["unexplained"]
    n = found["n_programmes"]
    assert n >= 1
    ax = gr.pl.unexplained(adata, n_genes=2)
    beyond, rest = _dots(ax)
    share = np.square(found["singular_values"])[: len(beyond) + len(rest)]
    np.testing.assert_allclose(np.concatenate([beyond, rest])[:, 1], share)
    np.testing.assert_allclose(np.concatenate([beyond, rest])[:, 0], np.arange(len(share)) + 1)
    band = ax.patches[0].get_y() + ax.patches[0].get_height()
    np.testing.assert_allclose(band, found["chance"] ** 2)
    assert beyond[:, 1].min() > band > rest[:, 1].max()
    assert _labels(ax) == [
        f"{n} beyond chance: {100 * found['share'].sum():.0f} % of the variance",
        "the rest",
    ]
    top = found["top_genes"].iloc[:2]
    first = [f"{'' if row.loading > 0 else '−'}{row.gene}" for row in top.itertuples()]
    assert f"1  {', '.join(first)}" in [text.get_text() for text in ax.texts]


def test_unexplained_without_a_programme_or_residuals(fitted):
    adata = fitted[0].copy()
    gr.tl.unexplained(adata)
    kept = adata.uns["grnrep"]["unexplained"]
    nothing = {"n_programmes": 0, "share": np.zeros(0), "top_genes": kept["top_genes"].iloc[:0]}
    adata.uns["grnrep"]["unexplained"] = {**kept, **nothing}
    ax = gr.pl.unexplained(adata)
    assert _labels(ax)[0] == "0 beyond chance: 0 % of the variance"
    assert [text.get_text() for text in ax.texts] == ["chance"]
    adata.uns["grnrep"]["unexplained"] = {**kept, **nothing, "singular_values": np.zeros(0)}
    with pytest.raises(ValueError, match="no residuals"):
        gr.pl.unexplained(adata)
