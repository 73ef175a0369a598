"""Figures of the autoencoder study: its table, and what the generative members make up."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from grnrep.nn.representation import Representation
from grnrep.nn.training import Trained, train_member
from grnrep.pl._axes import BLUE, GREEN, GREY, INK, ORANGE, VERMILION
from grnrep.pl.images import image_grid, manifold
from grnrep.validation.autoencoders.panels import FULL, QUICK, flat, load_digits

# Makhzani & Frey (2013), table 1: 60,000 images, without fine-tuning
PUBLISHED: Final = {
    "pixels": 0.0720, "masking": 0.0195, "k = 40": 0.0154, "k = 25": 0.0135, "k = 10": 0.0210,
}  # fmt: skip
_LINES: Final = {
    "exact": INK, "decoder": BLUE, "encoder-reconstruction": ORANGE, "encoder-noise": VERMILION,
    "vae": GREEN, "autoencoder": GREY,
}  # fmt: skip
SIZES: Final = (ORANGE, BLUE, GREEN, VERMILION)
_SAMPLED: Final = ("gan", "vae", "beta-vae", "infovae", "decoder", "autoencoder")
_REACH: Final = 2.5  # of a traversal


def autoencoders_figure(table: pd.DataFrame) -> Figure:
    """Draw the table of :func:`autoencoders_study`.

    Parameters
    ----------
    table
        What the study returned; only its panels are drawn.

    Returns
    -------
    Figure
        Errors of reconstruction and of classification of every member, errors of k-sparse codes
        beside the published ones, correlation with the true regulators against the load, and
        encoders of noisy inputs beside descent.

    Raises
    ------
    ValueError
        If the table has none of the panels.

    Examples
    --------
    >>> from grnrep.validation import autoencoders_figure, autoencoders_study
    >>> some = {"panels": ["images"], "members": ["mean", "pca"], "progress": False}
    >>> len(autoencoders_figure(autoencoders_study(quick=True, **some)).axes)
    2
    """
    draw: dict[str, list[Callable[[Axes, pd.DataFrame], None]]] = {
        "images": [partial(_errors, column=name) for name in ("test_error", "probe_error")],
        "sparse": [_sparse],
        "regulators": [_regulators],
        "image-encoders": [partial(_noise, column="test_error")],
        "regulator-encoders": [partial(_noise, column="pcc")],
    }
    found = table["panel"].unique()
    panels = [(one, table[table["panel"] == p]) for p in draw if p in found for one in draw[p]]
    if not panels:
        raise ValueError(f"table must have a panel among {', '.join(draw)}; found {list(found)}")
    n_rows = -(-len(panels) // 2)
    figure, grid = plt.subplots(
        n_rows, min(2, len(panels)), figsize=(11, 4.8 * n_rows), layout="constrained", squeeze=False
    )
    for ax, (one, rows) in zip(grid.flat, panels, strict=False):
        one(ax, rows)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in grid.flat[len(panels) :]:
        ax.remove()
    return figure


def autoencoders_images(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    rng: int = 0,
    progress: bool = True,
) -> Figure:
    """Train generative members and show samples, traversals of units, and manifolds of two units.

    Samples of the variational members and of the adversarial one are decoded draws of N(0, 1). The codes of
    the others follow no given distribution, and are drawn from the normal one with their mean and covariance.

    Parameters
    ----------
    data_dir
        As in :func:`grnrep.ds.mnist`.
    quick
        Digits of scikit-learn instead of 10,000 images of MNIST.
    rng
        Seed of start values, batches and samples.
    progress
        Whether to show progress bars.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> from grnrep.validation import autoencoders_images
    >>> figure = autoencoders_images("data")  # doctest: +SKIP
    """
    settings = QUICK if quick else FULL
    images = load_digits(settings, data_dir, progress)
    shape = images.train.shape[1:]
    x = flat(images.train[np.random.default_rng(rng).permutation(len(images.train))[:10_000]])
    trainer = replace(settings.trainer(rng), epochs=150 if quick else 50, progress=progress)
    train = partial(train_member, width=settings.width, trainer=trainer)
    trained = {name: train(name, x, d=8 if quick else 10) for name in _SAMPLED}
    flatland = {name: train(name, x, d=2) for name in ("vae", "decoder")}

    def show(member: Trained, z: Tensor | np.ndarray) -> np.ndarray:
        return member.decode(torch.as_tensor(z, dtype=torch.float32)).reshape(-1, *shape).numpy()

    figure, grid = plt.subplots(2, 2, figsize=(10, 9), layout="constrained", height_ratios=(3, 4))
    generator = np.random.default_rng(rng)
    samples = [show(one, _draw(name, one, x, 12, generator)) for name, one in trained.items()]
    image_grid(np.concatenate(samples), n_columns=12, row_labels=list(trained), ax=grid[0, 0])
    grid[0, 0].set_title("samples")
    image_grid(show(trained["vae"], _traversals(trained["vae"], x)), n_columns=11, ax=grid[0, 1])
    grid[0, 1].set_title(f"vae: each unit from −{_REACH} to {_REACH}")
    for ax, (name, member) in zip(grid[1], flatland.items(), strict=True):
        codes = None if name == "vae" else _codes(member, x)
        manifold(partial(show, member), codes=codes, ax=ax)
        ax.set_title(f"{name} with two units")
    return figure


def _codes(member: Trained, x: Tensor) -> np.ndarray:
    """Codes of the training data; those that were learned, where they were."""
    source = None if member.model is None else member.model.source
    if isinstance(source, Representation):
        return source.table.detach().numpy()
    return member.encode(x).numpy()


def _draw(
    name: str, member: Trained, x: Tensor, n: int, generator: np.random.Generator
) -> np.ndarray:
    codes = _codes(member, x)
    if "vae" in name or name == "gan":
        return generator.normal(size=(n, codes.shape[1]))
    return generator.multivariate_normal(codes.mean(0), np.cov(codes.T), size=n)


def _traversals(member: Trained, x: Tensor) -> np.ndarray:
    """One code, each unit in turn over the range of N(0, 1); the units that vary most, up to eight."""
    codes = _codes(member, x)
    chosen = np.argsort(-codes.std(0))[:8]
    z = np.repeat(codes[:1], 11 * len(chosen), axis=0)
    for place, unit in enumerate(chosen):
        z[place * 11 : (place + 1) * 11, unit] = np.linspace(-_REACH, _REACH, 11)
    return z


def _errors(ax: Axes, rows: pd.DataFrame, column: str) -> None:
    """Of every member, and of the mean image, which has no code to classify by."""
    dots(ax, rows[rows["member"] != "mean"], column)
    largest = rows["n"].max()
    baseline = rows.loc[(rows["member"] == "mean") & (rows["n"] == largest), column].mean()
    if np.isfinite(baseline):
        ax.axvline(baseline, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        ax.text(baseline, 0, "mean image ", ha="right", fontsize=8)
    pixels = column == "test_error"
    what = ", mean square per pixel" if pixels else " of logistic regression"
    title = "reconstruction" if pixels else "classification"
    ax.set(xlabel=f"test error{what}", xlim=(0, None), title=title)


def dots(ax: Axes, rows: pd.DataFrame, column: str) -> None:
    """A line a member, a dot a seed, a colour a size."""
    names = list(dict.fromkeys(rows["member"]))
    for (n, part), colour in zip(rows.groupby("n"), SIZES, strict=False):
        y = [names.index(name) for name in part["member"]]
        ax.scatter(part[column], y, s=18, color=colour, label=f"{n:,}")
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.grid(axis="y", color="#EEEEEE", zorder=0)
    ax.set_axisbelow(True)
    ax.legend(title="images", frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def _sparse(ax: Axes, rows: pd.DataFrame) -> None:
    names = list(rows["member"].unique())
    x = [names.index(name) for name in rows["member"]]
    ax.scatter(x, rows["probe_error"], s=18, color=BLUE, label="here")
    if rows["n"].max() >= 10_000:  # of MNIST, as theirs
        known = {names.index(name): error for name, error in PUBLISHED.items() if name in names}
        style: dict[str, Any] = {"facecolors": "none", "edgecolors": VERMILION, "s": 26}
        label = "Makhzani & Frey, 60,000 images"
        ax.scatter(list(known), list(known.values()), label=label, **style)
        ax.legend(frameon=False, fontsize=8)
    ax.set_xticks(range(len(names)), names, rotation=30)
    ax.set(ylabel="test error of logistic regression", ylim=(0, None))
    ax.set_title(f"k-sparse codes, {rows['n'].max():,} images")


def _regulators(ax: Axes, rows: pd.DataFrame) -> None:
    for name, part in rows.groupby("member", sort=False):
        means = part.groupby("n")[["load", "pcc"]].mean()
        colour = _LINES.get(name, "#DDDDDD")
        (line,) = ax.plot(means["load"], means["pcc"], "o-", markersize=4, color=colour)
        if name in _LINES:
            line.set(label=name, zorder=3)
    ax.plot([], [], "o-", markersize=4, color="#DDDDDD", label="other members")
    ax.set(xlabel="load of the decoder (Eq. 3)", ylabel="correlation with the true regulators")
    ax.set(title="masked decoder, Eq. 6", xscale="log", ylim=(None, 1.02))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("{x:g}")
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def _noise(ax: Axes, rows: pd.DataFrame, column: str) -> None:
    """A colour a size: encoders by the noise of their inputs, beside descent and one without targets."""
    images = column == "test_error"
    noisy = rows[rows["member"].str.startswith("noise")]
    noisy = noisy.assign(sd=noisy["member"].str.split().str[1].astype(float))
    others = {"decoder": ("descent", "--"), "encoder-reconstruction": ("by reconstruction", ":")}
    for (n, part), colour in zip(noisy.groupby("n"), SIZES, strict=False):
        mean = part.groupby("sd")[column].mean()
        ax.plot(mean.index, mean, "o-", markersize=4, color=colour, label=f"{n:,}")
        for name, (_, style) in others.items():
            own = rows.loc[(rows["member"] == name) & (rows["n"] == n), column].mean()
            ax.axhline(own, color=colour, linestyle=style, linewidth=1)
    for label, style in others.values():
        ax.plot([], [], color=GREY, linestyle=style, linewidth=1, label=label)
    what = "test error, mean square" if images else "correlation with the true regulators"
    ax.set(xlabel="noise of the encoder's inputs, sd of the data", ylabel=what)
    ax.set(title=f"encoders on a decoder, {'images' if images else 'Eq. 6'}")
    ax.set_ylim(0, None if images else 1.02)
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncols": 6}
    ax.legend(title="images" if images else "cells", frameon=False, fontsize=8, **below)
