"""Which regulators are shown, and how groups of cells differ in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._checks import obs_column, some
from grnrep._ranking import SAMPLE
from grnrep.cli.report.fitted import Fitted
from grnrep.tl._groups import compare_groups

_MOST_GROUPS: Final = 50
_TESTED: Final = ("pvals", "pvals_adj")  # columns of a ranking that are shown


def spreads(by_cell: pd.DataFrame) -> pd.Series:
    """Standard deviation over cells of every activity; without those that never vary or have no values."""
    spread = by_cell.astype(np.float64).std(ddof=0)
    return spread[np.isfinite(spread) & (spread > 0)]


def listed(regulators: pd.DataFrame, *, least: int) -> pd.Index:
    """Regulators worth a place in a list: with enough targets, and one of each that nothing tells apart."""
    enough = regulators[regulators["n_targets"] >= least]
    twin = (enough["group"] >= 0) & enough["group"].duplicated()
    return enough.index[~twin]


def contributions(edges: pd.DataFrame, spread: pd.Series) -> pd.Series:
    """Share of every regulator in the variance that all would give their targets, the largest first.

    The variance of w z over cells, summed over targets: as if regulators were independent.
    """
    squares = edges[_keys.LEARNED].astype(np.float64).pow(2).groupby(edges[_keys.SOURCE]).sum()
    variance = squares.reindex(spread.index, fill_value=0.0) * spread**2
    return (variance / max(variance.sum(), np.finfo(float).tiny)).sort_values(
        ascending=False, kind="stable"
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Groups of cells and how activities differ between them.

    Parameters
    ----------
    groups
        Group of every cell, categorical; missing where it has none.
    table
        Of `grnrep.tl.rank_regulators`, the clearest difference of every group first, with ``effect``, the
        difference in standard deviations over all cells.
    by_sample
        Whether samples were compared; else cells, whose p-values are not shown.
    """

    groups: pd.Series
    table: pd.DataFrame
    by_sample: bool

    @property
    def names(self) -> list[str]:
        """The groups, in order."""
        return [*self.groups.cat.categories]

    def top(self, group: str, n: int) -> pd.DataFrame:
        """The regulators that are more active in a group than elsewhere, the clearest first: ``effect``, tests."""
        own = self.table[(self.table["group"] == group) & (self.table["effect"] > 0)]
        shown = ["effect", *(_TESTED if self.by_sample else ())]
        return own.set_index("regulator")[shown].head(n)

    def leading(self, n: int) -> list[str]:
        """The first of every group, then the second of each, and so on: ``n`` regulators in all."""
        lists = [list(self.top(group, n).index) for group in self.names]
        turns = (each[place] for place in range(n) for each in lists if place < len(each))
        return list(dict.fromkeys(turns))[:n]

    def of_groups(self, n: int) -> list[str]:
        """The first ``n`` of every group, group by group, each once."""
        return list(
            dict.fromkeys(name for group in self.names for name in self.top(group, n).index)
        )


def compare(fitted: Fitted, spread: pd.Series, *, groupby: str, sample: str | None) -> Comparison:
    """Compare groups in the regulators that have a spread here."""
    column = obs_column(fitted.adata, groupby, argument="groupby")
    replicate = None if sample is None else obs_column(fitted.adata, sample, argument="sample")
    names = _in_order(column)
    if not 2 <= len(names) <= _MOST_GROUPS:
        raise ValueError(
            f"groupby must name a column with 2 to {_MOST_GROUPS} groups; found {len(names)} in "
            f"adata.obs[{groupby!r}]: {some(names)}"
        )
    groups = column.astype(object).where(column.isna(), column.astype(str))
    groups = pd.Series(pd.Categorical(groups, categories=names), index=column.index, name=groupby)
    table = compare_groups(fitted.by_cell, column, replicate)
    table = table[table["regulator"].isin(spread.index)]
    effect = table["difference"] / spread.reindex(table["regulator"]).to_numpy()
    by_sample = bool((table["unit"] == SAMPLE).all())
    return Comparison(groups=groups, table=table.assign(effect=effect), by_sample=by_sample)


def _in_order(column: pd.Series) -> list[str]:
    """Groups that have cells, in the order of their categories or else of their names."""
    found = column.dropna()
    if isinstance(found.dtype, pd.CategoricalDtype):
        return [str(name) for name in found.cat.categories if (found == name).any()]
    return sorted(found.astype(str).unique())
