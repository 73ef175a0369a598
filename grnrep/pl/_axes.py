"""What all plots share: axes, colours that colour-blind readers can tell apart, and how a plot ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# Okabe & Ito (2008), Color Universal Design
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
INK: Final = "#333333"
GREY: Final = "#B3B3B3"
# what is higher, or activates, and what is lower, or represses
HIGHER: Final = VERMILION
LOWER: Final = BLUE
SMALL: Final = 8  # points: the least that is read at the width of a page

_DPI = 200  # of files, unless matplotlib's settings say otherwise


def density() -> Colormap:
    """Colours from few to many; few is still seen on white."""
    return _colours("density", ["#BBD9EE", "#56B4E9", BLUE, "#002B49"])


def diverging() -> Colormap:
    """Colours from lower to higher; the middle is still seen on white."""
    ends = ["#003A5C", LOWER, "#7FB8DA"], ["#F0A878", HIGHER, "#6B2F00"]
    return _colours("diverging", [*ends[0], "#E8E8E8", *ends[1]])


def _colours(name: str, colours: list[str]) -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, colours)


def axes(ax: Axes | None, *, size: tuple[float, float] | None = None) -> Axes:
    """Return the axes given, or new ones (``size`` in inches); without the two lines that frame nothing."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(layout="constrained", figsize=size)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def root(ax: Axes) -> Figure:
    """Get the whole figure that axes are in, also those of a part of it."""
    return ax.figure.canvas.figure


def finish(ax: Axes, *, title: str | None = None, show: bool, save: str | Path | None) -> Axes:
    """Set the title, write the figure to a file and show it, as asked; return the axes."""
    import matplotlib.pyplot as plt

    if title is not None:
        ax.set_title(title, loc="left")
    if save is not None:
        dpi = _DPI if plt.rcParams["savefig.dpi"] == "figure" else None  # None: as set there
        root(ax).savefig(save, dpi=dpi, bbox_inches="tight")
    if show:
        plt.show()
    return ax


def beside(ax: Axes, **options: object) -> None:
    """Put the legend to the right of the axes, where it hides nothing."""
    ax.legend(
        frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=SMALL + 1, **options
    )


def plain_logarithms(*of: Axis) -> None:
    """Write numbers of logarithmic axes, whose limits are final, plainly, and as many as there is room for."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    for axis in of:
        low, high = axis.get_view_interval()
        if high < 10 * low:  # of powers of ten there is one at most
            axis.set_major_locator(MaxNLocator(6))
            axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axis.set_tick_params(which="both", labelsize=SMALL + 1)


def diagonal(ax: Axes) -> None:
    """Draw the line on which both axes agree, behind the data and without changing the limits."""
    ax.axline((0, 0), slope=1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
