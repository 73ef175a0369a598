"""Which regulators are shown, and how groups of cells differ in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys, get, tl
from grnrep._checks import obs_column, some

_MOST_GROUPS: Final = 50
_TESTED: Final = ("pvals", "pvals_adj")  # columns of a ranking that are shown
_RANKING: Final = "rank_regulators"


def standardised(adata: AnnData, key: str, *, marginal: bool) -> tuple[pd.DataFrame, pd.Series]:
    """Activities cells × regulators with mean 0 and variance 1 over cells, and what was divided by.

    A regulator without values, or that never varies, is left out.
    """
    found = get.activity(adata, key=key, marginal=marginal)
    table = found.to_df().astype(np.float64)
    spread = table.std(ddof=0)
    varies = spread.index[np.isfinite(spread) & (spread > 0)]
    table, spread = table[varies], spread[varies]
    return (table - table.mean()) / spread, spread


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
    means, effects
        Regulators × groups, in standard deviations over all cells: mean activity, and by how much it exceeds the
        mean of the cells of the other groups.
    tests
        Table of `grnrep.tl.rank_regulators`, or None without samples.
    """

    groups: pd.Series
    means: pd.DataFrame
    effects: pd.DataFrame
    tests: pd.DataFrame | None

    def top(self, group: str, n: int) -> pd.DataFrame:
        """The regulators that are more active in a group than elsewhere, the clearest first: ``effect``, tests."""
        effect = self.effects[group]
        table = effect[effect > 0].sort_values(ascending=False, kind="stable").to_frame("effect")
        if self.tests is None:
            return table.head(n)
        own = self.tests[self.tests["group"].astype(str) == group].set_index("regulator")
        order = own.index[own.index.isin(table.index)]  # which is by p-value
        return table.loc[order].join(own[[name for name in _TESTED if name in own]]).head(n)

    def leading(self, n: int) -> list[str]:
        """The first of every group, then the second of each, and so on: ``n`` regulators in all."""
        lists = [list(self.top(group, n).index) for group in self.effects]
        turns = (each[place] for place in range(n) for each in lists if place < len(each))
        return list(dict.fromkeys(turns))[:n]

    def of_groups(self, n: int) -> list[str]:
        """The first ``n`` of every group, group by group, each once."""
        return list(
            dict.fromkeys(name for group in self.effects for name in self.top(group, n).index)
        )


def compare(
    adata: AnnData, activities: pd.DataFrame, *, groupby: str, sample: str | None
) -> Comparison:
    """Compare groups; by tests where there are samples."""
    column = obs_column(adata, groupby, argument="groupby")
    names = _in_order(column)
    if not 2 <= len(names) <= _MOST_GROUPS:
        raise ValueError(
            f"groupby must name a column with 2 to {_MOST_GROUPS} groups; found {len(names)} in "
            f"adata.obs[{groupby!r}]: {some(names)}"
        )
    groups = column.astype(object).where(column.isna(), column.astype(str))
    groups = pd.Series(pd.Categorical(groups, categories=names), index=column.index, name=groupby)
    sums = activities.groupby(groups.to_numpy(), observed=False).sum().loc[names]
    sizes = groups.value_counts().loc[names]
    means = sums.div(sizes, axis=0)
    others = (sums.sum() - sums).div(sizes.sum() - sizes, axis=0)
    return Comparison(
        groups=groups,
        means=means.T,
        effects=(means - others).T,
        tests=None if sample is None else _tests(adata, activities, groups, sample),
    )


def _tests(
    adata: AnnData, activities: pd.DataFrame, groups: pd.Series, sample: str
) -> pd.DataFrame:
    """Table of `grnrep.tl.rank_regulators` for these activities, made beside the data."""
    replicate = obs_column(adata, sample, argument="sample")
    beside = AnnData(obs=pd.DataFrame({str(groups.name): groups, sample: replicate}))
    beside.obsm[_keys.FIT] = activities
    tl.rank_regulators(beside, str(groups.name), sample=sample, key=_keys.FIT)
    return beside.uns[_RANKING]


def _in_order(column: pd.Series) -> list[str]:
    """Groups that have cells, in the order of their categories or else of their names."""
    found = column.dropna()
    if isinstance(found.dtype, pd.CategoricalDtype):
        return [str(name) for name in found.cat.categories if (found == name).any()]
    return sorted(found.astype(str).unique())
