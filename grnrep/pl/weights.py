"""Learned edge weights against the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._checks import check_adata, record, some
from grnrep.pl._axes import BLUE, INK, VERMILION, axes, diagonal, finish

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

# product of both signs: what it means, and its colour
_GROUPS = {1: ("sign right", BLUE), -1: ("sign wrong", VERMILION), 0: ("weight 0", INK)}


def weights(
    adata: AnnData,
    net: pd.DataFrame,
    *,
    key: str = _keys.FIT,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot learned against true edge weights, one point per edge that both have.

    On both axes the weights of every regulator are scaled to root mean square 1, since
    their scale is a convention. Colours tell edges whose sign is right, wrong, or that have a
    weight of exactly 0, such as those of a gene that no cell expresses.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` was run.
    net
        True network with columns ``source``, ``target`` and ``weight``.
    key
        Where the fit is in ``uns``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"weights.png"`` or ``"weights.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError, KeyError, TypeError
        If there is no fit under ``key``, or no edge in common with a weight in ``net``.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> gr.pl.weights(adata, net).get_xlabel()
    'true weight (RMS 1 per regulator)'
    """
    from grnrep._match import check_net

    check_adata(adata, min_obs=0)
    edges = record(adata, key)[_keys.NETWORK]
    ends = [_keys.SOURCE, _keys.TARGET]
    both = edges[[*ends, _keys.LEARNED]].merge(
        check_net(net).dropna(subset=[_keys.WEIGHT]), on=ends
    )
    if len(both) == 0:
        raise ValueError(
            "net must have a weight for some edge of the fit; found none in common. First regulators of the "
            f"fit: {some(edges[_keys.SOURCE].unique())}, columns of net: {some(net.columns, 10)}"
        )
    true, learned = (
        _scale(both[column], both[_keys.SOURCE]) for column in (_keys.WEIGHT, _keys.LEARNED)
    )
    agree = np.sign(true) * np.sign(learned)
    ax = axes(ax)
    for sign, (text, colour) in _GROUPS.items():
        chosen = agree == sign
        if chosen.any():
            label = f"{text}: {100 * chosen.mean():.1f} %"
            ax.scatter(
                true[chosen], learned[chosen], s=5, color=colour, label=label, alpha=0.35,
                linewidths=0, rasterized=True, zorder=2,
            )  # fmt: skip
    diagonal(ax)
    ax.set(
        xlabel="true weight (RMS 1 per regulator)", ylabel="learned weight (RMS 1 per regulator)"
    )
    legend = ax.legend(frameon=False, loc="upper left", handletextpad=0.1, markerscale=2.5)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    return finish(ax, title="Edge weights beside the truth", show=show, save=save)


def _scale(weight: pd.Series, source: pd.Series) -> pd.Series:
    """Weights over their root mean square by regulator; zeros stay zero."""
    size = (weight**2).groupby(source).transform("mean") ** 0.5
    return weight / size.where(size > 0, 1.0)
