"""A perturbation set: expression, a network, and which regulator an experiment perturbed in which sample."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep._checks import some

COLUMNS = ("regulator", "expected", "condition", "controls")


@dataclass(frozen=True, eq=False, kw_only=True)
class PerturbationSet:
    """Samples in which single regulators were perturbed, as ground truth for activities.

    Parameters
    ----------
    adata
        Samples × genes, perturbed ones and controls.
    net
        Signed edges ``source,target,weight``.
    perturbed
        Table by sample from :func:`perturbations`.
    relative
        Whether expression is given relative to the unperturbed state already. Activities are then changes
        as they are; else the change is the activity less the mean of those of the sample's controls.

    Examples
    --------
    >>> from grnrep.validation import load_yeast
    >>> yeast = load_yeast("data")  # doctest: +SKIP
    >>> yeast.scaled().adata.X.std(axis=0)  # doctest: +SKIP
    """

    adata: AnnData
    net: pd.DataFrame
    perturbed: pd.DataFrame
    relative: bool

    def scaled(self) -> PerturbationSet:
        """The same set with every gene at mean 0 and standard deviation 1 over samples, or 0 throughout."""
        x = np.asarray(self.adata.X, dtype=np.float64)
        spread = x.std(axis=0)
        adata = self.adata.copy()
        adata.X = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)
        return replace(self, adata=adata)

    def contrasts(self) -> PerturbationSet:
        """Conditions in place of samples: expression less the mean of the controls, mean of the replicates."""
        if self.relative:
            raise ValueError("expression of this set is relative to its controls already")
        x = self.adata.to_df()
        change = pd.DataFrame(
            {s: x.loc[s] - x.loc[list(c)].mean() for s, c in self.perturbed["controls"].items()}
        ).T
        change = change.groupby(self.perturbed["condition"], sort=False).mean()
        first = self.perturbed.groupby("condition", sort=False).first()
        table = perturbations(first["regulator"], expected=first["expected"])
        return replace(self, adata=AnnData(change), perturbed=table, relative=True)


def perturbations(
    regulator: Mapping[str, str] | pd.Series,
    *,
    expected: int | Mapping[str, int] | pd.Series = 1,
    controls: str | Mapping[str, tuple[str, ...]] | pd.Series | None = None,
    condition: Mapping[str, str] | pd.Series | None = None,
) -> pd.DataFrame:
    """Say which regulator was perturbed in which sample.

    Parameters
    ----------
    regulator
        Regulator that was perturbed, by sample.
    expected
        Direction in which its activity should move: +1 (induced) or -1 (knocked out), one for all
        samples or by sample.
    controls
        Name of the unperturbed sample that all are compared with, or names of several by sample. By default
        none, which suits expression that is given relative to a reference.
    condition
        Condition by sample: samples of one condition are replicates, and count as one. By default
        every sample is a condition.

    Returns
    -------
    DataFrame by sample with the columns ``regulator``, ``expected``, ``condition`` and ``controls``
    (tuples of names).

    Raises
    ------
    ValueError
        If samples repeat, a direction is not ±1, a sample lacks an entry, or the samples of a condition
        differ in regulator or direction.

    Examples
    --------
    >>> from grnrep.validation import perturbations
    >>> perturbations({"ko_1": "A", "ko_2": "A"}, expected=-1, controls="wt")["controls"].tolist()
    [('wt',), ('wt',)]
    """
    names = pd.Series(regulator, dtype=object).rename_axis(index=None)
    if not names.index.is_unique:
        raise ValueError("regulator repeats samples; give each one regulator")
    if names.isna().any():
        raise ValueError(f"regulator is missing for {some(names.index[names.isna()])}")
    table = pd.DataFrame({"regulator": names})
    table["expected"] = _by_sample(expected, names.index)
    wrong = ~table["expected"].isin([-1, 1])
    if wrong.any():
        raise ValueError(
            f"expected must be +1 or -1 for every perturbed sample; found "
            f"{table['expected'][wrong].iloc[0]} for {some(table.index[wrong])}"
        )
    table["expected"] = table["expected"].astype(int)
    table["condition"] = names.index if condition is None else _by_sample(condition, names.index)
    if controls is None or isinstance(controls, str):
        given = () if controls is None else (controls,)
        table["controls"] = [given] * len(table)
    else:
        lists = _by_sample(controls, names.index)
        if lists.isna().any():
            raise ValueError(f"controls are missing for {some(lists.index[lists.isna()])}")
        table["controls"] = [tuple(entry) for entry in lists]
    if table["condition"].isna().any():
        raise ValueError(f"condition is missing for {some(table.index[table['condition'].isna()])}")
    kinds = table.groupby("condition")[["regulator", "expected"]].nunique().max(axis=1)
    if (kinds > 1).any():
        raise ValueError(
            "samples of one condition must share regulator and direction; "
            f"they do not in {some(kinds.index[kinds > 1])}"
        )
    return table


def data_folder(
    data_dir: str | os.PathLike[str] | None, name: str, files: tuple[str, ...], *, source: str
) -> Path:
    """Folder of that name, in ``data_dir`` or GRNREP_DATA_DIR or this itself, that holds the files."""
    root = os.environ.get("GRNREP_DATA_DIR") if data_dir is None else data_dir
    if not root:
        raise ValueError(
            "no data folder: pass data_dir or set GRNREP_DATA_DIR to a folder that holds "
            f"{', '.join(f'{name}/{file}' for file in files)}, from {source}"
        )
    inner, outer = Path(root) / name, Path(root)
    for folder in (inner, outer):
        missing = [file for file in files if not (folder / file).is_file()]
        if not missing:
            return folder
        if len(missing) < len(files):  # this is the place, and some are lost
            break
    else:
        folder, missing = inner, list(files)
    raise FileNotFoundError(f"{folder / missing[0]} is missing; it comes from {source}")


def _by_sample(values: object, samples: pd.Index) -> pd.Series:
    if isinstance(values, Mapping | pd.Series):
        return pd.Series(values, dtype=object).reindex(samples)
    return pd.Series([values] * len(samples), index=samples, dtype=object)
