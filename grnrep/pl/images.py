"""Images side by side, and the manifold that a decoder of two units spans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grnrep.pl._axes import axes, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 1  # pixels between images
_EDGE = 0.02  # share of the distribution beyond either end of the manifold


def image_grid(
    images: np.ndarray,
    *,
    n_columns: int | None = None,
    row_labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Show images in a grid, row by row.

    Parameters
    ----------
    images
        Values in [0, 1], clipped if beyond, or bytes: ``(n, height, width)``, or ``(n, channels,
        height, width)`` with one or three channels.
    n_columns
        Images in a row; by default as many as make the grid square.
    row_labels
        Names of the rows.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"images.png"`` or ``"images.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError
        If there are no images, or their shape or the number of labels does not fit.

    Examples
    --------
    >>> import grnrep as gr
    >>> ax = gr.pl.image_grid(gr.ds.digits().test[:6], n_columns=3)
    >>> ax.images[0].get_array().shape
    (17, 26)
    """
    images = np.asarray(images)
    images = images[:, None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"images must have shape (n, height, width) or (n, 1 or 3, height, width); found {images.shape}"
        )
    values = images / 255 if images.dtype == np.uint8 else np.clip(images, 0, 1)
    n, channels, height, width = values.shape
    n_columns = int(np.ceil(np.sqrt(n))) if n_columns is None else n_columns
    n_rows = -(-n // n_columns)
    if row_labels is not None and len(row_labels) != n_rows:
        raise ValueError(f"row_labels must name {n_rows} rows; found {len(row_labels)}")
    grid = np.ones((n_rows * (height + _GAP) - _GAP, n_columns * (width + _GAP) - _GAP, channels))
    for place, image in enumerate(values):
        top, left = place // n_columns * (height + _GAP), place % n_columns * (width + _GAP)
        grid[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    ax = axes(ax)
    ax.imshow(
        grid.squeeze(2) if channels == 1 else grid,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    if row_labels is None:
        ax.set_yticks([])
    else:
        ax.set_yticks(np.arange(n_rows) * (height + _GAP) + height / 2, row_labels)
        ax.tick_params(left=False)
    return finish(ax, show=show, save=save)


def manifold(
    decode: Callable[[np.ndarray], np.ndarray],
    *,
    codes: np.ndarray | None = None,
    n: int = 15,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Show what a decoder of two units makes of a grid of codes.

    Steps are equal in probability: of N(0, 1), which the codes of a variational autoencoder follow
    (Kingma & Welling 2014, Fig. 4), or of the codes given.

    Parameters
    ----------
    decode
        From codes ``(n, 2)`` to images, as in :func:`image_grid`.
    codes
        Codes of data, ``(n_samples, 2)``, whose quantiles are the grid; by default N(0, 1).
    n
        Images along each side.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"manifold.png"`` or ``"manifold.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError
        If the codes have not two units.

    Examples
    --------
    Digits that a linear decoder makes, that of their first two principal components:

    >>> import numpy as np
    >>> import grnrep as gr
    >>> digits = gr.ds.digits().train.reshape(-1, 64)
    >>> mean = digits.mean(0)
    >>> components = np.linalg.svd(digits - mean, full_matrices=False)[2][:2]
    >>> codes = (digits - mean) @ components.T
    >>> ax = gr.pl.manifold(
    ...     lambda z: (mean + z @ components).reshape(-1, 8, 8), codes=codes, n=8
    ... )
    >>> ax.images[0].get_array().shape
    (71, 71)
    """
    from scipy.special import ndtri

    shares = np.linspace(_EDGE, 1 - _EDGE, n)
    if codes is None:
        sides = np.tile(ndtri(shares)[:, None], 2)
    else:
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != 2:
            raise ValueError(f"codes must have shape (n_samples, 2); found {codes.shape}")
        sides = np.quantile(codes, shares, axis=0)
    across, up = np.meshgrid(
        sides[:, 0], sides[::-1, 1]
    )  # the first unit grows to the right, the second upwards
    ax = image_grid(decode(np.column_stack([across.ravel(), up.ravel()])), n_columns=n, ax=ax)
    ax.set(xlabel="unit 1", ylabel="unit 2")
    return finish(ax, show=show, save=save)
