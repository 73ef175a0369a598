"""Figures of the experiments on images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grnrep.pl._axes import BLUE, GREY, ORANGE, VERMILION

_STYLES = {
    "decoder": ("decoder alone", BLUE, "o"),
    "autoencoder": ("autoencoder", VERMILION, "s"),
    "encoder_on_decoder": ("encoder on the decoder", ORANGE, "^"),
}
_BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15), "frameon": False}


def mnist_figure(table: pd.DataFrame) -> Figure:
    """Draw errors and loads against the number of training images, as Fig. 2 of the paper does.

    Parameters
    ----------
    table
        From :func:`mnist_study`.

    Returns
    -------
    Figure; lines are means over seeds, bars standard deviations.

    Examples
    --------
    >>> from grnrep.validation import mnist_figure, mnist_study
    >>> figure = mnist_figure(mnist_study("data", quick=True))  # doctest: +SKIP
    """
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _errors(left, table, "n_train")
    left.set(xlabel="training images", ylabel="binary cross-entropy per pixel", title="MNIST")
    rows = table.drop_duplicates("n_train").sort_values("n_train")
    for part, model in {"decoder (Eq. 3)": "decoder", "encoder (Eq. 4)": "autoencoder"}.items():
        _, colour, marker = _STYLES[model]
        load = rows[f"load_{part.split()[0]}"]
        right.plot(rows["n_train"], load, f"{marker}-", color=colour, label=part)
    right.axhline(1, color=GREY, lw=0.8, ls="--")
    right.set(xlabel="training images", ylabel="load", title="constraints per parameter")
    right.set(xscale="log", yscale="log")
    _ticks(right, rows["n_train"])
    right.legend(frameon=False)
    return figure


def cifar10_figure(table: pd.DataFrame) -> Figure:
    """Draw test errors against epochs and against images per class, as Fig. 3 of the paper does.

    Parameters
    ----------
    table
        From :func:`cifar10_study`.

    Returns
    -------
    Figure, a row for each kind of networks; lines are means over seeds, bars standard deviations.

    Examples
    --------
    >>> from grnrep.validation import cifar10_figure, cifar10_study
    >>> figure = cifar10_figure(cifar10_study("data", quick=True))  # doctest: +SKIP
    """
    kinds = list(dict.fromkeys(table["kind"]))
    figure = Figure(figsize=(12, 4.3 * len(kinds)), layout="constrained")
    axes = figure.subplots(len(kinds), 2, squeeze=False)
    for (left, right), kind in zip(axes, kinds, strict=True):
        part = table[table["kind"] == kind]
        _curves(left, part)
        _errors(right, part, "per_class")
        for ax, what in ((left, "epoch"), (right, "training images of each class")):
            ax.set(xlabel=what, ylabel="mean square error", yscale="log", title=f"CIFAR-10, {kind}")
    return figure


def _errors(axis: Axes, table: pd.DataFrame, size: str) -> None:
    """Mean and spread over seeds of test errors, full lines, and of training errors, dotted."""
    for model, (label, colour, marker) in _STYLES.items():
        for column, style in {"test_error": "-", "train_error": ":"}.items():
            rows = table[table["model"] == model].groupby(size)[column].agg(["mean", "std"])
            if len(rows):
                name = f"{label}, {column.split('_')[0]}"
                look: dict[str, Any] = {"fmt": marker + style, "color": colour, "label": name}
                spread = rows["std"].fillna(0)
                axis.errorbar(rows.index, rows["mean"], spread, capsize=3, ms=5, **look)
    axis.set_xscale("log")
    _ticks(axis, table[size].unique())
    axis.legend(fontsize="small", ncols=table["model"].nunique(), **_BELOW)  # a column each
    axis.spines[["top", "right"]].set_visible(False)


def _curves(axis: Axes, table: pd.DataFrame) -> None:
    """Test error of every epoch; darker for more images."""
    if "curve" not in table:
        return
    rows = table[table["curve"].notna()].sort_values(["model", "per_class"], ascending=False)
    sizes = sorted(rows["per_class"].unique())
    for _, row in rows.iterrows():
        label, colour, _ = _STYLES[row["model"]]
        strength = 0.35 + 0.65 * (sizes.index(row["per_class"]) + 1) / len(sizes)
        epochs = np.arange(1, len(row["curve"]) + 1)
        name = f"{label}, {row['per_class']:,} a class"
        axis.plot(epochs, row["curve"], color=colour, alpha=strength, label=name)
    if len(rows):
        axis.legend(fontsize="small", ncols=2, **_BELOW)


def _ticks(axis: Axes, values: Iterable[int]) -> None:
    """Only the sizes that were run, as plain numbers."""
    values = sorted(values)
    axis.set_xticks(values, [f"{value:,}" for value in values])
    axis.minorticks_off()
