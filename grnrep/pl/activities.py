"""Learned activities against the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grnrep import _keys
from grnrep._checks import activities as table_of
from grnrep._checks import check_adata, some
from grnrep.pl._axes import axes, density, diagonal, finish

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


def activities(
    adata: AnnData,
    *,
    regulators: Sequence[str] | None = None,
    key: str = _keys.FIT,
    truth: str = _keys.TRUE_ACTIVITY,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot learned against true activities: how many (cell, regulator) pairs fall on every hexagon.

    Both are standardised regulator by regulator, since the scale of an activity is a
    convention: mean 0, variance 1. Signs are as learned; a wrong one falls off the diagonal.

    Parameters
    ----------
    adata
        Data with both, such as :func:`grnrep.ds.simulate` makes and :func:`grnrep.tl.fit` completes.
    regulators
        Which to show; by default all that both have. One without variance is left out.
    key, truth
        Where the learned and the true activities are in ``obsm``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"activities.png"`` or ``"activities.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError, KeyError, TypeError
        If there are no activities under ``key`` or ``truth``, or they lack a regulator.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> int(gr.pl.activities(adata, regulators=["TF_001"]).collections[0].get_array().sum())
    60
    """
    check_adata(adata)
    learned, true = table_of(adata, key), table_of(adata, truth, argument="truth")
    both = true.columns[true.columns.isin(learned.columns)]
    chosen = both if regulators is None else list(regulators)
    unknown = [name for name in chosen if name not in both]
    if unknown or len(chosen) == 0:
        raise ValueError(
            f"regulators must be in obsm[{key!r}] and obsm[{truth!r}]; found {some(unknown)}, in both are "
            f"{some(both, 10)}"
        )
    x, y = (_standardise(table[chosen].to_numpy(dtype=np.float64)) for table in (true, learned))
    shown = np.isfinite(x) & np.isfinite(y)
    ax = axes(ax)
    hexagons = ax.hexbin(
        x[shown],
        y[shown],
        gridsize=55,
        bins="log",
        mincnt=1,
        cmap=density(),
        linewidths=0.2,
        zorder=2,
    )
    bar = ax.figure.colorbar(hexagons, ax=ax, pad=0.01, fraction=0.04)
    bar.set_label("pairs of cell and regulator")
    bar.outline.set_visible(False)
    diagonal(ax)
    ax.set(xlabel="true activity (standardised)", ylabel="learned activity (standardised)")
    return finish(ax, title="Activities beside the truth", show=show, save=save)


def _standardise(values: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1; NaN where nothing varies."""
    spread = np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), np.nan)
    return (values - values.mean(axis=0)) / spread
