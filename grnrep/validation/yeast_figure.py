"""Figure of the yeast study."""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from grnrep.pl._axes import BLUE, GREY

# what guessing would give
_CHANCE: Final = {"direction": 0.5, "median_percentile": 50, "auroc": 0.5, "auprc": 0.5}


def yeast_figure(table: pd.DataFrame) -> Figure:
    """Draw the figures of the yeast study with their bootstrap intervals, a panel each.

    Parameters
    ----------
    table
        From :func:`yeast_induction`.

    Returns
    -------
    Figure; the grey line is guessing.

    Examples
    --------
    >>> from grnrep.validation import yeast_figure, yeast_induction
    >>> yeast_figure(yeast_induction("data"))  # doctest: +SKIP
    """
    fig = Figure(figsize=(11, 2.8), layout="constrained")
    names = list(table.index.unique(1))
    for ax, name in zip(fig.subplots(1, len(names), sharey=True), names, strict=True):
        part = table.xs(name, level=1)[::-1]
        for y, row in enumerate(part.itertuples()):
            ax.plot([row.low, row.high], [y, y], color=BLUE, linewidth=1.5)
        ax.scatter(part["estimate"], range(len(part)), color=BLUE, s=30, zorder=3)
        ax.set_yticks(range(len(part)), part.index)
        ax.axvline(_CHANCE[name], color=GREY, linewidth=1)
        ax.set_xlabel(name.replace("_", " "))
        ax.spines[["top", "right"]].set_visible(False)
    return fig
