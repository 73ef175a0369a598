"""What is known of every cell beside expression: covariates, as known columns, and size factors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep._checks import obs_column, some
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.rows.scan import Scan

logger = logging.getLogger("grnrep")

CATEGORICAL, CONTINUOUS = "categorical", "continuous"
_MOST_LEVELS = 30  # distinct whole numbers that may be codes rather than amounts


def is_count(likelihood: object) -> bool:
    """Whether this is a likelihood of counts; also of what is none."""
    return likelihood in LIKELIHOODS and LIKELIHOODS[str(likelihood)].has_sizes


def link_of(likelihood: str) -> str:
    """What zeros say: nothing of their own ("identity"), or only that the sum is not positive ("relu").

    Few counts say as little as zeros that are censored.
    """
    return "identity" if LIKELIHOODS[likelihood].zeros_are_values else "relu"


@dataclass(frozen=True, eq=False)
class Cells:
    """Facts on cells, in the order of the data.

    Parameters
    ----------
    covariates
        Known columns (n_cells, n_columns), or None.
    size_factors
        Of counts, ``(n_cells,)``, else None.
    depth
        Total counts of a cell with size factor 1; of counts.
    """

    covariates: np.ndarray | None = None
    size_factors: np.ndarray | None = None
    depth: float | None = None

    def part(self, which: np.ndarray) -> Cells:
        """Some of the cells."""
        covariates, size_factors = (
            None if a is None else a[which] for a in (self.covariates, self.size_factors)
        )
        return Cells(covariates, size_factors, self.depth)

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Expression of these cells, or counts over size factors."""
        return x if self.size_factors is None else x / self.size_factors[:, None].astype(x.dtype)


def read_cells(
    adata: AnnData,
    scan: Scan,
    covariates: Covariates | None,
    *,
    counts: bool,
    depth: float | None = None,
    name: str = "adata",
) -> Cells:
    """Read facts on the cells of ``adata``.

    Size factors are total counts over all genes by ``depth``, by default the median total.
    """
    known = None if covariates is None else covariates.values(adata, name=name)
    if not counts:
        return Cells(known)
    total = np.maximum(scan.depth, 1.0)  # a cell without counts has a depth too
    depth = float(np.median(total)) if depth is None else depth
    return Cells(known, total / depth, depth)


@dataclass(frozen=True, eq=False)
class Covariates:
    """How columns of obs become numbers.

    Parameters
    ----------
    columns
        One row per known column: ``covariate``, the name in obs; ``kind``; of a categorical one the
        ``level`` that the column is 1 for, and the ``reference`` that has no column; and ``centre``
        and ``scale``, which are subtracted and divided by.
    """

    columns: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """Columns of obs."""
        return list(dict.fromkeys(self.columns["covariate"]))

    def values(self, adata: AnnData, *, name: str = "adata") -> np.ndarray:
        """Known columns of the cells of ``adata``, (n_obs, n_columns) float64."""
        given = {covariate: _read(adata, covariate, name=name) for covariate in self.names}
        parts = []
        for covariate, table in self.columns.groupby("covariate", sort=False):
            values, categorical = given[covariate], table["kind"].iloc[0] == CATEGORICAL
            if categorical:
                levels = [table["reference"].iloc[0], *table["level"]]
                values = values.astype(str)
                new = values[~values.isin(levels)].unique()
                if len(new):
                    raise ValueError(
                        f"{name}.obs[{covariate!r}] must have the levels of the fit, {some(levels, 10)}; "
                        f"found also {some(new)}, whose effect on genes is not known. Fit with cells of all "
                        "levels"
                    )
            elif not _is_number(values):
                raise TypeError(
                    f"{name}.obs[{covariate!r}] must be numbers, as in the fit; found {values.dtype}"
                )
            for row in table.itertuples():
                number = (values == row.level) if categorical else values
                parts.append((number.to_numpy(dtype=np.float64) - row.centre) / row.scale)
        return np.stack(parts, axis=1)


def read_covariates(adata: AnnData, covariates: str | Sequence[str] | None) -> Covariates | None:
    """Check columns of obs, and find out how they become numbers; None where there are none."""
    names = _names(covariates)
    if not names:
        return None
    rows = []
    for covariate in names:
        values = _read(adata, covariate, name="adata")
        if _is_number(values):
            # sums hang on the order, in rounding
            sorted_values = np.sort(values.to_numpy(dtype=np.float64))
            rows.append(_continuous(covariate, sorted_values))
        else:
            rows += _categorical(covariate, values.astype(str))
    found = Covariates(pd.DataFrame(rows))
    _check_rank(found, adata)
    return found


def _names(covariates: str | Sequence[str] | None) -> list[str]:
    given = (
        [] if covariates is None else [covariates] if isinstance(covariates, str) else covariates
    )
    if not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise TypeError(
            f"covariates must be names of columns of adata.obs, or None; found {covariates!r}"
        )
    if len(set(given)) < len(given):
        raise ValueError(f"covariates must name every column once; found {list(given)}")
    return sorted(given)  # so that their order does not matter


def _read(adata: AnnData, covariate: str, *, name: str) -> pd.Series:
    values = obs_column(adata, covariate, argument="covariates", name=name)
    missing = values.isna()
    if _is_number(values):
        missing |= ~np.isfinite(values.fillna(0).to_numpy(dtype=np.float64))
    if missing.any():
        raise ValueError(
            f"covariates: {name}.obs[{covariate!r}] must have a finite value for every cell; found "
            f"{missing.sum()} cell(s) without, first {some(adata.obs_names[missing])}. Drop these cells, or "
            "give them a level of their own"
        )
    return values


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _continuous(covariate: str, values: np.ndarray) -> dict:
    scale = float(values.std())
    if not scale > 1e-12 * np.abs(values).max():
        raise ValueError(
            f"covariates: adata.obs[{covariate!r}] must differ between cells; found {values[0]:g} everywhere"
        )
    n_values = len(np.unique(values))
    # with two values, a slope and a difference of levels are the same model
    if 2 < n_values <= _MOST_LEVELS and np.array_equal(values, np.round(values)):
        logger.warning(
            "covariates: %r holds %d whole numbers and is taken as an amount, with one slope. If they are "
            "codes of batches or the like, use adata.obs[%r] = adata.obs[%r].astype('category'); if they are "
            "amounts, all is well", covariate, n_values, covariate, covariate
        )  # fmt: skip
    what = {"covariate": covariate, "kind": CONTINUOUS, "level": "", "reference": ""}
    return what | {"centre": float(values.mean()), "scale": scale}


def _categorical(covariate: str, values: pd.Series) -> list[dict]:
    share = values.value_counts(normalize=True).sort_index()
    if len(share) == 1:
        raise ValueError(
            f"covariates: adata.obs[{covariate!r}] must have two levels or more; "
            f"found only {share.index[0]!r}"
        )
    if len(share) >= len(values):
        raise ValueError(
            f"covariates: adata.obs[{covariate!r}] must have fewer levels than cells; found {len(share)}"
        )
    reference = share.index[0]
    what = {"covariate": covariate, "kind": CATEGORICAL, "reference": reference, "scale": 1.0}
    return [
        what | {"level": level, "centre": float(part)} for level, part in share.iloc[1:].items()
    ]


def _check_rank(found: Covariates, adata: AnnData) -> None:
    values, before = found.values(adata), np.ones((adata.n_obs, 1))
    size = np.sqrt(np.square(values).mean(0))
    for covariate in found.names:
        own = (found.columns["covariate"] == covariate).to_numpy()
        both = np.concatenate([before, values[:, own] / size[own]], axis=1)
        if np.linalg.matrix_rank(both, tol=1e-8 * np.sqrt(adata.n_obs)) < both.shape[1]:
            others = [name for name in found.names if name != covariate]
            raise ValueError(
                f"covariates must not follow from one another; {covariate!r} is a combination of "
                f"{some(others, 10)}, so that their effects cannot be told apart. Leave one of them out"
            )
        before = both
