"""What all plots share: axes, and colours that colour-blind readers can tell apart."""

from __future__ import annotations

from typing import Final

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

# Okabe & Ito (2008), Color Universal Design
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
INK: Final = "#333333"
GREY: Final = "#B3B3B3"
# from few to many; few is still seen on white
DENSITY: Final = LinearSegmentedColormap.from_list(
    "density", ["#BBD9EE", "#56B4E9", BLUE, "#002B49"]
)


def axes(ax: Axes | None) -> Axes:
    """Return the axes given, or new ones; without the two lines that frame nothing."""
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def diagonal(ax: Axes) -> None:
    """Draw the line on which both axes agree, behind the data and without changing the limits."""
    ax.axline((0, 0), slope=1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
