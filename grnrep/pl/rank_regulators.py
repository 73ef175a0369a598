"""Regulators whose activity differs the most clearly between groups, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grnrep._checks import check_whole
from grnrep.pl._axes import GREY, HIGHER, INK, LOWER, SMALL, axes, finish
from grnrep.pl._read import SIGNIFICANT, known, ranked

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_COLUMNS = 2  # axes in a row at most, so that a page is wide enough
_LETTERS = 24  # of a title in a line, so that it does not reach into the next axes


def rank_regulators(
    adata: AnnData,
    groups: str | Sequence[str] | None = None,
    *,
    n: int = 10,
    key: str = "rank_regulators",
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes | list[Axes]:
    """Plot the regulators whose activity differs the most clearly between groups.

    Bars are differences of mean activity, in standard deviations of the regulator over all cells, with a standard error
    on either side: their lengths compare regulators, whatever the units of the activities. They are
    sorted by p-value: the first is the clearest, not the largest. Grey ones are not significant at a false discovery
    rate of 5 %.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.rank_regulators` was run.
    groups
        Which to show; by default all. Several get axes each.
    n
        How many regulators of every group.
    key
        Where the table is in ``uns``.
    ax
        Axes to draw one group on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"ranked.png"`` or ``"ranked.pdf"``.

    Returns
    -------
    The axes; of several groups a list of them.

    Raises
    ------
    KeyError
        If there is no such table, or no such group in it.
    ValueError, TypeError
        If ``ax`` is given with several groups, or an argument cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> true = adata.obsm["true_activity"]["TF_001"]
    >>> adata.obs["state"] = np.where(true > true.median(), "ill", "well")
    >>> adata.obs["donor"] = list("abcdef") * 10
    >>> gr.tl.rank_regulators(adata, "state", sample="donor", reference="well")
    >>> ax = gr.pl.rank_regulators(adata, "ill")
    >>> ax.get_yticklabels()[0].get_text(), len(ax.patches)
    ('TF_001', 4)
    """
    check_whole("n", n)
    table, label, caveat = ranked(adata, key=key)
    there = sorted(table["group"].unique())
    names = known(
        there if groups is None else groups, there, argument="groups", what=f"the groups of {key!r}"
    )
    if ax is not None and len(names) > 1:
        raise ValueError(
            f"ax takes one group; name one of {', '.join(map(repr, names))}, or leave ax out"
        )
    every = [ax] if len(names) == 1 else _panels(len(names), n)
    drawn = []
    for one, name in zip(every, names, strict=True):
        one = axes(one, size=(5.2, 1.2 + 0.26 * n))
        _bars(one, table[table["group"] == name].iloc[:n], label)
        one.set_title(fill(name, _LETTERS), loc="left", fontsize=SMALL + 2)
        drawn.append(one)
    _legend(drawn[min(_COLUMNS, len(drawn)) - 1], caveat and f"\n({caveat})")
    finish(drawn[0], show=show, save=save)
    return drawn[0] if len(drawn) == 1 else drawn


def _panels(n_groups: int, n: int) -> list[Axes]:
    """Make axes for every group."""
    import matplotlib.pyplot as plt

    columns = min(n_groups, _COLUMNS)
    rows = -(-n_groups // columns)
    size = (1.6 + 2.6 * columns, rows * (1.1 + 0.2 * n))
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for unused in grid.flat[n_groups:]:
        figure.delaxes(unused)
    return list(grid.flat[:n_groups])


def _bars(ax: Axes, table: pd.DataFrame, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    place = np.arange(len(table))
    colours = np.where(table["effect"] > 0, HIGHER, LOWER)
    colours = np.where(table["fdr"] < SIGNIFICANT, colours, GREY)
    ax.barh(place, table["effect"], color=colours, height=0.7, zorder=2)
    ax.errorbar(
        table["effect"], place, xerr=table["std_err"].fillna(0.0), fmt="none", ecolor=INK,
        elinewidth=1, capsize=2, zorder=3,
    )  # fmt: skip
    ax.axvline(0, color=INK, linewidth=0.8, zorder=4)
    ax.set_yticks(place, table["regulator"], fontsize=SMALL + 1)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.tick_params(axis="x", labelsize=SMALL + 1)
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(len(table) - 0.4, -0.6), xlabel=label.replace(" (", "\n("))
    ax.spines["left"].set_visible(False)


def _legend(ax: Axes, caveat: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=HIGHER, label=f"higher, FDR < {100 * SIGNIFICANT:g} %"),
        Patch(color=LOWER, label=f"lower, FDR < {100 * SIGNIFICANT:g} %"),
        Patch(color=GREY, label="not significant"),
        Line2D([], [], color=INK, linewidth=1, label=f"± standard error{caveat}"),
    ]
    ax.legend(
        handles=handles,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=SMALL + 1,
    )
