"""What a network leaves unexplained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._checks import check_adata, check_whole, record
from grnrep.pl._axes import GREY, INK, SMALL, VERMILION, axes, finish

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_SHOWN = 30  # singular values at least, if there are as many
_NAMED = 10  # programmes whose genes are named at most


def unexplained(
    adata: AnnData,
    *,
    n_genes: int = 5,
    key: str = _keys.FIT,
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot how much of the residuals of a fit is programmes, beside what noise has by chance.

    A dot per direction of the residuals, the strongest first: its share of their variance. Those above the band are
    programmes that the network does not explain. Of the first ten the genes are named that each explains the most
    of, with a minus where they fall as it rises.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.unexplained` was run.
    n_genes
        How many genes of every programme to name; 0 names none.
    key
        Where the fit is in ``uns``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"unexplained.png"`` or ``"unexplained.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    KeyError
        If there is no fit under ``key``, or nothing was looked for.
    ValueError, TypeError
        If an argument cannot be used, or there are no residuals to show.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, noise_sd=1.0, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> gr.tl.unexplained(adata)
    >>> gr.pl.unexplained(adata).get_xlabel()
    'directions of the residuals, sorted'
    """
    check_adata(adata, min_obs=0)
    check_whole("n_genes", n_genes, least=0)
    found = record(adata, key).get(_keys.UNEXPLAINED)
    if not isinstance(found, Mapping):
        check_adata(adata)
        raise KeyError(f"adata.uns[{key!r}] has no 'unexplained'. Run grnrep.tl.unexplained first")
    share, n = np.square(np.asarray(found["singular_values"])), int(found["n_programmes"])
    if len(share) == 0:
        raise ValueError(
            f"the fit under key={key!r} leaves no residuals to show: it has as many parameters as values"
        )
    share, chance = share[: max(_SHOWN, 3 * n)], float(found["chance"]) ** 2
    rank = np.arange(1, len(share) + 1)
    ax = axes(ax)
    ax.axhspan(0, chance, color=GREY, alpha=0.3, linewidth=0, zorder=0)
    total = f"{n} beyond chance: {100 * share[:n].sum():.0f} % of the variance"
    ax.scatter(rank[:n], share[:n], s=22, color=VERMILION, linewidths=0, label=total, zorder=3)
    ax.scatter(rank[n:], share[n:], s=14, color=INK, linewidths=0, label="the rest", zorder=2)
    for programme in range(1, min(n, _NAMED) + 1):
        # beside the dots there is room: the strongest are to the left and at the top
        place = (0.38, 0.98 - 0.055 * (programme + 2))
        text = f"{programme}  {_named(found['top_genes'], programme, n_genes)}"
        ax.text(*place, text, transform=ax.transAxes, fontsize=SMALL, color=INK, va="center")
    ax.set(
        xlabel="directions of the residuals, sorted",
        ylabel="share of the variance of the residuals",
        ylim=(0, 1.1 * max(share[0], chance)),
    )
    ax.text(rank[-1], chance, "chance", ha="right", va="bottom", fontsize=SMALL, color=INK)
    ax.legend(frameon=False, loc="upper right", handletextpad=0.1)
    return finish(ax, title="What the network leaves unexplained", show=show, save=save)


def _named(genes: pd.DataFrame, programme: int, n_genes: int) -> str:
    """Top genes of a programme, with a minus where they fall as it rises."""
    top = genes[genes["programme"] == programme].iloc[:n_genes]
    signed = zip(top["gene"], top["loading"], strict=True)
    return ", ".join(gene if loading > 0 else f"−{gene}" for gene, loading in signed)
