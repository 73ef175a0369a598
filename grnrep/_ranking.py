"""A table of regulators that were compared between groups, and the same in scanpy's layout."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

COLUMNS: Final = (
    "group",
    "reference",
    "regulator",
    "difference",
    "std_err",
    "scores",
    "dof",
    "pvals",
    "pvals_adj",
)
GROUPBY: Final = "groupby"
SAMPLE: Final = "sample"  # what was counted, in the column "unit"
CELL: Final = "cell, no replicate"
REST: Final = "rest"  # reference: the cells of all other groups

# what scanpy calls a column: there the effect is of the logarithm of expression, here of the activity
_NAMES: Final = {
    "names": "regulator",
    "scores": "scores",
    "pvals": "pvals",
    "pvals_adj": "pvals_adj",
    "logfoldchanges": "difference",
}


def is_ranking(value: object, regulators: pd.Index) -> bool:
    """Whether this is a table of the verb, and of no others than these regulators."""
    return (
        isinstance(value, pd.DataFrame)
        and {*COLUMNS, GROUPBY} <= {*value}
        and bool(value["regulator"].isin(regulators).all())
    )


def as_rank_genes_groups(table: pd.DataFrame) -> dict[str, Any]:
    """What ``scanpy.tl.rank_genes_groups`` would keep: record arrays with a field for every group.

    As there, those most above the reference come first; those without a test last.
    """
    ranked = {
        str(name): part.sort_values(["scores", "regulator"], ascending=[False, True])
        for name, part in table.groupby("group", sort=False, observed=True)
    }
    first = table.iloc[0]
    params = {
        "groupby": str(first[GROUPBY]),
        "reference": str(first["reference"]),
        "method": "t-test",
        "use_raw": False,
        "layer": None,
        "corr_method": "benjamini-hochberg",
    }
    arrays = {
        theirs: pd.DataFrame(
            {name: part[ours].to_numpy() for name, part in ranked.items()}
        ).to_records(index=False)
        for theirs, ours in _NAMES.items()
    }
    return {"params": params, **arrays}
