"""Tables of a fit for other programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pandas as pd
from anndata import AnnData

from grnrep import _keys, get
from grnrep._checks import record


def activities(adata: AnnData, key: str, marginal: bool = False) -> pd.DataFrame:
    """Activities, a row per cell, whose names are the first column, and a column per regulator."""
    found = get.activity(adata, key=key, marginal=marginal)
    return found.to_df().rename_axis(index="cell", columns=None).reset_index()


def edges(adata: AnnData, key: str, marginal: bool = False) -> pd.DataFrame:
    """Edges with their prior and learned weights, one a row."""
    return record(adata, key)[_keys.NETWORK].reset_index(drop=True)


def regulators(adata: AnnData, key: str, marginal: bool = False) -> pd.DataFrame:
    """What the fit knows of every regulator, one a row."""
    return record(adata, key)[_keys.REGULATORS].rename_axis("regulator").reset_index()


TABLES: Final[dict[str, Callable[[AnnData, str, bool], pd.DataFrame]]] = {
    "activities": activities,
    "edges": edges,
    "regulators": regulators,
}
