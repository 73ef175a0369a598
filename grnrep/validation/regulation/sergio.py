"""SERGIO: cells of somebody else's simulator, in which the level of a regulator is its activity."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep._checks import check_choice, check_whole, some
from grnrep.validation.regulation.methods import METHODS, regulator_activity
from grnrep.validation.regulation.peers import PEERS, import_decoupler

logger = logging.getLogger("grnrep")

SETS = ("DS4", "DS5", "DS6")
_REPLICATES = 3
_SOURCE = "https://github.com/PayamDiba/SERGIO (Dibaeinia & Sinha, Cell Systems 2020)"


def load_sergio(
    name: str = "DS4", *, replicate: int = 0, data_dir: str | os.PathLike[str] | None = None
) -> tuple[AnnData, pd.DataFrame]:
    """Read one of SERGIO's data sets of differentiating cells.

    A stochastic differential equation per gene: its production is a sum of Hill functions of the
    levels of its regulators, followed by splicing and decay. 100 genes, 10 of them regulators.

    Parameters
    ----------
    name
        ``"DS4"`` (900 cells), ``"DS5"`` (1,200) or ``"DS6"`` (1,800).
    replicate
        Which of the three simulations, 0 to 2.
    data_dir
        Folder with ``sergio/DS4`` and so on, each with ``Interaction_cID_*.txt`` (a target
        a line: target, number of regulators, regulators, strengths, Hill coefficients) and
        ``simulated_noNoise_S_*.csv.gz`` (spliced levels, genes × cells). By default the
        environment variable ``GRNREP_DATA_DIR``.

    Returns
    -------
    ``adata`` (cells × 100 genes, without technical noise) and ``net`` (``source,target,weight``
    with the strength K of every Hill function, negative where it represses; self-regulation
    is left out). Genes are named ``"G0"`` to ``"G99"``.

    Raises
    ------
    ValueError
        If the set or replicate is unknown, or no folder is given.
    FileNotFoundError
        If a file is missing; the message says where it comes from.

    References
    ----------
    Dibaeinia & Sinha (2020), SERGIO: a single-cell expression simulator guided by gene
    regulatory networks, Cell Systems 11:252.

    Examples
    --------
    >>> from grnrep.validation import load_sergio
    >>> adata, net = load_sergio("DS4", data_dir="data")  # doctest: +SKIP
    """
    check_choice("name", name, SETS)
    check_whole("replicate", replicate, least=0)
    if replicate >= _REPLICATES:
        raise ValueError(f"replicate must be below {_REPLICATES}; found {replicate}")
    if data_dir is None:
        data_dir = os.environ.get("GRNREP_DATA_DIR")
    if not data_dir:
        raise ValueError(
            f"no data folder: pass data_dir or set GRNREP_DATA_DIR to a folder with sergio/{name}, "
            f"from {_SOURCE}"
        )
    folder = Path(data_dir) / "sergio" / name
    edges = _find(folder, "Interaction_cID_*.txt").read_text().splitlines()
    levels = pd.read_csv(_find(folder, f"simulated_noNoise_S_{replicate}.csv.gz"), index_col=0)
    genes = [f"G{int(gene)}" for gene in levels.index]
    cells = [f"cell{cell}" for cell in levels.columns]
    adata = AnnData(
        levels.T.to_numpy(dtype=np.float32),
        obs=pd.DataFrame(index=cells),
        var=pd.DataFrame(index=genes),
    )
    return adata, read_interactions(edges)


def read_interactions(lines: Sequence[str]) -> pd.DataFrame:
    """Parse SERGIO's table of targets into edges ``source,target,weight``, without self-regulation."""
    edges = []
    for number, line in enumerate(lines, start=1):
        values = [float(value) for value in line.split(",")] if line.strip() else []
        n = int(values[1]) if len(values) > 1 else 0
        if values and len(values) != 2 + 3 * n:
            raise ValueError(
                f"line {number} names {n} regulators and should have {2 + 3 * n} values: {line!r}"
            )
        strengths = values[2 + n : 2 + 2 * n]
        edges += [
            (f"G{int(r)}", f"G{int(values[0])}", k)
            for r, k in zip(values[2 : 2 + n], strengths, strict=True)
        ]
    net = pd.DataFrame(edges, columns=["source", "target", "weight"])
    return net[net["source"] != net["target"]].reset_index(drop=True)


def technical_noise(
    levels: np.ndarray,
    *,
    percentile: float,
    shape: float = 8.0,
    rng: int | Sequence[int] | np.random.Generator | None = 0,
) -> np.ndarray:
    r"""Counts from levels as SERGIO makes them: drop-outs, then Poisson.

    A value x is kept with probability :math:`1 / (1 + e^{-k (\log(x + 1) - q)})`, where q is the
    given percentile of all :math:`\log(x + 1)`; a count is Poisson with what was kept as its mean.
    Outlier genes and library sizes, SERGIO's two other kinds of noise, are not added.

    Parameters
    ----------
    levels
        Cells × genes, not negative.
    percentile
        Percentile q, about the share of values that drop out; 45 to 82 in data of 10x Chromium.
    shape
        Steepness k; 8 in the same data.
    rng
        Seed, several that make one together, or generator.

    Returns
    -------
    Counts of the same shape, float32.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.validation.regulation.sergio import technical_noise
    >>> counts = technical_noise(np.full((1000, 2), [0.1, 50.0]), percentile=50)
    >>> bool(counts[:, 0].max() == 0), bool(abs(counts[:, 1].mean() - 50) < 1)
    (True, True)
    """
    draw = np.random.default_rng(rng)
    log = np.log1p(levels, dtype=np.float64)
    kept = draw.random(log.shape) < 1 / (
        1 + np.exp(-shape * (log - np.percentile(log, percentile)))
    )
    return draw.poisson(np.where(kept, levels, 0.0)).astype(np.float32)


def hide_regulators(adata: AnnData, net: pd.DataFrame) -> AnnData:
    """Leave the rows of all regulators out: their levels are what is to be found."""
    return adata[:, ~adata.var_names.isin(net["source"])].copy()


def level_correlation(activity: pd.DataFrame, levels: AnnData) -> pd.Series:
    """Correlation of every regulator's activity with its own level, 0 where the activity is constant.

    Parameters
    ----------
    activity
        Cells × regulators; a regulator that a method left out is counted as 0 if its
        column is there and empty.
    levels
        Cells × genes, without technical noise; matched by name.

    Examples
    --------
    >>> import anndata, pandas as pd
    >>> from grnrep.validation.regulation.sergio import level_correlation
    >>> levels = anndata.AnnData(pd.DataFrame({"A": [1.0, 2, 3], "g": 0.0}, index=list("xyz")))
    >>> level_correlation(pd.DataFrame({"A": [9.0, 7, 5]}, index=list("zyx")), levels).to_dict()
    {'A': 1.0}
    """
    truth = pd.DataFrame(levels.X, index=levels.obs_names, columns=levels.var_names)
    truth = truth.loc[activity.index, activity.columns].astype(np.float64)
    return activity.astype(np.float64).corrwith(truth).fillna(0.0).rename_axis("regulator")


def sergio_recovery(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    sets: Sequence[str] = SETS,
    methods: Sequence[str] = METHODS,
    replicates: Sequence[int] = (0, 1, 2),
    dropout: float | None = None,
    scale: str = "log1p",
    rng: int = 0,
) -> pd.DataFrame:
    """Correlate every regulator's activity with its own level in SERGIO's cells.

    The rows of the regulators themselves are hidden from all methods, as targets, and as
    background or input too; self-regulation is left out. The signs of the network are given.

    Parameters
    ----------
    data_dir
        As in :func:`load_sergio`.
    sets
        Names of data sets.
    methods
        As in :func:`regulator_activity`.
    replicates
        Which of the three simulations.
    dropout
        Percentile of :func:`technical_noise`; by default there is none. The truth stays
        the level without noise.
    scale
        What every method is given: ``"log1p"`` (log(1 + x)), ``"standard"`` (the same,
        standardised per gene) or ``"raw"`` (x).
    rng
        Seed of the noise and of the methods.

    Returns
    -------
    DataFrame with a row per set, replicate, method and regulator: ``pearson``, ``n_targets`` and ``seconds``.

    Raises
    ------
    ValueError, FileNotFoundError
        As :func:`load_sergio`, or if a method or scale is unknown.
    ImportError
        If decoupler is needed and not installed.

    Examples
    --------
    >>> from grnrep.validation import sergio_recovery
    >>> table = sergio_recovery("data", methods=["grnrep", "ulm"])  # doctest: +SKIP
    """
    check_choice("scale", scale, tuple(_SCALES))
    if not methods or not set(methods) <= set(METHODS):
        raise ValueError(f"methods must be among {METHODS}; found {some(methods)}")
    if set(methods) & set(PEERS):
        import_decoupler()  # so that the first method's time holds no import
    rows = []
    for name in sets:
        for replicate in replicates:
            levels, net = load_sergio(name, replicate=replicate, data_dir=data_dir)
            seen = hide_regulators(levels, net)
            if dropout is not None:
                seen.X = technical_noise(seen.X, percentile=dropout, rng=[rng, replicate])
            seen.X = _SCALES[scale](seen.X)
            n_targets = net[net["target"].isin(seen.var_names)].groupby("source").size()
            for method in methods:
                start = time.perf_counter()
                activity = regulator_activity(seen, net, method=method, rng=rng)
                seconds = time.perf_counter() - start
                logger.info("%s, replicate %d: %s took %.2f s", name, replicate, method, seconds)
                pearson = level_correlation(activity.reindex(columns=n_targets.index), levels)
                table = pd.DataFrame({"pearson": pearson, "n_targets": n_targets}).reset_index(
                    names="regulator"
                )
                rows.append(
                    table.assign(set=name, replicate=replicate, method=method, seconds=seconds)
                )
    order = ["set", "replicate", "method", "regulator", "n_targets", "pearson", "seconds"]
    return pd.concat(rows, ignore_index=True)[order]


def _standard(x: np.ndarray) -> np.ndarray:
    log = np.log1p(x)
    spread = log.std(0)
    return (log - log.mean(0)) / np.where(spread > 0, spread, 1)


_SCALES: Final[dict[str, Callable[[np.ndarray], np.ndarray]]] = {
    "log1p": np.log1p,
    "standard": _standard,
    "raw": np.asarray,
}


def _find(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{folder / pattern} is missing; it comes from {_SOURCE}")
    return found[0]
