"""Tables, comparison and figure of the rows that recovery.py measures."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

REGIME = ["low", "noise", "n"]
TOLERANCE = 0.01  # of PCC, between versions
CLOSEST = 1e-6  # 1 - PCC that the saved digits still resolve
TICKS = (0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
LOADS = (0.5, 1, 2, 5, 10)
LEARNED = {"exact": "tab:blue", "gradient": "tab:orange"}
ALONE = {"oracle": "black", "ulm": "tab:green", "mlm": "tab:purple", "tfa": "tab:red"}
WEIGHTS = {-1.0: "w ~ U(−1, 1)", 0.0: "w ~ U(0, 1)"}


def weights(low: float) -> str:
    return WEIGHTS.get(low, f"w ~ U({low:g}, 1)")


def tables(frame: pd.DataFrame) -> str:
    """Markdown, one table a regime of weights and noise, means over seeds."""
    means = {
        "seeds": ("seed", "nunique"),
        "load": ("load", "mean"),
        "effective": ("effective", "mean"),
        "PCC train": ("train_pcc", "mean"),
        "|PCC| train": ("train_abs", "mean"),
        "PCC held out": ("test_pcc", "mean"),
        "sd": ("test_pcc", "std"),
        "|PCC| held out": ("test_abs", "mean"),
        "worst regulator": ("test_worst", "min"),
        "MSE held out": ("test_mse", "mean"),
        "objective": ("objective", "mean"),
        "iterations": ("iterations", "mean"),
        "seconds": ("seconds", "mean"),
    }
    places = {"load": 2, "effective": 2, "iterations": 0, "seconds": 2, "objective": 3}
    frame = frame.reindex(
        columns=[*frame.columns.union(["test_mse", "objective", "iterations"], sort=False)]
    )
    parts = []
    for (low, noise), group in frame.groupby(["low", "noise"]):
        summary = group.groupby(["method", "n"], sort=False).agg(**means).reset_index()
        escaped = [name.replace("|", r"\|") for name in summary.columns]
        lines = [f"\n{weights(low)}, noise sd {noise:g}\n", "| " + " | ".join(escaped) + " |"]
        lines.append("|---" * summary.shape[1] + "|")
        for row in summary.to_dict("records"):
            cells = [
                ""
                if pd.isna(v)
                else f"{v:.{places.get(k, 4)}f}"
                if isinstance(v, float)
                else str(v)
                for k, v in row.items()
            ]
            lines.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def worse(frame: pd.DataFrame, older: pd.DataFrame) -> str:
    """Compare the exact solver in the runs that both have; list what lost more than the tolerance."""
    parts = [part[part["method"] == "exact"] for part in (frame, older)]
    both = parts[0].merge(parts[1], on=[*REGIME, "seed"], suffixes=("", "_old"))
    if both.empty:
        raise SystemExit(
            "the two files have no run of the exact solver in common: nothing to compare"
        )
    mean = both.groupby(REGIME)[["train_pcc", "train_pcc_old", "test_pcc", "test_pcc_old"]].mean()
    lost = pd.concat(
        [mean[f"{part}_pcc_old"] - mean[f"{part}_pcc"] for part in ("train", "test")], axis=1
    )
    bad = mean[(lost > TOLERANCE).any(axis=1)]
    head = f"{len(mean)} regimes, {len(both)} of {len(parts[1])} older runs"
    if bad.empty:
        return f"no regime of exact lost more than {TOLERANCE} of PCC; {head}"
    return (
        f"worse: exact lost more than {TOLERANCE} of PCC in {len(bad)} of {head}\n{bad.to_string()}"
    )


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Held-out PCC over load: a row of panels per weights, a column per noise; below, exact alone."""
    lows, noises = sorted(frame["low"].unique()), sorted(frame["noise"].unique())
    columns = max(2, len(noises))
    figure, axes = plt.subplots(
        len(lows) + 1,
        columns,
        figsize=(5 * columns, 3.6 * (len(lows) + 1)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for row, low in zip(axes, lows, strict=False):
        for axis, noise in zip(row, noises, strict=False):
            methods(axis, frame[(frame["low"] == low) & (frame["noise"] == noise)])
            axis.set_title(f"{weights(low)}, noise sd {noise:g}")
    exact = frame[frame["method"] == "exact"]
    for axis, x in zip(axes[-1], ("load", "effective"), strict=False):
        for colour, low in zip(("tab:blue", "tab:cyan"), lows, strict=False):
            for style, noise in zip(("-", "--"), noises, strict=False):
                part = exact[(exact["low"] == low) & (exact["noise"] == noise)]
                curve(
                    axis,
                    part,
                    x,
                    color=colour,
                    linestyle=style,
                    label=f"{weights(low)}, noise {noise:g}",
                )
        name = {"load": "decoder load", "effective": "effective load"}[x]
        decorate(axis, name)
        mark(axis, 1, f"{name} 1")
        axis.set_title(f"exact, over {name}")
    axes[-1, 0].legend(fontsize=8, loc="lower right")
    for axis in axes.flat:
        axis.set_visible(axis.has_data())
    for row in axes:
        row[0].set_ylabel("held-out PCC, mean of regulators")
    handles = {}
    for axis in axes[:-1].flat:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    # without signs last: with all methods there, these are the third of three columns
    labels = sorted(handles, key=lambda label: label.endswith("no signs"))
    figure.legend(
        [handles[k] for k in labels], labels, loc="outside upper center", ncols=3, fontsize=9
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def methods(axis: Axes, part: pd.DataFrame) -> None:
    """Curves of what learns from many cells, and levels of what treats every cell alone."""
    for method, rows in part.groupby("method", sort=False):
        if method in LEARNED:
            curve(axis, rows, "load", color=LEARNED[method], label=method)
        else:
            name, _, signs = method.partition(", ")
            y = max(1 - rows["test_pcc"].mean(), CLOSEST)
            style = ":" if signs == "no signs" else "--" if name == "oracle" else "-"
            axis.axhline(y, color=ALONE[name], linestyle=style, linewidth=1.2, label=method)
    decorate(axis, "decoder load")
    mark(axis, 1, "decoder load 1")
    at = (part["load"] / part["effective"]).mean()
    if at > 1.05:
        mark(axis, at, "effective load 1")


def curve(axis: Axes, rows: pd.DataFrame, x: str, **style: str) -> None:
    """Mean over seeds as a line, smallest to largest as a band."""
    groups = rows.assign(y=np.maximum(1 - rows["test_pcc"], CLOSEST)).groupby("n")
    at, y = groups[x].mean(), groups["y"]
    axis.plot(at, y.mean(), marker="o", markersize=3, **style)
    axis.fill_between(at, y.min(), y.max(), color=style["color"], alpha=0.2, linewidth=0)


def decorate(axis: Axes, xlabel: str) -> None:
    """Log axes: load, and PCC by its distance from 1."""
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_ylim(1.3, 0.7 * CLOSEST)
    axis.set_yticks(
        [*(1 - t for t in TICKS), CLOSEST], [*(f"{t:g}" for t in TICKS), f"≥ {1 - CLOSEST:g}"]
    )
    axis.set_xticks(LOADS, [f"{t:g}" for t in LOADS])
    axis.set_xlim(0.45 if xlabel.startswith("effective") else 0.9, 11)
    axis.minorticks_off()
    axis.set_xlabel(xlabel)
    axis.grid(alpha=0.25)


def mark(axis: Axes, load: float, text: str) -> None:
    """Vertical line at a load, with its name."""
    axis.axvline(load, color="grey", linestyle=":", linewidth=1)
    axis.text(
        load * 0.98,
        1.5 * CLOSEST,
        text,
        rotation=90,
        ha="right",
        va="top",
        fontsize=7,
        color="grey",
    )
