"""Recovery, regulator by regulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep.pl._axes import BLUE, GREEN, ORANGE, VERMILION, axes, finish

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_COLOURS = (BLUE, ORANGE, GREEN, VERMILION)


def recovery(
    adata: AnnData | Mapping[str, AnnData],
    *,
    key: str = _keys.FIT,
    truth: str = _keys.TRUE_ACTIVITY,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot the signed correlation of learned with true activities, a dot per regulator.

    Regulators are sorted by it. Of several data sets the first decides the order. Regulators that
    a fit lacks come last and have no dot.

    Parameters
    ----------
    adata
        Data with learned and true activities, or up to four of them by name, such as
        ``{"training": adata, "held out": new}``.
    key, truth
        Where the learned and the true activities are in ``obsm``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"recovery.png"`` or ``"recovery.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    ValueError, KeyError, TypeError
        As :func:`grnrep.metrics.recovery`, or if there are no data or more than four.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> len(gr.pl.recovery(adata).collections[0].get_offsets())
    4
    """
    from grnrep.metrics import recovery as recovery_of

    data = adata if isinstance(adata, Mapping) else {"": adata}
    if not 1 <= len(data) <= len(_COLOURS):
        raise ValueError(
            f"adata must be AnnData, or 1 to {len(_COLOURS)} of them by name; found {len(data)}"
        )
    table = pd.DataFrame(
        {name: recovery_of(one, key=key, truth=truth)["pearson"] for name, one in data.items()}
    )
    table = table.sort_values(next(iter(data)), ascending=False, kind="stable")
    rank = np.arange(1, len(table) + 1)
    ax = axes(ax)
    for i, (name, values) in enumerate(table.items()):
        label = f"{name}, median {values.median():.3f}".lstrip(", ")
        ax.scatter(
            rank, values, s=14, color=_COLOURS[i], linewidths=0, label=label, zorder=3 - i / 10
        )
    room = 1 - table.min(axis=None)
    if room > 0:  # neither perfect nor unknown: leave as much again below, for the legend
        ax.set_ylim(max(1 - 2.5 * room, -1.6), 1 + 0.1 * room)
    ax.set(xlabel="regulators, sorted", ylabel="Pearson correlation with the truth")
    ax.legend(frameon=False, loc="lower left", handletextpad=0.1)
    return finish(ax, title=f"Recovery of {len(table)} regulators", show=show, save=save)
