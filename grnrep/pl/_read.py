"""What plots read of a fit and of comparisons; every message names what is there, and what is closest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from grnrep import _keys
from grnrep._checks import check_adata, closest, some
from grnrep._ranking import CELL, COLUMNS

if TYPE_CHECKING:
    from anndata import AnnData

INTERVAL: Final = 1.96  # standard deviations on either side of a 95 % interval
SIGNIFICANT: Final = 0.05  # false discovery rate

# columns of the table of grnrep.tl.rank_regulators -> what plots call them
_RANKED: Final = {
    "group": "group",
    "regulator": "regulator",
    "difference": "effect",
    "std_err": "std_err",
    "scores": "statistic",
    "pvals": "p",
    "pvals_adj": "fdr",
}
_ASKED: Final = ("sd", "unit", "marginal")  # further columns: of all cells, and what was compared


def known(
    wanted: str | Iterable[str], names: Iterable[str], *, argument: str, what: str
) -> list[str]:
    """Check names against those there are; one name is a list of one, and each is there once.

    Raises
    ------
    KeyError
        If one is not there; the message has the closest names.
    """
    chosen = [wanted] if isinstance(wanted, str) else list(dict.fromkeys(map(str, wanted)))
    names = [str(name) for name in names]
    unknown = [name for name in chosen if name not in set(names)]
    if unknown:
        raise KeyError(
            f"{argument}: {some(unknown)} not among {what}{closest(unknown[0], names)}; there are "
            f"{len(names)}: {some(names, 5)}"
        )
    if not chosen:
        raise ValueError(f"{argument} must name at least one of {what}; found none")
    return chosen


class CellActivities(NamedTuple):
    """Activities of some regulators: AnnData cells × regulators in memory, and what they are called."""

    data: AnnData
    label: str


def activities_of(
    adata: AnnData, regulators: str | Iterable[str] | None, *, key: str, marginal: bool
) -> CellActivities:
    """Get activities of regulators, by default of all."""
    from grnrep.get import activity

    check_adata(adata)
    if not marginal and key not in adata.obsm:
        tables = [name for name, value in adata.obsm.items() if isinstance(value, pd.DataFrame)]
        raise KeyError(
            f"key={key!r} has no activities in adata.obsm{closest(key, tables)}; tables there: "
            f"{some(tables, 10)}. Run grnrep.tl.fit first"
        )
    found = activity(adata, key=key, marginal=marginal)
    if regulators is not None:
        what = f"the regulators of key={key!r}"
        found = found[:, known(regulators, found.var_names, argument="regulators", what=what)]
    found = found.copy()
    found.X = np.asarray(found.X)
    label = "score (standard errors)" if marginal else f"activity ({unit(adata.uns.get(key))})"
    return CellActivities(found, label)


def unit(kept: object) -> str:
    """Say what the unit of activities is: docs/method.md, conventions."""
    from grnrep._cells import is_count

    params: Any = kept.get(_keys.PARAMS) if isinstance(kept, Mapping) else None
    if not isinstance(params, Mapping):
        return "arbitrary units"
    if "free_factors" in params:  # of fits by evidence, where genes count in their own spread
        return "spreads of its targets"
    if params.get("likelihood") == "bernoulli":
        return "log-odds"
    return "units of counts" if is_count(str(params.get("likelihood"))) else "units of expression"


class Ranking(NamedTuple):
    """Regulators that were compared between groups.

    ``table`` has ``group``, ``regulator``, ``effect`` (difference of means) and ``std_err`` (of it), both in standard
    deviations of the regulator over all cells, so that regulators can be compared, ``statistic``, ``p`` and ``fdr``,
    the clearest difference of every group first; nothing that never varies, which has no test. ``label`` says what the
    difference is of. ``caveat`` is empty unless cells were compared, which are no replicates.
    """

    table: pd.DataFrame
    label: str
    caveat: str


def ranked(adata: AnnData, *, key: str) -> Ranking:
    """Get the table of :func:`grnrep.tl.rank_regulators`."""
    check_adata(adata, min_obs=0)
    table = adata.uns.get(key)
    if not isinstance(table, pd.DataFrame) or not {*COLUMNS, *_ASKED} <= {*table}:
        check_adata(adata)
        there = [name for name, value in adata.uns.items() if isinstance(value, pd.DataFrame)]
        raise KeyError(
            f"key={key!r} is no table of grnrep.tl.rank_regulators in adata.uns{closest(key, there)}; tables "
            f"there: {some(there, 10)}. Run grnrep.tl.rank_regulators first"
        )
    first = table.iloc[0]
    of = "slope by itself" if first["marginal"] else "mean activity"
    label = f"difference of {of} (sd of all cells)"
    caveat = "of cells, no replicates" if first["unit"] == CELL else ""
    table = table.rename(columns=_RANKED).dropna(subset=["p"]).sort_values("p", kind="stable")
    for name in ("effect", "std_err"):
        table[name] = table[name] / table["sd"]
    return Ranking(table[[*_RANKED.values()]].reset_index(drop=True), label, caveat)
