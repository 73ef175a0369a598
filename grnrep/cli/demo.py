"""The demonstration: activities and weights learned without a sign, compared with the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from grnrep import ds, metrics, pl, tl
from grnrep.cli import data, files

_DATA, _NEW, _NETWORK, _FIGURE = "training.h5ad", "held_out.h5ad", "network.csv", "recovery.png"


@dataclass(frozen=True, eq=False, kw_only=True)
class Demo:
    """Cells that were fitted, cells that were projected, the true network, and seconds by step."""

    training: AnnData
    held_out: AnnData
    net: pd.DataFrame
    seconds: dict[str, float]


def check_outputs(folder: Path, *, overwrite: bool) -> None:
    """Refuse, before any work, a folder that cannot be made or has such results."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(
            f"{str(folder)!r} exists and is no folder; choose another --output-dir"
        )
    if folder.is_dir():
        for name in (_DATA, _NEW, _NETWORK, _FIGURE):
            files.check_output(folder / name, (Path(name).suffix,), overwrite=overwrite)


def run(n_obs: int, n_held_out: int, *, n_vars: int, n_regulators: int, rng: int) -> Demo:
    """Simulate cells of one network, fit some with all signs hidden, project the others."""
    seconds: dict[str, float] = {}
    with _timed(seconds, "simulate"):
        data, net = ds.simulate(n_obs + n_held_out, n_vars, n_regulators=n_regulators, rng=rng)
        training, held_out = data[:n_obs].copy(), data[n_obs:].copy()
    with _timed(seconds, "fit"):
        tl.fit(training, net[["source", "target"]], rng=rng)
    with _timed(seconds, "project"):
        tl.transform(held_out, training)
    return Demo(training=training, held_out=held_out, net=net, seconds=seconds)


def numbers(demo: Demo) -> dict[str, str]:
    """Name and format what the demonstration found."""
    params = demo.training.uns["grnrep"]["params"]
    train, new = (metrics.recovery(cells)["pearson"] for cells in (demo.training, demo.held_out))
    right, wrong = sign_shares(demo)
    return {
        "cells: fitted + held out": f"{demo.training.n_obs:,} + {demo.held_out.n_obs:,}",
        "genes": f"{demo.training.n_vars:,}",
        "regulators": f"{len(train):,}",
        "edges": f"{len(demo.net):,}",
        "load (constraints per parameter)": f"{params['decoder_load']:.2f}",
        "effective load (without zeros)": f"{params['effective_load']:.2f}",
        "signed PCC with the truth, fitted cells, median": f"{train.median():.4f}",
        "signed PCC with the truth, held-out cells, median": f"{new.median():.4f}",
        "lowest of a regulator, held-out cells": f"{new.min():.4f} ({new.idxmin()})",
        "edges with the right sign": f"{100 * right:.1f} %",
        "edges with the wrong sign": f"{100 * wrong:.1f} %",
        **{f"seconds to {step}": f"{seconds:.2f}" for step, seconds in demo.seconds.items()},
    }


def sign_shares(demo: Demo) -> tuple[float, float]:
    """Shares of edges whose learned sign is right, and wrong; the rest has a weight of 0."""
    both = demo.training.uns["grnrep"]["network"].merge(
        demo.net, on=["source", "target"], how="right"
    )
    agree = np.sign(both["learned"].to_numpy()) * np.sign(both["weight_y"].to_numpy())
    return float((agree > 0).mean()), float((agree < 0).mean())


def figure(demo: Demo) -> Figure:
    """Draw activities, recovery and weights beside the truth, with the numbers below."""
    found = numbers(demo)
    style = {"fontsize": 12, "fontweight": "bold", "loc": "left", "pad": 10}
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.03, rect=(0, 0.05, 1, 0.95))
    fig = Figure(figsize=(14, 5.2), layout=layout)
    left, middle, right = fig.subplots(1, 3)
    pl.activities(demo.held_out, ax=left)
    left.set_title(f"Activities of {demo.held_out.n_obs:,} held-out cells", **style)
    pl.recovery({"held out": demo.held_out, "training": demo.training}, ax=middle)
    middle.set_title(f"Recovery of {found['regulators']} regulators", **style)
    pl.weights(demo.training, demo.net, ax=right)
    right.set_title("Edge weights, no sign given", **style)
    for ax in (left, right):
        ax.set_aspect("equal", adjustable="datalim")
    inset = left.inset_axes([0.62, 0.14, 0.36, 0.26])
    pl.history(demo.training, ax=inset).set_title("", loc="left")
    inset.tick_params(labelsize=8)
    for axis in (inset.xaxis, inset.yaxis):
        axis.label.set_size(8)
    seconds = demo.seconds
    text = (
        f"{found['genes']} genes, {found['regulators']} regulators, {found['edges']} edges, signs hidden. "
        f"{demo.training.n_obs:,} cells fitted in {seconds['fit']:.1f} s; "
        f"{demo.held_out.n_obs:,} held-out cells projected in {seconds['project']:.2f} s."
    )
    fig.text(0.5, 0.02, text, ha="center", fontsize=10, color="#333333")
    return fig


def write(demo: Demo, folder: Path) -> None:
    """Write data, network and figure."""
    folder.mkdir(parents=True, exist_ok=True)
    data.write_data(demo.training, folder / _DATA)
    data.write_data(demo.held_out, folder / _NEW)
    files.write_table(demo.net, folder / _NETWORK)
    files.write_figure(figure(demo), folder / _FIGURE)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start
