"""Figures of the page; the only place here that draws."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grnrep import pl
from grnrep.cli.report.page import Picture

_DPI = 100  # of the page; images have twice as many
_DIVERGING, _GREY = "RdBu_r", "#B3B3B3"
# Okabe & Ito (2008), then as many as there are groups
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_MOST_CELLS = 20_000  # that are drawn
_LIMIT = 2.5  # standard deviations at which colours end


def history(adata: AnnData, *, key: str) -> Picture:
    """The objective while fitting."""
    return _drawn(
        lambda ax: pl.history(adata, key=key, ax=ax),
        caption="Objective of the fit, iteration by iteration; it should end flat.",
        alt="Curve of the objective",
    )


def explained(r2: pd.Series) -> Picture:
    """How well expression of genes is explained."""
    values = r2[np.isfinite(r2)].clip(lower=0)
    # of noisy cells it is little: room is for what there is
    end = max(0.2, np.ceil(10 * values.quantile(0.995)) / 10)

    def draw(ax: Axes) -> None:
        ax.hist(values, bins=np.linspace(0, end, 41).tolist(), color=_COLOURS[0])
        ax.axvline(values.median(), color="#333333", linewidth=1, linestyle=(0, (4, 3)))
        ax.set(xlabel="share of variance explained, R²", ylabel="genes")
        ax.spines[["top", "right"]].set_visible(False)

    return _drawn(
        draw,
        caption=f"How much of each gene's variance over cells the regulators explain; median {values.median():.2f} "
        "(dashed); less than none counts as none.",
        alt="Histogram of explained variance over genes",
    )


def unexplained(adata: AnnData, *, key: str) -> Picture:
    """What the network leaves unexplained."""
    return _drawn(
        lambda ax: pl.unexplained(adata, key=key, ax=ax),
        caption="Programmes in what the fit leaves over, beside what noise has by chance.",
        alt="Singular values of the residuals",
        size=(7.2, 4.2),
    )


def recovery(adata: AnnData, *, key: str, truth: str) -> Picture:
    """Correlation with the true activities, of simulated cells."""
    return _drawn(
        lambda ax: pl.recovery(adata, key=key, truth=truth, ax=ax),
        caption="Correlation of learned with true activities, which these cells have.",
        alt="Correlation with the truth, regulator by regulator",
    )


def matrix(means: pd.DataFrame) -> Picture:
    """Mean activities of regulators (rows) in groups (columns), in standard deviations over cells."""
    height = 0.8 + 0.165 * len(means) + 0.06 * max(map(len, map(str, means.columns)))
    width = min(9.0, 2.6 + 0.42 * means.shape[1])

    def draw(ax: Axes) -> None:
        limit = max(1e-9, min(_LIMIT, float(np.nanmax(np.abs(means.to_numpy())))))
        image = ax.imshow(means, cmap=_DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        ax.set_xticks(range(means.shape[1]), map(_plain, means.columns), rotation=90, fontsize=8)
        ax.set_yticks(range(len(means)), map(_plain, means.index), fontsize=8)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        bar = ax.figure.colorbar(
            image, ax=ax, shrink=min(1.0, 2.0 / height), aspect=12, anchor=(0, 1)
        )
        bar.set_label("mean activity (sd)", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)

    return _drawn(
        draw,
        caption="Mean activity of the top regulators in every group, in standard deviations of the regulator over "
        "all cells, 0 being the mean over all cells.",
        alt="Matrix of mean activities, regulators by groups",
        size=(width, height),
    )


def embedding(
    points: np.ndarray, name: str, groups: pd.Series | None, activities: pd.DataFrame
) -> Picture:
    """Cells on an embedding, coloured by group and by activities, a panel each."""
    drawn = np.random.default_rng(0).permutation(len(points))[:_MOST_CELLS]
    some = f" {len(drawn):,} cells, at random." if len(drawn) < len(points) else ""
    points, activities = points[drawn], activities.iloc[drawn]
    groups = None if groups is None else groups.iloc[drawn]
    n_panels = activities.shape[1] + (groups is not None)
    n_columns = min(3, n_panels)
    n_rows = -(-n_panels // n_columns)
    size = max(1.0, min(12.0, 12_000 / len(points)))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for ax in panels:
            ax.set_axis_off()
        rest = list(panels)
        if groups is not None:
            _draw_groups(rest.pop(0), points, groups, size)
        for ax, (regulator, values) in zip(rest, activities.items(), strict=False):
            order = np.argsort(np.abs(values.to_numpy()), kind="stable")  # the strongest on top
            dots = ax.scatter(
                *points[order].T, c=values.to_numpy()[order], s=size, cmap=_DIVERGING, vmin=-_LIMIT,
                vmax=_LIMIT, linewidths=0,
            )  # fmt: skip
            ax.set_title(_plain(regulator), fontsize=9)
        bar = figure.colorbar(dots, ax=panels.tolist(), location="bottom", shrink=0.3, aspect=25)
        bar.set_label("activity (sd)", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)

    return _figure(
        draw,
        caption=f"Cells on {name}: groups, and activities in standard deviations of each regulator.{some}"
        if groups is not None
        else f"Cells on {name}: activities in standard deviations of each regulator.{some}",
        alt=f"Cells on {name}, coloured by activities of regulators",
        size=(9.2, 0.6 + 2.5 * n_rows),
    )


def _draw_groups(ax: Axes, points: np.ndarray, groups: pd.Series, size: float) -> None:
    """Cells by group; of few groups with a legend, of many with names at the middle of their cells."""
    names = [name for name in groups.cat.categories if (groups == name).any()]
    few = len(names) <= len(_COLOURS)
    x, y = points[groups.isna().to_numpy()].T
    ax.scatter(x, y, s=size, color=_GREY, linewidths=0)
    for k, name in enumerate(names):
        x, y = points[(groups == name).to_numpy()].T
        colour = _COLOURS[k % len(_COLOURS)]
        ax.scatter(x, y, s=size, color=colour, linewidths=0, label=_plain(name))
        if not few:
            text = ax.text(
                float(np.median(x)),
                float(np.median(y)),
                _plain(name),
                fontsize=6,
                ha="center",
                zorder=3,
            )
            text.set_bbox({"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.6})
    if few:
        ax.figure.legend(
            loc="outside right upper", frameon=False, fontsize=8, handletextpad=0.1, markerscale=1.5
        )
    ax.set_title(_plain(groups.name), fontsize=9)


def _drawn(
    draw: Callable[[Axes], object],
    *,
    caption: str,
    alt: str,
    size: tuple[float, float] = (4.5, 3.0),
) -> Picture:
    """A figure with one pair of axes."""
    return _figure(lambda figure: draw(figure.subplots()), caption=caption, alt=alt, size=size)


def _figure(
    draw: Callable[[Figure], object], *, caption: str, alt: str, size: tuple[float, float]
) -> Picture:
    """Draw and keep as PNG; the one way by which figures come onto the page."""
    figure, image = Figure(figsize=size, layout="constrained"), io.BytesIO()
    draw(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a name in another script
        # without the version of matplotlib, so that the same fit gives the same page
        figure.savefig(image, format="png", dpi=2 * _DPI, metadata={"Software": None})
    return Picture(caption=caption, alt=alt, png=image.getvalue(), width=round(_DPI * size[0]))


def _plain(text: object) -> str:
    """A name as it is: without formulas, on one line, and no longer than there is room."""
    line = " ".join(str(text).split())
    line = line if len(line) <= 28 else f"{line[:27]}…"
    return line.replace("$", r"\$")
