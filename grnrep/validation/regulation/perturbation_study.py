"""Methods side by side on perturbation sets, and a figure."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from grnrep._checks import some
from grnrep.pl._axes import BLUE, GREY
from grnrep.validation.regulation.ecoli import load_ecoli
from grnrep.validation.regulation.methods import METHODS, regulator_activity
from grnrep.validation.regulation.peers import PEERS, import_decoupler
from grnrep.validation.regulation.perturbation import perturbation_metrics
from grnrep.validation.regulation.perturbation_set import PerturbationSet
from grnrep.validation.regulation.yeast import load_yeast

logger = logging.getLogger("grnrep")

_SHOWN: Final = ("ulm", "mlm", "viper", "grnrep")
# what guessing would give
_CHANCE: Final = {"direction": 0.5, "median_percentile": 50, "auroc": 0.5, "auprc": 0.5}


def perturbation_study(
    data: PerturbationSet,
    *,
    methods: Sequence[str] = _SHOWN,
    ties: str = "magnitude",
    n_boot: int = 1000,
    rng: int = 0,
) -> pd.DataFrame:
    """Score grnrep beside other methods on a perturbation set.

    All samples are given to every method.

    Parameters
    ----------
    data
        From :func:`load_yeast`, :func:`load_ecoli`, or made of data of one's own.
    methods
        Which to run: ``"grnrep"`` (:func:`grnrep.tl.fit` with its defaults), ``"ulm"``, ``"mlm"``,
        ``"viper"``, ``"aucell"`` (:func:`peer_activity`), ``"tfa"``, ``"nca"`` and ``"vae"``
        (:func:`tfa_activity`, :func:`nca_activity`, :func:`masked_vae_activity`).
    ties, n_boot, rng
        As in :func:`perturbation_metrics`; ``rng`` also seeds the methods.

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

    Examples
    --------
    >>> from grnrep.validation import load_ecoli, perturbation_study
    >>> table = perturbation_study(load_ecoli("data").scaled())  # doctest: +SKIP
    >>> table["estimate"].unstack()  # doctest: +SKIP
    """
    known = tuple(dict.fromkeys((*METHODS, *PEERS)))
    unknown = [name for name in methods if name not in known]
    if unknown or not methods:
        raise ValueError(f"methods must be among {known}; found {some(unknown or methods)}")
    if set(methods) & set(PEERS):
        import_decoupler()  # so that the first method's time holds no import
    tables = {}
    for name in methods:
        start = time.perf_counter()
        activity = regulator_activity(data.adata, data.net, method=name, rng=rng)
        seconds = time.perf_counter() - start
        logger.info("%s took %.2f s", name, seconds)
        tables[name] = perturbation_metrics(
            activity, data.perturbed, relative=data.relative, ties=ties, n_boot=n_boot, rng=rng
        ).assign(seconds=seconds)
    return pd.concat(tables, names=["method", "metric"])


def yeast_induction(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    methods: Sequence[str] = _SHOWN,
    ties: str = "magnitude",
    n_boot: int = 1000,
    rng: int = 0,
) -> pd.DataFrame:
    """Score grnrep beside other methods on the yeast induction set.

    All 50 regulators of the network were induced, one in each of 50 samples; the
    activity of the induced one should rise against the wild type and stand out among
    the 50.

    Parameters
    ----------
    data_dir
        As in :func:`load_yeast`.
    methods, ties, n_boot, rng
        As in :func:`perturbation_study`. With the default ``ties``, ulm has an AUPRC of 0.883 and mlm of
        0.896; with ``"shared"`` 0.878 and 0.891, as the ``benchmark`` of decoupler.

    Returns
    -------
    DataFrame as that of :func:`perturbation_study`.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError
        As :func:`load_yeast` and :func:`perturbation_study`.

    Examples
    --------
    >>> from grnrep.validation import yeast_induction
    >>> table = yeast_induction("data")  # doctest: +SKIP
    """
    return perturbation_study(
        load_yeast(data_dir), methods=methods, ties=ties, n_boot=n_boot, rng=rng
    )


def ecoli_knock_outs(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    methods: Sequence[str] = _SHOWN,
    ties: str = "magnitude",
    n_boot: int = 1000,
    rng: int = 0,
) -> pd.DataFrame:
    """Score grnrep beside other methods on the E. coli knock-out set.

    Of 151 regulators of the network 15 were knocked out, in 27 conditions; the activity of the one that
    is missing should fall against matched controls and stand out.

    Parameters
    ----------
    data_dir
        As in :func:`load_ecoli`.
    methods, ties, n_boot, rng
        As in :func:`perturbation_study`.

    Returns
    -------
    DataFrame as that of :func:`perturbation_study`.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError
        As :func:`load_ecoli` and :func:`perturbation_study`.

    Examples
    --------
    >>> from grnrep.validation import ecoli_knock_outs
    >>> table = ecoli_knock_outs("data")  # doctest: +SKIP
    """
    return perturbation_study(
        load_ecoli(data_dir), methods=methods, ties=ties, n_boot=n_boot, rng=rng
    )


def perturbation_figure(table: pd.DataFrame) -> Figure:
    """Draw the figures of a perturbation study with their bootstrap intervals, a panel each.

    Parameters
    ----------
    table
        From :func:`perturbation_study`, :func:`yeast_induction` or :func:`ecoli_knock_outs`.

    Returns
    -------
    Figure; the grey line is guessing.

    Examples
    --------
    >>> from grnrep.validation import perturbation_figure, yeast_induction
    >>> perturbation_figure(yeast_induction("data"))  # doctest: +SKIP
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
