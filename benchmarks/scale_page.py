"""Write the page about time and memory from its rows: docs/results/scale.md, with its figure.

    python benchmarks/scale_page.py

Rows are those of scale.py, in benchmarks/results/scale.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _pages import DOCS, lines, write
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scale import OURS, PEERS, SETTING

from grnrep.pl._axes import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, axes, plain_logarithms

METHODS = (*OURS, *PEERS)
READ = ("read", "read, cached")
NAMES = {"kept": "grnrep, kept decoder", "vae": "masked VAE"}
SKY = "#56B4E9"  # of Okabe & Ito's colours too
STYLES = {
    "grnrep": (BLUE, "o"),
    "kept": (SKY, "P"),
    "ulm": (ORANGE, "s"),
    "mlm": (GREEN, "^"),
    "viper": (VERMILION, "D"),
    "vae": (INK, "v"),
}
# whose activities of a cell are the same whatever others there are
CELL_BY_CELL = ("ulm", "mlm", "viper")
# genes, regulators and edges of the blood cells with CollecTRI, all else simulated
BLOOD = SETTING | {"genes": 765, "regulators": 162, "edges": 2212}
MANY = 10_000  # cells from which on grnrep is to be no slower than ulm
WAYS = {"grnrep": "a fit", "kept": "a kept decoder"}
HEAD = ["cells", "method", "wall", "CPU", "peak memory", "correlation", "wall / ulm"]


def read(path: Path, setting: dict[str, int]) -> pd.DataFrame:
    """Rows of a setting, with the time of ulm at as many cells, in order."""
    rows = pd.DataFrame(json.loads(path.read_text()))
    asked = (rows["part"] == "scale") & rows["method"].isin([*READ, *METHODS])
    asked &= rows["max_cells"].isna() | (rows["max_cells"] == "auto")
    asked &= (rows[list(setting)] == pd.Series(setting)).all(axis=1)
    rows = rows[asked & rows["seconds"].notna()]
    provisional = rows.get("provisional", pd.Series(np.nan, rows.index)).notna()
    rows = rows.assign(provisional=provisional, estimated=rows["how"] != "measured")
    ulm = rows.loc[rows["method"] == "ulm", ["use", "cells", "seconds"]]
    rows = rows.merge(ulm.rename(columns={"seconds": "ulm"}), on=["use", "cells"], how="left")
    rows["method"] = pd.Categorical(rows["method"], [*READ, *METHODS], ordered=True)
    return rows.sort_values(["cells", "method"], ignore_index=True)


def table(rows: pd.DataFrame, use: str) -> str:
    """All sizes and methods of a use."""
    rows = rows[(rows["use"] == use) & rows["method"].isin(METHODS)]
    if rows.empty:
        return "Not measured yet."
    of_cells = rows[rows["method"].isin(CELL_BY_CELL)].dropna(subset="pcc")
    known = of_cells.groupby("method", observed=True)["pcc"].last()
    written, last = [], None
    for row in rows.itertuples():
        mark = "†" * row.estimated + "\\*" * row.provisional
        pcc = f"{row.pcc:.3f}".removeprefix("0") if pd.notna(row.pcc) else ""
        if not pcc and row.method in known:
            pcc = f"({known[row.method]:.3f})".replace("(0", "(")
        ratio = row.seconds / row.ulm
        written.append(
            [
                f"{row.cells:,}" if row.cells != last else "",
                NAMES.get(row.method, row.method) + mark,
                seconds(row.seconds),
                seconds(row.cpu_seconds),
                f"{short(row.peak_mb / 1000)} GB",
                pcc,
                "" if np.isnan(ratio) or row.method == "ulm" else short(ratio),
            ]
        )
        last = row.cells
    return lines(written, HEAD)


def reading(rows: pd.DataFrame) -> str:
    """What a pass over the file takes alone."""
    rows = rows[rows["method"].isin(READ)]
    times = rows.pivot(index="cells", columns="method", values="seconds")[list(READ)]
    memory = rows.groupby("cells")["peak_mb"].max() / 1000
    return lines(
        [[f"{n:,}", *map(seconds, times.loc[n]), f"{short(memory[n])} GB"] for n in times.index],
        ["cells", "from disk", "from memory", "peak memory"],
    )


def short(value: float) -> str:
    """Hundredths where there is one digit before them, none where there are two."""
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def seconds(value: float) -> str:
    """Hundredths below a second, tenths below 100."""
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def verdict(rows: pd.DataFrame) -> str:
    """Where ulm takes less time, with many cells and with few."""
    pairs = rows[rows["use"].isin(["second", "first"])].dropna(subset="ulm")
    many = pairs["cells"] >= MANY
    parts = {f"From {MANY:,} cells on": pairs[many], "With fewer cells": pairs[~many]}
    return " ".join(
        f"{where} ulm takes less time {_than(part)}." for where, part in parts.items() if len(part)
    )


def _than(pairs: pd.DataFrame) -> str:
    """In how many pairs ulm takes less time than grnrep, in which, and how much."""
    told = []
    for method, name in WAYS.items():
        ours = pairs[pairs["method"] == method]
        slower = [
            f"{row.cells:,} cells, {row.use} use, by {seconds(row.seconds - row.ulm)}"
            for row in ours[ours["seconds"] > ours["ulm"]].itertuples()
        ]
        which = f" ({'; '.join(slower)})" if slower else ""
        told.append(f"than {name} in {len(slower) or 'none'} of {len(ours)} pairs{which}")
    return ", and ".join(told)


def figure(rows: pd.DataFrame) -> Figure:
    """Wall time and memory over cells."""
    fig, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for method in reversed(METHODS):
        part = rows[rows["method"] == method]
        second, first = (part[part["use"] == use] for use in ("second", "first"))
        _line(panels[0], second, method, lambda part: part["seconds"], "-")
        _line(panels[0], first, method, lambda part: part["seconds"], ":")
        _line(panels[1], second, method, lambda part: part["peak_mb"] / 1000, "-")
    for ax, label in zip(panels, ("wall time (s)", "peak memory (GB)"), strict=True):
        axes(ax).set(xscale="log", yscale="log", xlabel="cells", ylabel=label)
        ax.xaxis.set_major_formatter("{x:,.0f}")
        plain_logarithms(ax.yaxis)
        ax.grid(color="#EEEEEE", zorder=0)
    entries = [
        Line2D([], [], color=colour, marker=marker, markersize=5, label=NAMES.get(method, method))
        for method, (colour, marker) in STYLES.items()
    ]
    style = {"color": GREY, "markersize": 5}
    entries += [
        Line2D([], [], linestyle="-", **style, label="second use"),
        Line2D([], [], linestyle=":", **style, label="first use"),
        Line2D([], [], linestyle="", marker="o", **style, label="measured"),
        Line2D([], [], linestyle="", marker="o", mfc="white", **style, label="extrapolated"),
    ]
    fig.legend(handles=entries, loc="outside right center", frameon=False, fontsize=9)
    return fig


def _line(
    ax: Axes, rows: pd.DataFrame, method: str, y: Callable[[pd.DataFrame], pd.Series], style: str
) -> None:
    """One method: a line, filled markers where it was measured, open ones where it was not."""
    colour, marker = STYLES[method]
    ax.plot(rows["cells"], y(rows), style, color=colour, linewidth=1.5)
    for estimated, face in ((False, colour), (True, "white")):
        part = rows[rows["estimated"] == estimated]
        ax.scatter(
            part["cells"], y(part), s=26, marker=marker, color=colour, facecolors=face, zorder=3
        )


def main() -> None:
    path = Path(__file__).parent / "results" / "scale.json"
    rows, blood = read(path, SETTING), read(path, BLOOD)
    other = read(path.with_name("scale_intel.json"), SETTING)
    figure(rows).savefig(DOCS / "scale.png", dpi=110)
    page = Path(__file__).with_suffix(".md").read_text()
    tables = {use: table(rows, use) for use in ("second", "first", "new")}
    for name, part in (("blood", blood), ("other", other)):
        tables |= {f"{name}_{use}": table(part, use) for use in ("second", "first")}
    note = ""
    if rows["provisional"].any() or blood["provisional"].any():
        note = " Rows with \\* were measured beside other programs, or with an older version."
    told = {"verdict": verdict(rows), "verdict_other": verdict(other)}
    write("scale", page.format(**told, note=note, reading=reading(rows), **tables))


if __name__ == "__main__":
    main()
