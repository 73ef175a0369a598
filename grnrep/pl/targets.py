"""The targets of a regulator: sign, weight, how sure it is, and what became of the edge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._checks import check_whole
from grnrep.pl._axes import GREY, HIGHER, INK, LOWER, SMALL, axes, beside, finish
from grnrep.pl._read import INTERVAL

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# what is known of an edge -> marker, and whether it is filled
_KINDS = {
    "sign as in the prior": ("o", True),
    "against the prior sign": ("o", False),
    "no prior sign": ("D", True),
    "added by the repair": ("P", True),
    "dropped by the repair": ("X", True),
}


def targets(
    adata: AnnData,
    regulator: str,
    *,
    n: int = 25,
    key: str = _keys.FIT,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot what a regulator does to its targets.

    A line per edge ends at its learned weight: vermilion to the right where the regulator activates, blue to the
    left where it represses. The marker says how the sign compares with that of the network, and whether a repair
    added or dropped the edge. Thin lines are 95 % intervals, where standard errors are known
    (:func:`grnrep.tl.posterior`), or, less wide than these, 1.96 of the deviations of a fit that learned its noise.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` was run.
    regulator
        Which.
    n
        How many targets to show: those with the largest weights.
    key
        Where the fit is in ``uns``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"targets.png"`` or ``"targets.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    KeyError
        If there is no fit under ``key``, or no such regulator in it.
    ValueError, TypeError
        If an argument cannot be used.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> gr.pl.targets(adata, "TF_002", n=12).get_title(loc="left")
    'TF_002: 12 of 16 targets'
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    from grnrep.get import network

    check_whole("n", n)
    table = network(adata, regulator, key=key)
    # dropped edges of a gene that is never seen have no weight
    table = table[table[_keys.LEARNED].notna()]
    n_all = len(table)
    table = table.iloc[:n].sort_values("learned", ascending=False, kind="stable")
    by_posterior = "std_err" in table
    sd = (
        table["std_err"] if by_posterior else table.get(_keys.LEARNED_SD, table["learned"] * np.nan)
    )
    place, weight = np.arange(len(table)), table["learned"].to_numpy()
    colours = np.where(weight >= 0, HIGHER, LOWER)
    ax = axes(ax, size=(6.4, 1.3 + 0.22 * len(table)))
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.hlines(place, 0, weight, colors=list(colours), linewidth=2, zorder=2)
    kind = _kinds(table)
    for name, (marker, filled) in _KINDS.items():
        chosen = (kind == name).to_numpy()
        if chosen.any():
            faces = colours[chosen] if filled else "white"
            ax.scatter(
                weight[chosen], place[chosen], s=42, marker=marker, facecolors=faces,
                edgecolors=colours[chosen], linewidths=1.5, zorder=4,
            )  # fmt: skip
    doubt = np.isfinite(sd.to_numpy())
    if doubt.any():
        ax.errorbar(
            weight[doubt], place[doubt], xerr=INTERVAL * sd.to_numpy()[doubt], fmt="none",
            ecolor=INK, elinewidth=0.9, capsize=2, zorder=3,
        )  # fmt: skip
    ax.set_yticks(place, table["target"], fontsize=SMALL + 1)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set(ylim=(len(table) - 0.4, -0.6), xlabel="learned weight (expression per unit of activity)")
    handles = [
        Line2D([], [], color=HIGHER, linewidth=2, label="activates"),
        Line2D([], [], color=LOWER, linewidth=2, label="represses"),
        *(_handle(name) for name in _KINDS if (kind == name).any()),
    ]
    if doubt.any():
        label = "95 % interval" if by_posterior else "± 1.96 deviations\nof the fit"
        handles.append(Line2D([], [], color=INK, linewidth=0.9, label=label))
    beside(ax, handles=handles)
    shown = f"{len(table)} of {n_all}" if len(table) < n_all else f"all {n_all}"
    return finish(ax, title=f"{regulator}: {shown} targets", show=show, save=save)


def _kinds(table: pd.DataFrame) -> pd.Series:
    """What is known of every edge, in the words of the legend."""
    agree = np.sign(table["weight"].fillna(0.0)) * np.sign(table["learned"])
    kind = pd.Series(
        np.select([agree > 0, agree < 0], list(_KINDS)[:2], "no prior sign"), index=table.index
    )
    for status in ("added", "dropped"):
        kind = kind.mask(table["status"] == status, f"{status} by the repair")
    return kind


def _handle(name: str) -> Line2D:
    from matplotlib.lines import Line2D

    marker, filled = _KINDS[name]
    face = GREY if filled else "white"
    return Line2D(
        [], [], linestyle="none", marker=marker, markersize=6.5, markerfacecolor=face,
        markeredgecolor=INK if not filled else GREY, markeredgewidth=1.5, label=name,
    )  # fmt: skip
