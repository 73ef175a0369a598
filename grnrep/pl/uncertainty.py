"""Activities of cells with their intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grnrep import _keys
from grnrep._checks import obs_column
from grnrep.pl._axes import BLUE, GREY, INK, SMALL, axes, beside, finish
from grnrep.pl._read import INTERVAL, activities_of, unit

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_MOST = 2000  # cells drawn: more are not told apart


def uncertainty(
    adata: AnnData,
    regulator: str,
    *,
    groupby: str | None = None,
    marginal: bool = False,
    key: str = _keys.FIT,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot the activity of a regulator in every cell with its 95 % interval, cells sorted.

    Where intervals of most cells overlap, single cells cannot be told apart, though groups of cells may well be. The
    intervals of a regulator's edges are shown by :func:`grnrep.pl.targets`.

    Parameters
    ----------
    adata
        Data with standard deviations of the activities, as :func:`grnrep.tl.posterior` leaves them.
    regulator
        Which.
    groupby
        Column of ``adata.obs``, whose groups are shown side by side; by default all cells are one.
    marginal
        Whether to show the regression of every cell on this regulator by itself, whose standard errors need no
        posterior; see :func:`grnrep.get.activity`.
    key
        Where the activities are in ``obsm``, and the fit in ``uns``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"uncertainty.png"`` or ``"uncertainty.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    KeyError
        If there are no activities or deviations under ``key``, no such regulator, or no such column.
    ValueError, TypeError
        For marginal activities as :func:`grnrep.get.activity`.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> ax = gr.pl.uncertainty(adata, "TF_001", marginal=True)
    >>> len(ax.lines[-1].get_xdata())
    60
    """
    found = activities_of(adata, regulator, key=key, marginal=marginal)
    data, label = found.data, found.label
    if "std_err" not in data.layers:
        raise KeyError(
            f"key={key!r} has no standard deviations: adata.obsm lacks {key + _keys.SD!r}. Run grnrep.tl.posterior "
            "(or fit with uncertainty=True) first, or use marginal=True"
        )
    value, sd = data.X[:, 0], np.asarray(data.layers["std_err"])[:, 0]
    if marginal:
        value = data.layers["slope"][:, 0]
        label = f"slope by itself ({unit(adata.uns.get(key))})"
    groups = {"": np.arange(adata.n_obs)}
    if groupby is not None:
        column = obs_column(adata, groupby, argument="groupby")
        groups = {str(name): np.flatnonzero(column == name) for name in column.dropna().unique()}
        # the group with the highest activity is the last
        groups = dict(sorted(groups.items(), key=lambda item: float(np.nanmean(value[item[1]]))))
    share = min(1.0, _MOST / max(sum(map(len, groups.values())), 1))
    width = 6.4 if groupby is None else max(6.4, 2.2 + 0.5 * len(groups))
    ax = axes(ax, size=(width, 4.0))
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    begin, middles = 0.0, []
    for place, cells in enumerate(groups.values()):
        cells = cells[np.isfinite(value[cells]) & np.isfinite(sd[cells])]
        cells = cells[np.argsort(value[cells], kind="stable")]
        at = np.linspace(0, len(cells) - 1, max(round(share * len(cells)), 1)).round().astype(int)
        shown = cells[at] if len(cells) else cells
        # groups of any size have the same width; without groups x counts cells
        x = (
            (at[: len(shown)] + 0.5)
            / max(len(cells), 1)
            * (adata.n_obs if groupby is None else 0.85)
        )
        x, half = begin + x, INTERVAL * sd[shown]
        first = place == 0
        ax.fill_between(
            x, value[shown] - half, value[shown] + half, color=BLUE, alpha=0.25, linewidth=0,
            label="95 % interval" if first else None, zorder=1,
        )  # fmt: skip
        ax.plot(
            x,
            value[shown],
            color=BLUE,
            linewidth=1.8,
            label="activity" if first else None,
            zorder=2,
        )
        middles.append(begin + 0.425)
        begin += 1.0
    ax.set(ylabel=label)
    if groupby is None:
        ax.set(xlabel="cells, sorted by activity", xlim=(0, adata.n_obs))
    else:
        names = [f"{name} ({len(cells)})" for name, cells in groups.items()]
        ax.set_xticks(
            middles, names, rotation=35, ha="right", rotation_mode="anchor", fontsize=SMALL + 1
        )
        ax.set(xlabel=f"{groupby} (number of cells), cells sorted within")
        ax.tick_params(axis="x", length=0)
    beside(ax, labelcolor=INK)
    return finish(ax, title=f"{regulator}: activity and its uncertainty", show=show, save=save)
