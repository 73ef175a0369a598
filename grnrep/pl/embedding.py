"""Activities on an embedding of cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grnrep import _keys
from grnrep._checks import check_whole, closest, some
from grnrep.pl._axes import diverging, finish
from grnrep.pl._read import CellActivities, activities_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_AREA = 3500  # points squared of all cells together, by square inch of the axes
_WITHIN = 98  # per cent of cells between the ends of the colours: a few do not take them all


def embedding(
    adata: AnnData,
    regulators: str | Sequence[str],
    *,
    basis: str = "umap",
    marginal: bool = False,
    key: str = _keys.FIT,
    size: float | None = None,
    ncols: int = 2,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes | list[Axes]:
    """Plot activities of regulators on an embedding, such as a UMAP.

    :func:`scanpy.pl.embedding` on :func:`grnrep.get.activity`, which take whatever else a plot may need. Colours are
    centred at the mean of all cells, since the zero of an activity is a convention: vermilion is above it, blue
    below. They end where 98 % of the cells do.

    Parameters
    ----------
    adata
        Data with activities, and an embedding in ``adata.obsm``.
    regulators
        One, or several, which get axes each.
    basis
        The embedding: ``"umap"`` or ``"X_umap"`` for ``adata.obsm["X_umap"]``.
    marginal
        Whether to show the scores of every regulator by itself, which are clearest for lineages and states; see
        :func:`grnrep.get.activity`.
    key
        Where the activities are in ``obsm``, and the fit in ``uns``.
    size
        Of a cell; by default what suits their number.
    ncols
        Axes in a row.
    ax
        Axes to draw one regulator on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"umap.png"`` or ``"umap.pdf"``.

    Returns
    -------
    The axes; of several regulators a list of them.

    Raises
    ------
    KeyError
        If there are no activities under ``key``, no such regulator or no such embedding.
    ValueError, TypeError
        If ``ax`` is given with several regulators; for marginal activities as :func:`grnrep.get.activity`.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> adata.obsm["X_first_two"] = adata.obsm["grnrep"].to_numpy()[:, :2]
    >>> gr.pl.embedding(adata, "TF_001", basis="first_two").get_title(loc="left")
    'TF_001'
    """
    found = activities_of(adata, regulators, key=key, marginal=marginal)
    every = draw_embedding(found, basis=basis, size=size, ncols=ncols, ax=ax)
    finish(every[0], show=show, save=save)
    return every[0] if len(every) == 1 else every


def draw_embedding(
    found: CellActivities,
    *,
    basis: str,
    size: float | None = None,
    ncols: int = 2,
    ax: Axes | None = None,
) -> list[Axes]:
    """Draw activities that are at hand; the rest is as in :func:`embedding`."""
    import scanpy as sc

    check_whole("ncols", ncols)
    names, obsm = list(found.data.var_names), found.data.obsm
    if basis not in obsm and f"X_{basis}" not in obsm:
        there = [str(name).removeprefix("X_") for name in obsm if str(name).startswith("X_")]
        raise KeyError(
            f"basis={basis!r} is not in adata.obsm{closest(basis, there)}; embeddings there: "
            f"{some(there, 10)}. Run scanpy.tl.umap first, or name another"
        )
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax takes one regulator; found {len(names)}: {some(names)}. Leave ax out")
    middle = np.nanmean(found.data.X, axis=0)
    reach = np.nanpercentile(np.abs(found.data.X - middle), _WITHIN, axis=0)
    reach = np.where(reach > 0, reach, 1.0)  # where nothing varies all cells have the middle colour
    every = [ax] if ax is not None else _panels(len(names), ncols)
    if size is None:
        area = float(np.prod(every[0].get_window_extent().size)) / every[0].figure.dpi ** 2
        size = _AREA * area / found.data.n_obs
    # neither end of the colours is drawn over the other: cells in the order that a seed gives
    cells = found.data[np.random.default_rng(0).permutation(found.data.n_obs)].copy()
    for place, (one, name) in enumerate(zip(every, names, strict=True)):
        sc.pl.embedding(
            cells, basis, color=name, cmap=diverging(), sort_order=False, size=size, frameon=False,
            vmin=middle[place] - reach[place], vmax=middle[place] + reach[place], title="", ax=one,
            show=False,
        )  # fmt: skip
        bar = one.collections[0].colorbar
        if bar is not None:
            bar.set_label(found.label)
            bar.outline.set_visible(False)
        finish(one, title=name, show=False, save=None)
    return every


def _panels(n: int, ncols: int) -> list[Axes]:
    """Make axes for every regulator, of a size at which two of them are as wide as a page."""
    import matplotlib.pyplot as plt

    ncols = min(n, ncols)
    nrows = -(-n // ncols)
    width, height = (5.2, 4.2) if n == 1 else (3.4 * ncols, 2.7 * nrows)
    figure, grid = plt.subplots(
        nrows, ncols, figsize=(width, height), layout="constrained", squeeze=False
    )
    for unused in grid.flat[n:]:
        figure.delaxes(unused)
    return list(grid.flat[:n])
