"""What all plots have in common: axes given, files written, data left as they are, texts that are complete."""

from __future__ import annotations

import inspect

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

import grnrep as gr

PLOTS = {
    "activities": lambda adata, net, **o: gr.pl.activities(adata, **o),
    "check_network": lambda adata, net, **o: gr.pl.check_network(gr.pp.check_network(adata, net), **o),
    "embedding": lambda adata, net, **o: gr.pl.embedding(adata, "TF_001", **o),
    "history": lambda adata, net, **o: gr.pl.history(adata, **o),
    "load_curve": lambda adata, net, **o: gr.pl.load_curve(pd.DataFrame({"load": [1, 2], "pcc": [0.5, 1]}), **o),
    "rank_regulators": lambda adata, net, **o: gr.pl.rank_regulators(adata, "ill", **o),
    "recovery": lambda adata, net, **o: gr.pl.recovery(adata, **o),
    "targets": lambda adata, net, **o: gr.pl.targets(adata, "TF_001", **o),
    "top_regulators": lambda adata, net, **o: gr.pl.top_regulators(adata, "state", **o),
    "uncertainty": lambda adata, net, **o: gr.pl.uncertainty(adata, "TF_001", **o),
    "unexplained": lambda adata, net, **o: gr.pl.unexplained(adata, **o),
    "volcano": lambda adata, net, **o: gr.pl.volcano(adata, "ill", **o),
    "weights": lambda adata, net, **o: gr.pl.weights(adata, net, **o),
}  # fmt: skip
every = pytest.mark.parametrize("name", PLOTS)


def test_all_plots_take_the_same():
    for name in gr.pl.__all__:
        parameters = inspect.signature(getattr(gr.pl, name)).parameters
        assert list(parameters)[-3:] == ["ax", "show", "save"]
    assert {*gr.pl.__all__} - {*PLOTS} == {"image_grid", "manifold"}


@every
def test_draws_on_the_axes_given_writes_a_file_and_leaves_data_alone(cells, name, digest, tmp_path):
    before = digest(cells[0])
    # scanpy divides the place of axes by itself
    figure, given = plt.subplots(layout=None if name == "top_regulators" else "constrained")
    mpl.rcParams["savefig.dpi"] = 40
    ax = PLOTS[name](*cells, ax=given, save=tmp_path / "plot.png")
    assert ax.figure is figure
    assert ax is given or name == "top_regulators"
    assert plt.get_fignums() == [figure.number]
    assert 100 < plt.imread(tmp_path / "plot.png").shape[1] < 400
    assert digest(cells[0]) == before


@every
def test_has_a_title_and_labels_and_no_small_text(cells, name):
    ax = PLOTS[name](*cells)
    ax.figure.draw_without_rendering()
    assert ax.get_title(loc="left")
    if name not in ("embedding", "top_regulators"):
        assert ax.get_xlabel()
        assert ax.get_ylabel() or ax.get_yticklabels()
    if name != "top_regulators":  # scanpy's own sizes
        texts = [text for text in ax.figure.findobj(mpl.text.Text) if text.get_text().strip()]
        assert min(text.get_fontsize() for text in texts) >= 8
    assert ax.figure.get_size_inches()[0] <= 7.5  # the width of a page


OF_CELLS = (
    "activities", "embedding", "rank_regulators", "recovery", "top_regulators", "uncertainty", "unexplained", "volcano"
)  # fmt: skip


@pytest.mark.parametrize("name", OF_CELLS)
def test_a_model_which_has_no_cells_is_called_so(cells, name, refuses, tmp_path):
    gr.io.save(cells[0], tmp_path / "model.zarr.zip")
    model = gr.io.load(tmp_path / "model.zarr.zip")
    if name == "unexplained":
        del model.uns["grnrep"]["unexplained"]  # which a model keeps
    with refuses(ValueError, "adata is a model, which has no cells; give data"):
        PLOTS[name](model, cells[1])
    assert not plt.get_fignums()


def test_files_have_200_dots_an_inch_and_any_format(cells, tmp_path):
    _, ax = plt.subplots(figsize=(4, 3))
    gr.pl.history(cells[0], ax=ax, save=tmp_path / "plot.png")
    assert plt.imread(tmp_path / "plot.png").shape[1] == pytest.approx(800, abs=80)
    gr.pl.history(cells[0], ax=ax, save=str(tmp_path / "plot.svg"))
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_shows_if_asked(cells, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    gr.pl.history(cells[0])
    assert not shown
    gr.pl.history(cells[0], show=True)
    assert shown


def test_a_plot_is_part_of_a_larger_figure(cells, tmp_path):
    figure = plt.figure(layout="constrained")
    left, right = figure.subfigures(1, 2)
    gr.pl.volcano(cells[0], "ill", ax=left.subplots())
    gr.pl.targets(cells[0], "TF_001", ax=right.subplots(), save=tmp_path / "both.png")
    assert plt.imread(tmp_path / "both.png").shape[1] > 900  # both parts
