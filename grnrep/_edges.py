"""The table of all edges that a fit keeps: prior and learned weights, errors, and what a repair did."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import closest, record, some

_EDGE = [_keys.SOURCE, _keys.TARGET]
_STD_ERR, _STATUS, _FDR = "std_err", "status", "fdr"


def edge_table(adata: AnnData, key: str) -> pd.DataFrame:
    """Edges by regulator, the strongest of each first; see :func:`grnrep.get.network`."""
    kept = record(adata, key)
    edges: pd.DataFrame = kept[_keys.NETWORK]
    repaired = kept.get(_keys.REPAIR)
    if repaired is None:
        table = edges.assign(**{_STATUS: "kept"})
    else:
        # of edges that are kept or added both tables have the same learned weight; dropped ones are in one
        about = repaired[[*_EDGE, _keys.LEARNED, _STD_ERR, _STATUS, _FDR]]
        table = about.merge(edges, how="left", on=_EDGE, suffixes=("", "_fit"))
        for name in (_keys.LEARNED, _STD_ERR):
            if f"{name}_fit" in table:  # a posterior says more than the test of the repair
                table[name] = table.pop(f"{name}_fit").fillna(table[name])
    order = [*_EDGE, _keys.WEIGHT, _keys.LEARNED, _keys.LEARNED_SD, _STD_ERR, _STATUS, _FDR]
    table = table[[name for name in order if name in table]]
    size = table[_keys.LEARNED].abs()
    return (
        table.assign(size=size)
        .sort_values(
            [_keys.SOURCE, "size", _keys.TARGET], ascending=[True, False, True], ignore_index=True
        )
        .drop(columns="size")
    )


def edges_of(adata: AnnData, key: str, regulator: str) -> pd.DataFrame:
    """The edges of one regulator, or say why it has none."""
    table = edge_table(adata, key)
    found = table[table[_keys.SOURCE] == regulator].reset_index(drop=True)
    if len(found):
        return found
    dropped = record(adata, key).get(_keys.DROPPED_REGULATORS)
    if isinstance(dropped, pd.DataFrame) and regulator in dropped.index:
        raise KeyError(
            f"regulator={regulator!r} was left out of the fit under key={key!r}: "
            f"{dropped.loc[regulator, 'reason']}"
        )
    names = table[_keys.SOURCE].unique()
    raise KeyError(
        f"regulator={regulator!r} is not in the fit under key={key!r}{closest(regulator, names)}; "
        f"there are {len(names)}: {some(names, 5)}"
    )
