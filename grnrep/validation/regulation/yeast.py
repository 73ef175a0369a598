"""The yeast induction set: 179 single inductions of regulators, as ground truth for activities; its figure."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd
from anndata import AnnData
from matplotlib.figure import Figure

from grnrep.pl._axes import BLUE, GREY
from grnrep.validation.regulation.methods import regulator_activity
from grnrep.validation.regulation.peers import PEERS, import_decoupler
from grnrep.validation.regulation.perturbation import perturbation_metrics

logger = logging.getLogger("grnrep")

_SOURCE = "https://github.com/BrentLab/TFA-evaluation (Ma & Brent, Bioinformatics 2021, MIT)"
_FILES = ("zev_expression.tsv", "tfko_network_signed.tsv")
_REFERENCE = "WT"
# what guessing would give
_CHANCE: Final = {"direction": 0.5, "median_percentile": 50, "auroc": 0.5, "auprc": 0.5}


def load_yeast(data_dir: str | os.PathLike[str] | None = None) -> tuple[AnnData, pd.DataFrame]:
    """Read the yeast induction set and its network.

    Expression is on log scale relative to the wild type, the last sample, which is zero
    in every gene. The signs of the network come from knock-outs of the regulators, a data
    set of its own. A regulator's own gene is not among the genes.

    Parameters
    ----------
    data_dir
        Folder with ``yeast/zev_expression.tsv`` (genes × samples) and
        ``yeast/tfko_network_signed.tsv`` (genes × regulators, -1, 0 or +1), or the folder
        ``yeast`` itself. By default the environment variable ``GRNREP_DATA_DIR``.

    Returns
    -------
    ``adata`` (180 samples × 573 genes; ``obs_names`` are the induced regulators and the wild
    type ``WT``) and ``net`` (``source,target,weight`` of 1,283 edges of 50 regulators).

    Raises
    ------
    ValueError
        If no folder is given.
    FileNotFoundError
        If a file is missing; the message says where it comes from.

    Examples
    --------
    >>> from grnrep.validation import load_yeast
    >>> adata, net = load_yeast("data")  # doctest: +SKIP
    """
    if data_dir is None:
        data_dir = os.environ.get("GRNREP_DATA_DIR")
    if not data_dir:
        raise ValueError(
            "no data folder: pass data_dir or set GRNREP_DATA_DIR to a folder that holds "
            f"{', '.join(f'yeast/{name}' for name in _FILES)}, from {_SOURCE}"
        )
    expression, edges = (
        pd.read_csv(_find(Path(data_dir), name), sep="\t", index_col=0) for name in _FILES
    )
    adata = AnnData(expression.T.astype("float64"))
    net = edges.rename_axis(index="target", columns="source").stack().rename("weight").reset_index()
    net = net.loc[net["weight"] != 0, ["source", "target", "weight"]].reset_index(drop=True)
    return adata, net


def yeast_induction(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    methods: Sequence[str] = ("ulm", "mlm", "viper", "grnrep"),
    ties: str = "magnitude",
    n_boot: int = 1000,
    rng: int = 0,
) -> pd.DataFrame:
    """Score grnrep beside other methods on the yeast induction set.

    All 50 regulators of the network were induced, one in each of 50 samples; the
    activity of the induced one should rise against the wild type and stand out among
    the 50. All 180 samples are given to every method.

    Parameters
    ----------
    data_dir
        As in :func:`load_yeast`.
    methods
        Which to run: ``"grnrep"`` (:func:`grnrep.tl.fit` with its defaults) and the
        methods of :func:`peer_activity` that take signed weights.
    ties, n_boot, rng
        As in :func:`perturbation_metrics`; ``rng`` also seeds the fit. With the
        default ``ties``, ulm has an AUPRC of 0.883 and mlm of 0.896; with ``"shared"``
        0.878 and 0.891, as the ``benchmark`` of decoupler.

    Returns
    -------
    DataFrame with the rows (method, metric) and the columns of
    :func:`perturbation_metrics`, and ``seconds``, the time of that method's run.

    Raises
    ------
    ValueError
        If a method is unknown.
    ImportError
        If decoupler is needed and not installed.
    ValueError, FileNotFoundError
        As :func:`load_yeast`.

    Examples
    --------
    >>> from grnrep.validation import yeast_induction
    >>> table = yeast_induction("data")  # doctest: +SKIP
    >>> table["estimate"].unstack()  # doctest: +SKIP
    """
    known = (*PEERS, "grnrep")
    unknown = [name for name in methods if name not in known]
    if unknown or not methods:
        raise ValueError(f"methods must be among {known}; found {unknown or methods}")
    adata, net = load_yeast(data_dir)
    if set(methods) & set(PEERS):
        import_decoupler()  # so that the first method's time holds no import
    induced = {name: name for name in adata.obs_names}
    tables = {}
    for name in methods:
        start = time.perf_counter()
        activity = regulator_activity(adata, net, method=name, rng=rng)
        seconds = time.perf_counter() - start
        logger.info("%s took %.2f s", name, seconds)
        tables[name] = perturbation_metrics(
            activity, induced, reference=_REFERENCE, ties=ties, n_boot=n_boot, rng=rng
        ).assign(seconds=seconds)
    return pd.concat(tables, names=["method", "metric"])


def yeast_figure(table: pd.DataFrame) -> Figure:
    """Draw the figures of the yeast study with their bootstrap intervals, a panel each.

    Parameters
    ----------
    table
        From :func:`yeast_induction`.

    Returns
    -------
    Figure; the grey line is guessing.

    Examples
    --------
    >>> from grnrep.validation import yeast_figure, yeast_induction
    >>> yeast_figure(yeast_induction("data"))  # doctest: +SKIP
    """
    fig = Figure(figsize=(11, 2.8), layout="constrained")
    names = list(table.index.unique(1))
    for ax, name in zip(fig.subplots(1, len(names), sharey=True), names, strict=True):
        part = table.xs(name, level=1)[::-1]
        for y, row in enumerate(part.itertuples()):
            ax.plot([row.low, row.high], [y, y], color=BLUE, linewidth=1.5)
        ax.scatter(part["estimate"], range(len(part)), color=BLUE, s=30, zorder=3)
        ax.set_yticks(range(len(part)), part.index)
        ax.axvline(_CHANCE[name], color=GREY, linewidth=1)
        ax.set_xlabel(name.replace("_", " "))
        ax.spines[["top", "right"]].set_visible(False)
    return fig


def _find(folder: Path, name: str) -> Path:
    for path in (folder / "yeast" / name, folder / name):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder / 'yeast' / name} is missing; it comes from {_SOURCE}")
