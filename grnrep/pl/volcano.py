"""How much activities differ between groups, beside how clearly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grnrep._checks import check_whole
from grnrep.pl._axes import GREY, HIGHER, INK, LOWER, SMALL, axes, beside, finish
from grnrep.pl._labels import label_points
from grnrep.pl._read import SIGNIFICANT, known, ranked

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


def volcano(
    adata: AnnData,
    group: str,
    *,
    n: int = 10,
    key: str = "rank_regulators",
    ax: Axes | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Plot the p-value of every regulator over the difference of its mean activity.

    Differences are in standard deviations of the regulator over all cells, whatever the units of the activities: of two
    regulators the one further up differs more clearly, the one further out more strongly.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.rank_regulators` was run.
    group
        Which of the compared groups.
    n
        How many regulators to name, the smallest p-values first; 0 names none.
    key
        Where the table is in ``uns``.
    ax
        Axes to draw on; by default new ones.
    show
        Whether to show the figure now, as a script needs it.
    save
        File to write the figure to, such as ``"volcano.png"`` or ``"volcano.pdf"``.

    Returns
    -------
    The axes.

    Raises
    ------
    KeyError
        If there is no such table, or no such group in it.
    ValueError, TypeError
        If an argument cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=4, connectivity=0.3, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> true = adata.obsm["true_activity"]["TF_001"]
    >>> adata.obs["state"] = np.where(true > true.median(), "ill", "well")
    >>> adata.obs["donor"] = list("abcdef") * 10
    >>> gr.tl.rank_regulators(adata, "state", sample="donor", reference="well")
    >>> gr.pl.volcano(adata, "ill").get_ylabel()
    '−log10 p-value'
    """
    check_whole("n", n, least=0)
    table, label, caveat = ranked(adata, key=key)
    known(group, table["group"].unique(), argument="group", what=f"the groups of {key!r}")
    table = table[table["group"] == group]
    x = table["effect"].to_numpy()
    y = -np.log10(table["p"].clip(lower=np.finfo(np.float64).tiny).to_numpy())
    significant = table["fdr"].to_numpy() < SIGNIFICANT
    ax = axes(ax)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    kinds = {
        "higher": (significant & (x > 0), HIGHER, "^"),
        "lower": (significant & (x <= 0), LOWER, "v"),
        "not significant": (~significant, GREY, "o"),
    }
    for name, (chosen, colour, marker) in kinds.items():
        ax.scatter(
            x[chosen], y[chosen], s=26, color=colour, marker=marker, linewidths=0, zorder=3,
            label=f"{name}: {chosen.sum()}",
        )  # fmt: skip
    if significant.any() and not significant.all():
        # between the last regulator that is significant and the first that is not
        edge = (y[significant].min() + y[~significant].max()) / 2
        ax.axhline(edge, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        ax.annotate(
            f"FDR {100 * SIGNIFICANT:g} %", (1, edge), xycoords=("axes fraction", "data"), xytext=(0, 2),
            textcoords="offset points", ha="right", va="bottom", fontsize=SMALL, color=INK,
        )  # fmt: skip
    reach = 1.15 * max(np.abs(x).max(initial=0.0), np.finfo(np.float64).tiny)
    ax.set(
        xlim=(-reach, reach), ylim=(0, 1.12 * max(y.max(initial=0.0), 1e-3)),
        xlabel=label, ylabel=f"−log10 p-value{caveat and f' ({caveat})'}",
    )  # fmt: skip
    beside(ax, title=f"FDR < {100 * SIGNIFICANT:g} %", title_fontsize=SMALL + 1, alignment="left")
    finish(ax, title=group, show=False, save=None)
    points = np.column_stack([x, y])
    label_points(ax, points[:n], list(table["regulator"].iloc[:n]), others=points)
    return finish(ax, show=show, save=save)
