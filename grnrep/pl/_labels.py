"""Names beside points, so that they hide neither each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from grnrep.pl._axes import GREY, INK, SMALL, root

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DISTANCES: Final = (5, 11, 18, 27, 38, 52, 70)  # points, tried from near to far
_DIRECTIONS: Final = np.deg2rad(np.arange(0, 360, 30))
_OTHER_LABEL, _OUTSIDE, _POINT = 100.0, 50.0, 3.0  # what it costs to hide one, beside the distance


def label_points(ax: Axes, points: np.ndarray, texts: Sequence[str], *, others: np.ndarray) -> None:
    """Name points, the most important first; each name goes where it hides least.

    Parameters
    ----------
    ax
        Axes, whose limits are final.
    points
        Where the points are, in data, ``(n, 2)``.
    texts
        Their names.
    others
        All points that are drawn, in data, ``(n_all, 2)``.
    """
    from matplotlib.text import Text

    figure = root(ax)
    figure.draw_without_rendering()  # settles the layout, and with it what a point is in pixels
    scale = figure.dpi / 72
    at, drawn = ax.transData.transform(points), ax.transData.transform(others)
    frame, taken = ax.bbox, np.empty((0, 4))
    offsets = np.array(
        [(r * np.cos(a), r * np.sin(a)) for r in _DISTANCES for a in _DIRECTIONS], dtype=np.float64
    )
    far = np.hypot(*offsets.T)
    for point, place, text in zip(points, at, texts, strict=True):
        label = ax.annotate(
            text, tuple(point), xytext=(0, 0), textcoords="offset points",
            ha="center", va="center", fontsize=SMALL, color=INK, zorder=5,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip
        size = Text.get_window_extent(label)  # without the line to the point
        half = np.array([size.width, size.height]) / 2 + 1
        # the box begins at the offset: it is moved by half its size in the same direction
        middle = offsets * scale + np.sign(np.round(offsets, 6)) * half
        boxes = np.column_stack([place + middle - half, place + middle + half])
        cost = far + _OTHER_LABEL * _overlaps(boxes, taken)
        cost += _POINT * _inside(boxes, drawn)
        cost += _OUTSIDE * (
            (boxes[:, 0] < frame.x0) | (boxes[:, 1] < frame.y0)
            | (boxes[:, 2] > frame.x1) | (boxes[:, 3] > frame.y1)
        )  # fmt: skip
        best = int(np.argmin(cost))
        label.set_position(tuple(middle[best] / scale))
        taken = np.vstack([taken, boxes[best]])


def _overlaps(boxes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """How many of the boxes that are taken each box overlaps."""
    a, b = boxes[:, None], taken[None]
    return ((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:])).all(-1).sum(1)


def _inside(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How many points are in each box."""
    a, b = boxes[:, None], points[None]
    return ((a[..., :2] < b) & (b < a[..., 2:])).all(-1).sum(1)
