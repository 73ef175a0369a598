"""Groups of cells, or of samples, whose activities are compared."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from grnrep._checks import some
from grnrep._ranking import CELL, COLUMNS, REST, SAMPLE
from grnrep.core.comparison import Moments, adjusted, compare, welch

logger = logging.getLogger("grnrep")


def compare_groups(
    table: pd.DataFrame,
    group: pd.Series,
    replicate: pd.Series | None,
    *,
    reference: str = REST,
) -> pd.DataFrame:
    """Compare groups in their activities, (n_cells, n_regulators); columns of ``obs`` say who is in which.

    Gives the table of :func:`grnrep.tl.rank_regulators` without ``marginal`` and ``key``, and has its warning.
    """
    if pd.api.types.is_float_dtype(group) and group.nunique() > len(group) / 2:
        raise ValueError(
            f"groupby must name a column of groups; adata.obs[{group.name!r}] holds numbers, "
            f"{group.nunique()} different ones in {len(group)} cells. Cut them into groups first: pandas.cut"
        )
    known = group.notna() if replicate is None else group.notna() & replicate.notna()
    inside = {
        name: (known & (group.astype(str) == name)).to_numpy()
        for name in sorted(group[known].astype(str).unique())
    }
    _check_groups([*inside], str(group.name), reference)
    sides = {
        name: _Side.of(table[cells], None if replicate is None else replicate[cells])
        for name, cells in inside.items()
    }
    for name, side in sides.items():
        _check_units(side, name, None if replicate is None else str(replicate.name))
    regulators = pd.DataFrame(
        {
            "regulator": table.columns.astype(str),
            "sd": reduce(add, sides.values()).moments.sd(),
        }
    )
    parts = []
    for name, side in sides.items():
        if name == reference != REST:
            continue
        others = [other for other in sides.values() if other is not side]
        against = reduce(add, others) if reference == REST else sides[reference]
        parts.append(_rows(side, against, regulators).assign(group=name))
    result = pd.concat(parts, ignore_index=True).assign(
        reference=reference, groupby=str(group.name)
    )
    result = result[[*COLUMNS, *result.columns.difference(COLUMNS, sort=False)]]
    if replicate is None:
        logger.warning(
            "rank_regulators: cells are compared, which are no replicates: p-values are too small for any "
            "statement beyond these samples. Name the column of donors, animals or cultures by sample="
        )
    tests = ", ".join(sorted(result["test"].unique()))
    logger.info("rank_regulators: %d groups compared with %r: %s", len(parts), reference, tests)
    return result


@dataclass(frozen=True, eq=False)
class _Side:
    """Cells of one or several groups.

    Parameters
    ----------
    moments
        Of all their activities.
    samples
        Names, sorted, or None where cells are compared.
    n_cells, total
        Of every sample, number of cells, ``(n_samples,)``, and sum of activities, (n_samples, m); else empty.
    """

    moments: Moments
    samples: pd.Index | None
    n_cells: np.ndarray
    total: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, replicate: pd.Series | None) -> _Side:
        """Cells with these activities, of these samples."""
        values = table.to_numpy()
        if replicate is None:
            return cls(Moments.of(values), None, np.zeros(0), np.zeros((0, values.shape[1])))
        code, names = pd.factorize(replicate.astype(str), sort=True)
        inside = csr_array((np.ones(len(code)), (code, np.arange(len(code)))))
        return cls(Moments.of(values), pd.Index(names), np.bincount(code), inside @ values)

    def __add__(self, other: _Side) -> _Side:
        moments = self.moments + other.moments
        if self.samples is None or other.samples is None:
            return _Side(moments, None, self.n_cells, self.total)
        samples = self.samples.union(other.samples)
        n_cells, total = np.zeros(len(samples)), np.zeros((len(samples), self.total.shape[1]))
        for side in (self, other):
            rows = samples.get_indexer(side.samples)
            n_cells[rows] += side.n_cells
            total[rows] += side.total
        return _Side(moments, samples, n_cells, total)

    @property
    def n_samples(self) -> int:
        """Number of samples; 0 where cells are compared."""
        return 0 if self.samples is None else len(self.samples)

    def means(self) -> np.ndarray:
        """Mean activities of every sample, (n_samples, m)."""
        return self.total / self.n_cells[:, None]


def _check_groups(found: list[str], groupby: str, reference: str) -> None:
    """Check that there are groups to compare, and the one to compare with."""
    if len(found) < 2:
        raise ValueError(
            f"adata.obs[{groupby!r}] must have at least two groups; found {some(found)}"
        )
    if reference != REST and reference not in found:
        raise ValueError(
            f"reference must be {REST!r} or a group of adata.obs[{groupby!r}] ({some(found, 10)}); "
            f"found {reference!r}"
        )


def _check_units(side: _Side, name: str, sample: str | None) -> None:
    """Check that there is a spread to judge a difference by."""
    if side.samples is None and side.moments.n < 2:
        raise ValueError(
            f"group {name!r} must have at least two cells; found {side.moments.n}. Merge or leave out this group"
        )
    if side.samples is not None and len(side.samples) < 2:
        raise ValueError(
            f"group {name!r} must have cells of at least two samples; found {some(side.samples)} in "
            f"adata.obs[{sample!r}]. Cells of one sample are no replicates: add samples, merge or leave "
            "out this group, or rank without a valid test by sample=None, which compares cells"
        )


def _rows(side: _Side, against: _Side, regulators: pd.DataFrame) -> pd.DataFrame:
    """Test one side against another; a row for every regulator, with what is known of it."""
    shared = np.zeros(0, dtype=np.intp)
    if side.samples is None or against.samples is None:
        found = welch(side.moments, against.moments)
    else:
        shared = against.samples.get_indexer(side.samples)
        found = compare(side.means(), against.means(), shared)
    p = found.pvalue()
    return (
        regulators.assign(
            difference=found.difference,
            std_err=found.std_err,
            scores=found.t(),
            dof=found.dof,
            pvals=p,
            pvals_adj=adjusted(p),
            test=found.test,
            unit=CELL if side.samples is None else SAMPLE,
            n_samples=side.n_samples,
            n_samples_reference=against.n_samples,
            n_samples_shared=int((shared >= 0).sum()),
            n_cells=side.moments.n,
            n_cells_reference=against.moments.n,
        )
        # of many cells p may be 0 for several
        .assign(size=abs(found.t()))
        .sort_values(["pvals", "size", "regulator"], ascending=[True, False, True])
        .drop(columns="size")
        .reset_index(drop=True)
    )
