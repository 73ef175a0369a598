"""Which regulators of a network can be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from grnrep._checks import check_whole
from grnrep.pl._axes import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SMALL,
    VERMILION,
    axes,
    beside,
    finish,
    plain_logarithms,
)
from grnrep.pl._labels import label_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grnrep.pp import NetworkReport

_APART: Final = "told apart"
_MIXED: Final = "may contain others"
_SAME: Final = "same targets as another"
# colour, marker, size; the last is drawn on top
_STYLE: Final = {
    _APART: (BLUE, "o", 16),
    _MIXED: (ORANGE, "s", 26),
    _SAME: (VERMILION, "^", 34),
}


def check_network(
    report: NetworkReport,
    *,
    n: int = 12,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot which regulators a network can tell apart, and how well the data determine them.

    A point per regulator: the number of its targets among the genes, and its load, constraints per parameter; below 1
    the data determine it only with the help of priors. Colour and shape say whether the network alone determines its
    activity up to scale. Regulators with the same targets share a point, and are named together.

    Parameters
    ----------
    report
        From :func:`grnrep.pp.check_network`.
    n
        How many points to name of regulators that cannot be told apart, those with the most targets first.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"network.png"`` or ``"network.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    TypeError
        If ``report`` is something else.
    ValueError
        If no regulator is kept.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> ax = gr.pl.check_network(gr.pp.check_network(adata, net))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['told apart: 4']
    """
    from grnrep.pp import NetworkReport

    if not isinstance(report, NetworkReport):
        raise TypeError(
            "report must be what grnrep.pp.check_network(adata, net) returns; found "
            f"{type(report).__name__}"
        )
    check_whole("n", n, least=0)
    table = report.regulators[report.regulators["kept"]]
    if table.empty:
        raise ValueError("report must have a regulator with targets among the genes; found none")
    kind = _kinds(table)
    x, y = table["n_targets_found"].to_numpy(float), table["load"].to_numpy(float)
    ax = axes(ax)
    for name, (colour, marker, size) in _STYLE.items():
        chosen = (kind == name).to_numpy()
        if chosen.any():
            ax.scatter(
                x[chosen], y[chosen], s=size, color=colour, marker=marker, linewidths=0, alpha=0.85,
                label=f"{name}: {chosen.sum()}", zorder=3,
            )  # fmt: skip
    ax.set(
        xscale="log", yscale="log", xlabel="targets among the genes",
        ylabel="load (constraints per parameter)",
    )  # fmt: skip
    low, high = ax.get_ylim()
    if low < 1:
        ax.axhspan(low, min(1, high), color=GREY, alpha=0.25, linewidth=0, zorder=0)
        text = f"load below 1: {int((y < 1).sum())} regulators"
        ax.annotate(
            text, (1, 0), xycoords="axes fraction", xytext=(-4, 4), textcoords="offset points",
            ha="right", va="bottom", fontsize=SMALL + 1, color=INK,
        )  # fmt: skip
    ax.set_ylim(low, high)
    plain_logarithms(ax.xaxis, ax.yaxis)
    beside(ax, handletextpad=0.2)
    identified = f"{int((kind == _APART).sum())} of {len(table)} regulators can be told apart"
    finish(ax, title=identified, show=False, save=None)
    named = _named(table, kind)[:n]
    points = np.array([[p[0], p[1]] for p in named]).reshape(-1, 2)
    label_points(ax, points, [p[2] for p in named], others=np.column_stack([x, y]))
    return finish(ax, show=show, save=save)


def _kinds(table: pd.DataFrame) -> pd.Series:
    kind = np.where(table["activity_identified"], _APART, _MIXED)
    return pd.Series(np.where(table["group"] >= 0, _SAME, kind), index=table.index)


def _named(table: pd.DataFrame, kind: pd.Series) -> list[tuple[float, float, str]]:
    """Points of regulators that are not told apart, with their names; groups share one."""
    table = table[kind != _APART].sort_values("n_targets_found", ascending=False, kind="stable")
    # regulators outside groups are each on their own
    own = pd.Series(-1 - np.arange(len(table)), index=table.index)
    together = table["group"].where(table["group"] >= 0, own)
    points = []
    for _, part in table.groupby(together, sort=False):
        names = list(part.index[:3])
        more = f" +{len(part) - 3}" if len(part) > 3 else ""
        first = part.iloc[0]
        points.append((first["n_targets_found"], first["load"], " = ".join(names) + more))
    return points
