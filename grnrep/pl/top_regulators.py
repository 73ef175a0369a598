"""The clearest regulators of every group of cells, as a matrix or as dots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._checks import check_adata, check_choice, check_whole, obs_column, some
from grnrep.pl._axes import diverging, finish
from grnrep.pl._read import CellActivities, activities_of, ranked

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_WITHIN = 98  # per cent of the means between the ends of the colours,
_FAR = 1.5  # unless the largest is less than so many times as far from 0


def top_regulators(
    adata: AnnData,
    groupby: str,
    *,
    regulators: Sequence[str] | None = None,
    n: int = 3,
    kind: str = "matrix",
    marginal: bool = False,
    rank_key: str = "rank_regulators",
    key: str = _keys.FIT,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot mean activities of regulators in groups of cells.

    :class:`scanpy.pl.MatrixPlot`, or :class:`scanpy.pl.DotPlot`, on :func:`grnrep.get.activity`. Every regulator is
    standardised over all cells (mean 0, variance 1), so that regulators can be compared too, whatever the units
    of the activities. Colours end where 98 % of the means do, if the others are far beyond: the bar then has tips.

    Parameters
    ----------
    adata
        Data with activities.
    groupby
        Column of ``adata.obs`` with the groups.
    regulators
        Which to show. By default the ``n`` of every group whose activity is higher there with the smallest p-values of
        :func:`grnrep.tl.rank_regulators`, in the order of the groups; each is shown once, for the group where it is
        clearest.
    n
        How many of every group.
    kind
        ``"matrix"``: squares of colour. ``"dots"``: their size is the share of cells in the group whose activity is
        above the mean of all cells.
    marginal
        Whether to show the scores of every regulator by itself; see :func:`grnrep.get.activity`.
    rank_key
        Where the table of :func:`grnrep.tl.rank_regulators` is in ``uns``.
    key
        Where the activities are in ``obsm``, and the fit in ``uns``.
    ax
        Axes whose place the plot and its legends share; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"top.png"`` or ``"top.pdf"``.

    Returns
    -------
    The axes of the matrix or of the dots.

    Raises
    ------
    KeyError
        If there are no activities, groups, ranks or regulators of these names.
    ValueError, TypeError
        If no group has a regulator with a higher activity, or an argument cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> true = adata.obsm["true_activity"].iloc[:, :3].to_numpy()
    >>> adata.obs["type"] = np.array(["B", "NK", "T"])[true.argmax(1)]
    >>> gr.tl.rank_regulators(adata, "type")
    >>> ax = gr.pl.top_regulators(adata, "type", n=1)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['TF_001', 'TF_002', 'TF_003']
    """
    check_adata(adata)
    check_choice("kind", kind, ("matrix", "dots"))
    check_whole("n", n)
    group = _groups(obs_column(adata, groupby, argument="groupby"))
    if len(group) == 0:
        raise ValueError(f"adata.obs[{groupby!r}] must have at least one group; found none")
    if regulators is None:
        table = ranked(adata, key=rank_key).table
        order = list(group.cat.categories)
        regulators = _top(table, order, n, groupby=groupby, rank_key=rank_key)
    found = activities_of(adata, regulators, key=key, marginal=marginal)
    main = draw_regulators(found, groupby, kind=kind, ax=ax)
    return finish(main, title=f"Regulators by {groupby}", show=show, save=save)


def draw_regulators(
    found: CellActivities, groupby: str, *, kind: str = "matrix", ax: Axes | None = None
) -> Axes:
    """Draw activities that are at hand, without a title; the rest is as in :func:`top_regulators`."""
    import scanpy as sc

    column = found.data.obs[groupby]
    group = _groups(column)
    data = found.data[column.notna().to_numpy()].copy()  # not by name: two cells may have one
    data.obs[groupby] = group
    spread = np.nanstd(data.X, axis=0)
    data.X = (data.X - np.nanmean(data.X, axis=0)) / np.where(spread > 0, spread, 1.0)
    means = pd.DataFrame(data.X).groupby(group.to_numpy(), observed=True).mean()
    reach, colours = _colours(means.to_numpy())
    shown = list(data.var_names)
    common = {"groupby": groupby, "ax": ax, "vmin": -reach, "vmax": reach}
    label = "mean activity\n(sd of all cells)"
    if kind == "matrix":
        plot = sc.pl.MatrixPlot(data, shown, **common)
        plot.style(cmap=colours, edge_lw=0.3).legend(title=label, width=1.7)
    else:
        plot = sc.pl.DotPlot(data, shown, expression_cutoff=0.0, **common)
        plot.style(cmap=colours, dot_edge_lw=0.3)
        plot.legend(colorbar_title=label, size_title="cells above\nthe mean (%)", width=1.7)
    plot.swap_axes()  # a row per regulator: a page is wide enough for the groups
    plot.make_figure()
    main = plot.get_axes()["mainplot_ax"]
    for one in [] if ax is not None else main.figure.axes:
        one.set_visible(one.axison)  # frames of legends that nothing is drawn in take no room
    return main


def _groups(column: pd.Series) -> pd.Series:
    """The groups that have cells, as words; cells without one are left out."""
    group = column[column.notna()].astype("category").cat.remove_unused_categories()
    return group.cat.rename_categories(str)


def _colours(means: np.ndarray) -> tuple[float, Colormap]:
    """Where colours end on both sides of 0, and the colours; the bar has tips if some means are beyond."""
    size = np.abs(means[np.isfinite(means)])
    most, reach = size.max(), np.percentile(size, _WITHIN, method="lower")
    if (
        most <= _FAR * reach or reach == 0
    ):  # a few means do not take all colours; nor are colours cut for little
        return float(most) or 1.0, diverging()
    colours = diverging().copy()
    colours.colorbar_extend = "both"  # type: ignore[assignment]  # a word, though typed as bool
    return float(reach), colours


def _top(
    table: pd.DataFrame, groups: Sequence[str], n: int, *, groupby: str, rank_key: str
) -> list[str]:
    """The regulators of every group with a higher activity there, each in the group where it is clearest."""
    found = set(table["group"])
    if not found <= set(groups):
        raise ValueError(
            f"groupby must be the column that {rank_key!r} compares the groups of: {some(sorted(found))}; "
            f"found {groupby!r} with {some(groups)}"
        )
    higher = table[table["effect"] > 0].drop_duplicates("regulator")
    top = [
        name
        for group in groups
        for name in higher.loc[higher["group"] == group, "regulator"].iloc[:n]
    ]
    if not top:
        raise ValueError(
            f"no group of {rank_key!r} has a regulator with a higher activity; name them by regulators="
        )
    return top
