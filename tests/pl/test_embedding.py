"""Activities on an embedding: cells where they are, with the colour of their activity."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import grnrep as gr


def test_every_cell_has_the_colour_of_its_activity(cells, dots):
    adata, _ = cells
    ax = gr.pl.embedding(adata, "TF_003")
    (drawn,) = dots(ax)
    shown = np.column_stack([drawn, ax.collections[0].get_array()])
    expected = np.column_stack([adata.obsm["X_umap"], adata.obsm["grnrep"]["TF_003"]])
    np.testing.assert_allclose(shown[shown[:, 0].argsort()], expected[expected[:, 0].argsort()])
    assert ax.get_title(loc="left") == "TF_003"
    assert ax.collections[0].colorbar.ax.get_ylabel() == "activity (units of expression)"


def test_colours_are_centred_at_the_mean_and_blue_is_lower(cells):
    adata, _ = cells
    drawn = gr.pl.embedding(adata, "TF_001").collections[0]
    assert sum(drawn.get_clim()) / 2 == pytest.approx(adata.obsm["grnrep"]["TF_001"].mean())
    low, high = drawn.to_rgba([-1e9, 1e9])
    assert low[2] > low[0]
    assert high[0] > high[2]


def test_several_regulators_have_axes_each(cells):
    adata, _ = cells
    every = gr.pl.embedding(adata, ["TF_003", "TF_001", "TF_002"], basis="X_umap", marginal=True)
    assert [ax.get_title(loc="left") for ax in every] == ["TF_003", "TF_001", "TF_002"]
    assert every[0].collections[0].colorbar.ax.get_ylabel() == "score (standard errors)"
    assert {ax.figure.number for ax in every} == {plt.get_fignums()[0]}
    assert len(every[0].figure.axes) == 6  # each with its colours


def test_an_activity_that_does_not_vary(changed):
    changed.obsm["grnrep"]["TF_001"] = 1.0
    assert gr.pl.embedding(changed, "TF_001").collections[0].get_clim() == (0, 2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"regulators": "tf_001"}, KeyError, r"'tf_001' not among .*closest: 'TF_001'"),
        ({"regulators": []}, ValueError, "at least one"),
        ({"basis": "umpa"}, KeyError, r"basis='umpa' .*closest: 'umap'.*scanpy\.tl\.umap"),
        ({"key": "grnrp"}, KeyError, r"key='grnrp' .*closest: 'grnrep'.*grnrep\.tl\.fit"),
        ({"regulators": ["TF_001", "TF_002"], "ax": 1}, ValueError, "ax takes one regulator; found 2"),
        ({"ncols": 0}, ValueError, "ncols must be at least 1"),
    ],
)  # fmt: skip
def test_errors_name_what_would_do(cells, options, error, message):
    with pytest.raises(error, match=message):
        gr.pl.embedding(cells[0], **{"regulators": "TF_001", **options})
