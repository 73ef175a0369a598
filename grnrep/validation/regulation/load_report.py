"""What the load study found: a figure like Fig. 4 of Schuster & Krogh (2021), and its three claims."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grnrep.pl._axes import BLUE, GREEN, GREY, INK, ORANGE, VERMILION

_STYLE: Final = {
    "decoder": (BLUE, "o", "decoder, learned representations"),
    "encoder": (ORANGE, "s", "encoder on that decoder"),
    "autoencoder": (VERMILION, "^", "autoencoder"),
    "exact": (GREEN, "D", "decoder, exact solver"),
}
_LOADS: Final = {
    "load_unmasked": "decoder load, all n · m weights counted",
    "load": "decoder load (Eq. 3), edges counted",
}
_PCC: Final = 0.99  # what the paper calls for
# difference of two errors, by that of the mean, that is not seen on linear axes
_SIMILAR: Final = 0.01


def load_figure(table: pd.DataFrame) -> Figure:
    """Draw test error and correlation with the truth over the load.

    Parameters
    ----------
    table
        From :func:`load_study`.

    Returns
    -------
    Figure, means and standard deviations over replicates; bars of errors, on a log axis, end at the
    lowest value. In the upper row the load counts all n · m weights, as the paper seems to, in the
    lower one the edges. Dotted: absolute correlation.

    Examples
    --------
    >>> from grnrep.validation import load_figure, load_study
    >>> table = load_study(sizes=[5, 10], replicates=2, models=["exact"], progress=False)
    >>> [ax.get_ylabel() for ax in load_figure(table).axes[:2]]
    ['test mean squared error', 'correlation with true regulators']
    """
    fig = Figure(figsize=(11, 8.5), layout="constrained")
    rows = fig.subplots(len(_LOADS), 2)
    for (column, label), (left, right) in zip(_LOADS.items(), rows, strict=True):
        for model, (colour, marker, name) in _STYLE.items():
            part = table[table["model"] == model].groupby("n")
            if not len(part):
                continue
            line = {"color": colour, "marker": marker, "markersize": 5, "label": name, "capsize": 2}
            for ax, value in ((left, "test_mse"), (right, "pcc")):
                mean, above = part[value].mean(), part[value].std().fillna(0.0)
                below = above if ax is right else np.minimum(above, mean - part[value].min())
                ax.errorbar(part[column].mean(), mean, yerr=[below, above], **line)
            right.plot(
                part[column].mean(), part["abs_pcc"].mean(), color=colour, linestyle=":", zorder=1
            )
        left.set(yscale="log", ylabel="test mean squared error")
        right.set(ylabel="correlation with true regulators", ylim=(None, 1.03))
        right.axhline(_PCC, color=GREY, linewidth=0.8, zorder=0)
        for ax in (left, right):
            ax.set_xlabel(label)
            ax.spines[["top", "right"]].set_visible(False)
        if column == "load_unmasked":
            for ax in (left, right):
                _mark(ax, {1.0: "1", 3.3: "3.3", 9.0: "9"})
    _legend(rows[0][1])
    return fig


def load_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Hold the paper's three claims about Fig. 4 against a load study, for either way to count weights.

    1. The decoder is consistently well determined above a load of 1: here, its correlation with the truth
       is at least 0.99 in every replicate.
    2. An encoder on the trained decoder needs a load of at least 3.3 for a correlation of 0.99: here, the
       mean over replicates reaches it at every load from 3.3 on, but not at the next lower one.
    3. The autoencoder needs a load of about 9 for reconstruction errors like theirs: here, its mean error
       is within 1 % of that of predicting the mean from the encoder's at every load from 9 on,
       but not at the next lower one.

    Parameters
    ----------
    table
        From :func:`load_study`.

    Returns
    -------
    DataFrame with a row for each claim and way to count: ``model``, ``needs``, ``counted`` (``"all n · m"``
    or ``"edges"``), ``paper`` (load), ``load_from`` and ``n_from`` (from which it holds here at all
    larger sizes; NaN if at none) and ``verdict``: confirmed, not confirmed, "confirmed, and from
    less on", or not tested.

    Examples
    --------
    >>> from grnrep.validation import load_claims, load_study
    >>> table = load_study(sizes=[5], replicates=1, models=["exact"], progress=False)
    >>> load_claims(table)["verdict"].unique().tolist()
    ['not tested']
    """
    by = table.groupby(["model", "n"])
    worst, mean = by["pcc"].min() >= _PCC, by["pcc"].mean() >= _PCC
    error = by["test_mse"].mean()
    excess = (
        error.sub(error.xs("encoder"), level="n") if "encoder" in error else error * float("nan")
    )
    share = (excess / by["mean_mse"].mean()).dropna()
    claims = [
        ("decoder", f"correlation ≥ {_PCC} in every replicate", 1.0, worst),
        ("encoder", f"mean correlation ≥ {_PCC}", 3.3, mean),
        ("autoencoder", f"error within {_SIMILAR:.0%} of the encoder's", 9.0, share <= _SIMILAR),
    ]
    rows = []
    for model, needs, paper, holds in claims:
        for column, counted in (("load_unmasked", "all n · m"), ("load", "edges")):
            found = holds.xs(model) if model in holds else pd.Series(dtype=bool)
            loads = table[table["model"] == model].groupby("n")[column].mean()
            row = {"model": model, "needs": needs, "counted": counted, "paper": paper}
            rows.append(row | _judge(found, loads.reindex(found.index), paper))
    return pd.DataFrame(rows)


def _judge(holds: pd.Series, loads: pd.Series, paper: float) -> dict[str, object]:
    """Say from where on something holds, beside the load from which it should."""
    failing = loads[~holds]
    after = loads if failing.empty else loads[loads > failing.max()]
    found = {
        "load_from": float("nan") if after.empty else after.iloc[0],
        "n_from": float("nan") if after.empty else after.index[0],
    }
    above, below = loads[loads >= paper], loads[loads < paper]
    if above.empty:
        verdict = "not tested"
    elif not holds[above.index].all():
        verdict = "not confirmed"
    elif len(below) and holds[below.index[-1]]:
        verdict = "confirmed, and from less on"
    else:
        verdict = "confirmed"
    return found | {"verdict": verdict}


def _mark(ax: Axes, loads: dict[float, str]) -> None:
    """Show loads that the paper names."""
    for load, text in loads.items():
        ax.axvline(load, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        ax.annotate(
            text,
            (load, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, 2),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )


def _legend(ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(handles, labels, frameon=False, loc="lower right", fontsize=9)


def load_grid_figure(table: pd.DataFrame) -> Figure:
    """Draw the test error of every learning rate that was tried.

    Parameters
    ----------
    table
        From :func:`load_grid`.

    Returns
    -------
    Figure, means over data sets; lines of decoders are rates of their representations. Training that
    diverged has no point.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import load_grid_figure
    >>> row = {"model": "encoder", "lr": 1e-4, "lr_representation": float("nan"), "test_mse": 0.1}
    >>> load_grid_figure(pd.DataFrame([row])).axes[1].get_title()
    'encoder on a decoder'
    """
    fig = Figure(figsize=(11, 3.6), layout="constrained")
    titles = {"decoder": "decoder", "encoder": "encoder on a decoder", "autoencoder": "autoencoder"}
    for ax, (model, title) in zip(fig.subplots(1, 3, sharey=True), titles.items(), strict=True):
        part = table[table["model"] == model].fillna({"lr_representation": 0.0})
        lines = part.groupby(["lr_representation", "lr"])["test_mse"].mean().groupby(level=0)
        for (rate, line), colour in zip(lines, (BLUE, ORANGE, VERMILION), strict=False):
            label = f"representations {rate:g}" if rate else None
            ax.plot(
                line.index.get_level_values("lr"),
                line,
                color=colour,
                marker="o",
                markersize=5,
                label=label,
            )
        ax.set(xscale="log", yscale="log", xlabel="learning rate of the weights", title=title)
        ax.spines[["top", "right"]].set_visible(False)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize=9)
    fig.axes[0].set_ylabel("test mean squared error")
    return fig
