"""Draws that take as many cells of every kind, as far as there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep._checks import obs_column


def read_strata(adata: AnnData, stratify: str | None) -> np.ndarray | None:
    """Number of the kind of every cell of ``adata``, by the order of their names; None if not asked for."""
    if stratify is None:
        return None
    if not isinstance(stratify, str):
        raise TypeError(
            f"stratify must be the name of a column of adata.obs, or None; found {stratify!r}"
        )
    values = obs_column(adata, stratify, argument="stratify")
    if pd.api.types.is_float_dtype(values.dtype):
        raise TypeError(
            f"adata.obs[{stratify!r}], named by stratify, must be categories; found {values.dtype}. "
            "Cut numbers into intervals first, e.g. with pandas.qcut"
        )
    n_missing = int(values.isna().sum())
    if n_missing:
        raise ValueError(
            f"adata.obs[{stratify!r}], named by stratify, lacks a value for {n_missing} of the cells; "
            "name these too, e.g. 'unknown'"
        )
    return pd.factorize(values.astype(str), sort=True)[0]


def in_turn(draw: np.ndarray, strata: np.ndarray | None) -> np.ndarray:
    """A draw in which kinds take turns, each in the order of ``draw``, until they are used up.

    Parameters
    ----------
    draw
        Positions of all cells in random order.
    strata
        Kind of the cell at every position; None leaves the draw as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.tl._strata import in_turn
    >>> in_turn(np.array([4, 2, 3, 0, 1]), np.array([0, 0, 0, 0, 1])).tolist()
    [4, 1, 2, 3, 0]
    """
    if strata is None:
        return draw
    kinds = pd.Series(strata[draw])
    turn = kinds.groupby(kinds).cumcount().to_numpy()
    return draw[np.argsort(turn, kind="stable")]
