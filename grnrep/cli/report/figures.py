"""Figures of the page: plots of `grnrep.pl` as images."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from grnrep import pl
from grnrep.cli.report.page import Picture
from grnrep.pl._axes import BLUE, INK, axes, finish, root
from grnrep.pl._read import CellActivities
from grnrep.pl.embedding import draw_embedding
from grnrep.pl.top_regulators import draw_regulators
from grnrep.pp import NetworkReport

_DPI: Final = 100  # of the page; images have twice as many
_SMALL: Final = (4.5, 3.0)  # inches
_AREA: Final = 28_000  # points squared of all cells in these
_IN_LEGEND: Final = 12  # groups; more are named among their cells


def history(adata: AnnData, *, key: str) -> Picture:
    """The objective while fitting."""
    return _picture(
        lambda: pl.history(adata, key=key, ax=_axes()),
        caption="Objective of the fit, iteration by iteration; it should end flat.",
        alt="Curve of the objective",
    )


def explained(r2: pd.Series) -> Picture:
    """How well expression of genes is explained."""
    values = r2[np.isfinite(r2)].clip(lower=0)
    # of noisy cells it is little: room is for what there is
    end = max(0.2, np.ceil(10 * values.quantile(0.995)) / 10)

    def draw() -> Axes:
        ax = _axes()
        ax.hist(values, bins=np.linspace(0, end, 41).tolist(), color=BLUE)
        ax.axvline(values.median(), color=INK, linewidth=1, linestyle=(0, (4, 3)))
        ax.set(xlabel="share of variance explained, R²", ylabel="genes")
        return finish(ax, title="Explained expression", show=False, save=None)

    return _picture(
        draw,
        caption=f"How much of each gene's variance over cells the regulators explain; median {values.median():.2f} "
        "(dashed); less than none counts as none.",
        alt="Histogram of explained variance over genes",
    )


def unexplained(adata: AnnData, *, key: str) -> Picture:
    """What the network leaves unexplained."""
    return _picture(
        lambda: pl.unexplained(adata, key=key),
        caption="Programmes in what the fit leaves over, beside what noise has by chance.",
        alt="Singular values of the residuals",
    )


def recovery(adata: AnnData, *, key: str, truth: str) -> Picture:
    """Correlation with the true activities, of simulated cells."""
    return _picture(
        lambda: pl.recovery(adata, key=key, truth=truth, ax=_axes()),
        caption="Correlation of learned with true activities, which these cells have.",
        alt="Correlation with the truth, regulator by regulator",
    )


def network(report: NetworkReport) -> Picture:
    """Which regulators the network can tell apart."""
    return _picture(
        lambda: pl.check_network(report),
        caption="Every regulator by the number of its targets and by its load.",
        alt="Loads of regulators over the number of their targets",
    )


def matrix(found: CellActivities, *, groupby: str) -> Picture:
    """Mean activities of regulators in groups."""
    return _picture(
        lambda: finish(
            draw_regulators(found, groupby),
            title=f"Regulators by {groupby}",
            show=False,
            save=None,
        ),
        caption="Mean activity of the top regulators in every group, in standard deviations of the regulator over "
        "all cells, 0 being the mean over all cells.",
        alt="Matrix of mean activities, regulators by groups",
    )


def embedding(found: CellActivities, *, basis: str) -> Picture:
    """Activities of regulators on an embedding, a panel each."""
    name = basis.removeprefix("X_")
    return _picture(
        lambda: draw_embedding(found, basis=basis, ncols=3),
        caption=f"Activities on {name}; colours are centred at the mean of all cells.",
        alt=f"Cells on {name}, coloured by activities of regulators",
    )


def groups(points: np.ndarray, of: pd.Series, *, basis: str) -> Picture:
    """Groups of cells on an embedding."""
    import scanpy as sc

    name = basis.removeprefix("X_")
    cells = AnnData(obs=of.to_frame(), obsm={basis: points})
    few = len(of.cat.categories) <= _IN_LEGEND

    def draw() -> Axes:
        ax = _axes()
        sc.pl.embedding(
            cells, basis, color=str(of.name), size=_AREA / len(of), ax=ax, show=False, frameon=False, title="",
            legend_loc="right margin" if few else "on data", legend_fontsize=8,
            legend_fontoutline=None if few else 2,
        )  # fmt: skip
        return ax

    return _picture(draw, caption=f"Groups on {name}.", alt=f"Cells on {name}, coloured by group")


def _axes() -> Axes:
    """Axes of a small figure."""
    return axes(None, size=_SMALL)


def _picture(draw: Callable[[], Axes | list[Axes]], *, caption: str, alt: str) -> Picture:
    """Draw and keep as PNG; the one way by which figures come onto the page."""
    image = io.BytesIO()
    with plt.ioff(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a name in another script
        drawn = draw()
        figure = root(drawn[0] if isinstance(drawn, list) else drawn)
        figure.savefig(
            image,
            format="png",
            dpi=2 * _DPI,
            bbox_inches="tight",
            # without the version of matplotlib, so that the same fit gives the same page
            metadata={"Software": None},
        )
        plt.close(figure)
    png = image.getvalue()
    width = int.from_bytes(png[16:20], "big")  # as the header of every PNG has it
    return Picture(caption=caption, alt=alt, png=png, width=-(-width // 2))
