"""Loads of all experiments of the paper on one axis, and what errors do along it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grnrep.core.load import decoder_load, encoder_load
from grnrep.pl._axes import BLUE, GREEN, GREY, INK, ORANGE, VERMILION
from grnrep.validation.images.study import CIFAR, MNIST
from grnrep.validation.regulation.load_models import N_GENES, N_REGULATORS, WORLD

# from which load on the decoder, an encoder on it, and the autoencoder are determined (paper, Section 3.3)
THRESHOLDS: Final = {1.0: "decoder", 3.3: "encoder on it", 9.0: "autoencoder"}


Loads = Callable[[Any], Mapping[str, Any]]  # of decoder and encoder, at numbers of samples


@dataclass(frozen=True)
class _Experiment:
    """Where the rows of an experiment are, its loads, and how many samples a unit of its size is."""

    colour: str
    study: str
    size: str
    loads: Loads
    samples: int = 1


def _masked(n_edges: int) -> Loads:
    """Loads of the study of regulators, its decoder counted with so many weights."""
    n_weights = (N_GENES + 1) * N_REGULATORS  # of the encoder, which has a bias
    return lambda n: {
        "load_decoder": decoder_load(n, N_GENES, n_regulators=N_REGULATORS, n_edges=n_edges),
        "load_encoder": encoder_load(n, N_REGULATORS, n_weights=n_weights),
    }


EXPERIMENTS: Final = {
    "Eq. 6, all weights counted": _Experiment(
        GREEN, "load-study", "n", _masked(N_GENES * N_REGULATORS)
    ),
    "Eq. 6, edges counted": _Experiment(
        INK, "load-study", "n", _masked(round(WORLD["connectivity"] * N_GENES * N_REGULATORS))
    ),
    "MNIST": _Experiment(BLUE, "mnist", "n_train", lambda n: MNIST.loads(n, 28 * 28)),
    "CIFAR-10, 1x1": _Experiment(
        VERMILION, "cifar10", "per_class", lambda n: CIFAR["1x1"].loads(n, 3 * 32 * 32), 10
    ),
    "CIFAR-10, 4x4": _Experiment(
        ORANGE, "cifar10", "per_class", lambda n: CIFAR["4x4"].loads(n, 3 * 32 * 32), 10
    ),
}

_LEAST = 1e-3  # share that is drawn


def loads_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw loads over the number of samples, and how errors fall with the load.

    Parameters
    ----------
    tables
        Rows of :func:`load_study`, :func:`mnist_study` and :func:`cifar10_study` under ``"load-study"``,
        ``"mnist"`` and ``"cifar10"``; those that are there are drawn.

    Returns
    -------
    Figure. Left: loads of decoders (Eq. 3, full) and of encoders (Eq. 4, dashed), with the thresholds that
    the paper names for decoders. Middle and right: how much the autoencoder's test error is above that of
    the decoder alone, as a share of what it is with the fewest samples, over both loads; at the bottom where it
    is a thousandth, or less, or not above.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import loads_figure
    >>> rows = {"n_train": [500, 500], "seed": 0, "model": ["decoder", "autoencoder"], "test_error": [0.09, 0.14]}
    >>> len(loads_figure({"mnist": pd.DataFrame(rows)}).axes)
    3
    """
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    left, *others = figure.subplots(1, 3)
    n = np.logspace(0.5, 5, 100)
    for label, one in EXPERIMENTS.items():
        load = one.loads(n)
        left.plot(n, load["load_decoder"], color=one.colour, label=label)
        left.plot(n, load["load_encoder"], color=one.colour, linestyle="--")
    left.plot([], [], color=GREY, linestyle="--", label="their encoders (Eq. 4)")
    for threshold, what in THRESHOLDS.items():
        left.axhline(threshold, color=GREY, linewidth=0.8, zorder=0)
        left.annotate(what, (n[0], threshold), (0, 2), textcoords="offset points", fontsize=8)
    left.set(xlabel="samples", ylabel="load", ylim=(1e-2, 40), title="constraints per parameter")
    left.set(xscale="log", yscale="log")
    for ax, name in zip(others, ("decoder", "encoder"), strict=True):
        for label, one in EXPERIMENTS.items():
            if one.study in tables:
                table = tables[one.study]
                if "kind" in table:
                    table = table[table["kind"] == label.split()[-1]]
                _fall(ax, one, table, f"load_{name}", label)
        for threshold in THRESHOLDS if name == "decoder" else (1.0,):
            ax.axvline(threshold, color=GREY, linewidth=0.8, zorder=0)
        ax.set(xscale="log", yscale="log", ylim=(0.7 * _LEAST, 1.5), xlabel=f"load of the {name}")
        ax.set(ylabel="excess error, share of the first", title=f"error, by the load of the {name}")
        ax.plot([], [], "s:", color=GREY, markersize=4, label="encoder on the decoder")
    # one for all panels: the first has every experiment, the last what it lacks
    of_left, of_last = (ax.get_legend_handles_labels()[0] for ax in (left, others[-1]))
    handles = [*of_left, of_last[-1]]
    figure.legend(handles=handles, frameon=False, fontsize=8, loc="outside lower center", ncols=7)
    for ax in figure.axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _fall(ax: Axes, one: _Experiment, table: pd.DataFrame, load: str, label: str) -> None:
    """Excess errors of autoencoders, and of encoders on decoders (dotted), over a load."""
    column = "test_error" if "test_error" in table else "test_mse"
    error = table.pivot_table(index=one.size, columns="model", values=column)
    models = {"autoencoder": "o-", "encoder": "s:", "encoder_on_decoder": "s:"}
    for model, style in models.items():
        if {model, "decoder"} <= set(error.columns):
            excess = (error[model] - error["decoder"]).dropna()
            x = one.loads(one.samples * excess.index.to_numpy())[load]
            share = (excess / excess.iloc[0]).clip(lower=_LEAST)
            ax.plot(x, share, style, color=one.colour, markersize=4)
            if model == "autoencoder":
                ax.lines[-1].set_label(label)
