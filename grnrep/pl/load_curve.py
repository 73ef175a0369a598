"""Recovery over load: from how many values per parameter on the truth is found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from grnrep import _keys
from grnrep._checks import check_adata, closest, record, some
from grnrep.pl._axes import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    SMALL,
    VERMILION,
    axes,
    beside,
    finish,
    plain_logarithms,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_LINES: Final = ((BLUE, "o"), (ORANGE, "s"), (VERMILION, "^"), (GREEN, "D"))
_PREDICTED: Final = {1.0: "as many values\nas parameters"}


def load_curve(
    table: pd.DataFrame,
    adata: AnnData | None = None,
    *,
    load: str = "load",
    recovery: str = "pcc",
    by: str = "model",
    size: str = "n",
    thresholds: Mapping[float, str] | None = None,
    key: str = _keys.FIT,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot how well the truth is recovered over the load of the decoder, with the loads that theory predicts.

    Lines are means over replicates, bands from the lowest to the highest of them. Above a load of 1 (Eq. 3) there
    are more values than parameters.

    Parameters
    ----------
    table
        A row per fit of simulated data, such as :func:`grnrep.validation.load_study` returns, or made of
        :func:`grnrep.metrics.decoder_load` and :func:`grnrep.metrics.recovery`.
    adata
        Data with a fit, whose load is marked; by default none.
    load, recovery
        Columns of ``table`` with the load, and with the correlation with the truth.
    by
        Column of ``table`` by which there are lines, up to four; without such a column there is one.
    size
        Column of ``table`` with the number of cells, by which rows are replicates; without such a column by ``load``.
    thresholds
        Loads to mark, with what they stand for; by default 1.
    key
        Where the fit is in ``adata.uns``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"load.png"`` or ``"load.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    KeyError
        If a column is not there, or no fit under ``key``.
    ValueError, TypeError
        If ``table`` is no DataFrame, has no rows, or has more than four lines.

    References
    ----------
    Schuster & Krogh (2021), Eq. 3 and Fig. 4.

    Examples
    --------
    >>> import pandas as pd
    >>> import grnrep as gr
    >>> rows = []
    >>> for n_obs in (8, 16, 32):
    ...     for rng in range(2):
    ...         options = {"n_regulators": 8, "connectivity": 0.3, "rng": rng, "progress": False}
    ...         adata, net = gr.ds.simulate(n_obs, 40, **options)
    ...         gr.tl.fit(adata, net, ridge=1e-4, sign_shrinkage=0.0, progress=False)
    ...         load = adata.uns["grnrep"]["params"]["decoder_load"]
    ...         pcc = gr.metrics.recovery(adata)["pearson"].mean()
    ...         rows.append({"n": n_obs, "load": load, "pcc": pcc})
    >>> gr.pl.load_curve(pd.DataFrame(rows)).get_xlabel()
    'decoder load (values per parameter)'
    """
    if not isinstance(table, pd.DataFrame) or table.empty:
        raise TypeError(
            f"table must be a DataFrame with a row per fit; found {type(table).__name__} of {len(table)} rows"
        )
    for argument, column in {"load": load, "recovery": recovery}.items():
        if column not in table:
            raise KeyError(
                f"{argument}={column!r} is no column of table{closest(column, map(str, table))}; columns there: "
                f"{some(table.columns, 20)}"
            )
    lines = dict(list(table.groupby(by, sort=False))) if by in table else {"": table}
    if len(lines) > len(_LINES):
        raise ValueError(
            f"by={by!r} must have at most {len(_LINES)} values, a line each; found {len(lines)}: {some(lines)}"
        )
    ax = axes(ax)
    for (name, part), (colour, marker) in zip(lines.items(), _LINES, strict=False):
        replicates = part.groupby(size if size in part else load)
        x, value = replicates[load].mean(), replicates[recovery]
        ax.plot(
            x,
            value.mean(),
            color=colour,
            marker=marker,
            markersize=5,
            label=name or "mean",
            zorder=3,
        )
        ax.fill_between(x, value.min(), value.max(), color=colour, alpha=0.2, linewidth=0, zorder=2)
    predicted = _PREDICTED if thresholds is None else thresholds
    marks = {float(value): (text, GREY) for value, text in predicted.items()}
    if adata is not None:
        check_adata(adata, min_obs=0)
        marks[float(record(adata, key)[_keys.PARAMS]["decoder_load"])] = ("these data", INK)
    for value, (text, colour) in sorted(marks.items()):
        label = f"{value:.2g}: {text}"
        ax.axvline(value, color=colour, linewidth=1, linestyle=(0, (4, 3)), zorder=1, label=label)
    ax.set(
        xscale="log",
        xlabel="decoder load (values per parameter)",
        ylabel="correlation with the truth",
    )
    plain_logarithms(ax.xaxis)
    ax.set_ylim(top=min(ax.get_ylim()[1], 1.03))
    beside(ax, title="band: all replicates", title_fontsize=SMALL + 1, alignment="left")
    return finish(ax, title="Recovery over load", show=show, save=save)
