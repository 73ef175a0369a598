"""Activities with their intervals."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

import grnrep as gr


def _band(collection):
    """Lower and upper end of a band at every place."""
    x, y = collection.get_paths()[0].vertices.T
    places = np.unique(x)
    return places, np.array([[y[x == place].min(), y[x == place].max()] for place in places])


def test_cells_are_sorted_within_their_intervals(changed, legend):
    sd = np.linspace(0.1, 0.5, changed.n_obs)
    changed.obsm["grnrep_sd"]["TF_002"] = sd
    ax = gr.pl.uncertainty(changed, "TF_002")
    value = changed.obsm["grnrep"]["TF_002"].to_numpy()
    order = value.argsort()
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), value[order])
    _, band = _band(ax.collections[0])
    expected = np.column_stack([value - 1.96 * sd, value + 1.96 * sd])[order]
    np.testing.assert_allclose(band, expected, rtol=1e-5)
    assert legend(ax) == ["95 % interval", "activity"]
    assert ax.get_ylabel() == "activity (units of expression)"


def test_groups_side_by_side_from_low_to_high(cells):
    adata, _ = cells
    ax = gr.pl.uncertainty(adata, "TF_001", groupby="state")
    mean = adata.obsm["grnrep"]["TF_001"].groupby(adata.obs["state"], observed=True).mean()
    counts = adata.obs["state"].value_counts()
    expected = [f"{name} ({counts[name]})" for name in mean.sort_values().index]
    assert [text.get_text() for text in ax.get_xticklabels()] == expected
    assert [len(line.get_xdata()) for line in ax.lines[1:]] == [
        counts[n] for n in mean.sort_values().index
    ]


def test_marginal_needs_no_posterior(changed):
    del changed.obsm["grnrep_sd"]
    alone = gr.get.activity(changed, marginal=True)[:, "TF_003"]
    ax = gr.pl.uncertainty(changed, "TF_003", marginal=True)
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), np.sort(alone.layers["slope"][:, 0]))
    with pytest.raises(
        KeyError, match=r"no standard deviations.*grnrep\.tl\.posterior.*marginal=True"
    ):
        gr.pl.uncertainty(changed, "TF_003")


def test_many_cells_are_thinned(changed, monkeypatch):
    monkeypatch.setattr(import_module("grnrep.pl.uncertainty"), "_MOST", 10)
    x = gr.pl.uncertainty(changed, "TF_003").lines[-1].get_xdata()
    assert len(x) == 10
    assert x[0] == 0.5
    assert x[-1] == 79.5


def test_errors(cells):
    with pytest.raises(KeyError, match=r"'TF_9' not among .*closest"):
        gr.pl.uncertainty(cells[0], "TF_9")
    with pytest.raises(KeyError, match="groupby='none' is not in"):
        gr.pl.uncertainty(cells[0], "TF_001", groupby="none")
