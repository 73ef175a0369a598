"""The objective while fitting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grnrep import _keys
from grnrep._checks import check_adata, record
from grnrep.pl._axes import BLUE, axes, finish

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


def history(
    adata: AnnData,
    *,
    key: str = _keys.FIT,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot the objective of a fit, iteration by iteration.

    The scale is logarithmic where it falls more than tenfold.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` was run.
    key
        Where the fit is in ``uns``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"history.png"`` or ``"history.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    KeyError, TypeError
        If there is no fit under ``key``, or none with a history: :func:`grnrep.tl.transform` has none.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> gr.pl.history(adata).get_ylabel()
    'objective'
    """
    from matplotlib.ticker import MaxNLocator

    check_adata(adata, min_obs=0)
    kept = record(adata, key)
    if _keys.HISTORY not in kept:
        raise KeyError(
            f"adata.uns[{key!r}] has no history; pass the data that was fitted, not new cells projected on it"
        )
    objective = np.asarray(kept[_keys.HISTORY]["objective"])
    ax = axes(ax)
    ax.plot(np.arange(1, len(objective) + 1), objective, color=BLUE, linewidth=1.5)
    tenfold = 0 < 10 * objective.min() < objective.max()
    ax.set(yscale="log" if tenfold else "linear", xlabel="iteration", ylabel="objective")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    converged = kept[_keys.PARAMS].get("converged") if _keys.PARAMS in kept else None
    end = "" if converged is None else ", converged" if converged else ", not converged"
    title = f"{len(objective)} iterations{end}"
    return finish(ax, title=title, show=show, save=save)
