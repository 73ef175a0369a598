"""What plots read of a fit and of comparisons; every message names what is there, and what is closest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._cells import is_count
from grnrep._checks import activities, check_adata, record, some
from grnrep.get import activity

INTERVAL: Final = 1.96  # standard deviations on either side of a 95 % interval
SIGNIFICANT: Final = 0.05  # false discovery rate

# columns of the table of grnrep.tl.rank_regulators -> what plots call them
_RANKED: Final = {
    "group": "group",
    "regulator": "regulator",
    "difference": "effect",
    "scores": "statistic",
    "pvals": "p",
    "pvals_adj": "fdr",
}
_CELLS: Final = "cell, no replicate"  # its unit where cells were compared


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


def closest(name: str, names: Iterable[str]) -> str:
    """Say which names are the closest, whatever the case; empty where none is close."""
    plain = {other.casefold(): other for other in names}
    found = [plain[key] for key in get_close_matches(name.casefold(), plain, n=3)]
    return f" (closest: {some(found)})" if found else ""


class CellActivities(NamedTuple):
    """Activities of some regulators: AnnData cells × regulators in memory, and what they are called."""

    data: AnnData
    label: str


def activities_of(
    adata: AnnData, regulators: str | Iterable[str] | None, *, key: str, marginal: bool
) -> CellActivities:
    """Get activities of regulators, by default of all."""
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
    params: Any = kept.get(_keys.PARAMS) if isinstance(kept, Mapping) else None
    if not isinstance(params, Mapping):
        return "arbitrary units"
    if "free_factors" in params:  # of fits by evidence, where genes count in their own spread
        return "spreads of its targets"
    if params.get("likelihood") == "bernoulli":
        return "log-odds"
    return "units of counts" if is_count(str(params.get("likelihood"))) else "units of expression"


def deviations_of(adata: AnnData, regulator: str, *, key: str) -> np.ndarray:
    """Get the standard deviations of an activity, ``(n_obs,)``."""
    name = key + _keys.SD
    if name not in adata.obsm:
        raise KeyError(
            f"key={key!r} has no standard deviations: adata.obsm lacks {name!r}. Run grnrep.tl.posterior (or fit "
            "with uncertainty=True) first, or use marginal=True"
        )
    columns = activities(adata, key).columns
    return np.asarray(adata.obsm[name], dtype=np.float64)[:, columns.get_loc(regulator)]


def edges_of(adata: AnnData, regulator: str, *, key: str) -> pd.DataFrame:
    """Tabulate the targets of a regulator, the largest weight first.

    Returns ``target``, prior ``weight`` (NaN: unknown, as of edges that a repair has added or dropped), ``learned``,
    ``learned_sd`` and ``std_err`` where they are known, and ``status``: kept, or after a repair added or dropped.
    """
    check_adata(adata, min_obs=0)
    kept = record(adata, key)
    names = kept[_keys.REGULATORS].index
    dropped = kept.get(_keys.DROPPED_REGULATORS, ())
    dropped = dropped.index if isinstance(dropped, pd.DataFrame) else dropped
    if regulator in set(map(str, dropped)):
        raise KeyError(
            f"regulator={regulator!r} was left out of the fit under key={key!r}: too few of its targets are among "
            "the genes"
        )
    known(regulator, names, argument="regulator", what=f"the regulators of key={key!r}")
    table = kept[_keys.NETWORK].assign(status="kept")
    if _keys.REPAIR in kept:
        # of edges that are kept or added both have the same learned weight; dropped ones are in the repair only
        about = kept[_keys.REPAIR][[_keys.SOURCE, _keys.TARGET, _keys.LEARNED, "std_err", "status"]]
        edges = kept[_keys.NETWORK]
        table = about.merge(
            edges, how="left", on=[_keys.SOURCE, _keys.TARGET], suffixes=("", "_fit")
        )
        for name in (_keys.LEARNED, "std_err"):
            if f"{name}_fit" in table:  # a posterior says more than the test of the repair
                table[name] = table.pop(f"{name}_fit").fillna(table[name])
    table = table[table[_keys.SOURCE] == regulator]
    size = table[_keys.LEARNED].abs().sort_values(ascending=False, kind="stable")
    return table.loc[size.index].reset_index(drop=True)


def ranked(adata: AnnData, *, key: str) -> pd.DataFrame:
    """Get the table of :func:`grnrep.tl.rank_regulators`, the clearest difference of every group first.

    Returns ``group``, ``regulator``, ``effect`` (difference of mean activities), ``std_err`` (of it), ``statistic``,
    ``p``, ``fdr``, and ``of_cells``: whether cells were compared, which are no replicates; without rows where nothing
    varies, which have no test.
    """
    check_adata(adata, min_obs=0)
    table = adata.uns.get(key)
    if not isinstance(table, pd.DataFrame) or not {*_RANKED} <= {*table.columns}:
        there = [name for name, value in adata.uns.items() if isinstance(value, pd.DataFrame)]
        raise KeyError(
            f"key={key!r} is no table of grnrep.tl.rank_regulators in adata.uns{closest(key, there)}; tables "
            f"there: {some(there, 10)}. Run grnrep.tl.rank_regulators first"
        )
    table = table.rename(columns=_RANKED)
    if "std_err" not in table:
        # a t statistic is the difference over its standard error; where both are 0 it says nothing
        statistic = table["statistic"].where(table["statistic"] != 0)
        table["std_err"] = (table["effect"] / statistic).abs()
    table = table.dropna(subset=["p"])
    of_cells = table["unit"] == _CELLS if "unit" in table else False
    columns = ["group", "regulator", "effect", "std_err", "statistic", "p", "fdr", "of_cells"]
    table = table.assign(of_cells=of_cells).sort_values("p", kind="stable")
    return table[columns].reset_index(drop=True)
