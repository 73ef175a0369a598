"""Checks of the options of a fit that are checked together, before any work."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from grnrep._checks import check_adata, check_writable


def check_extras(
    *, solver: str, max_cells: object, repair: object, uncertainty: object, stratify: object
) -> None:
    """Check what only the exact solver does."""
    whole = isinstance(max_cells, int | np.integer) and not isinstance(max_cells, bool)
    if max_cells is not None and max_cells != "auto" and not (whole and max_cells >= 2):
        raise ValueError(
            f"max_cells must be a whole number of at least 2, None or 'auto'; found {max_cells!r}"
        )
    for name, value in {"repair": repair, "uncertainty": uncertainty}.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be True or False; found {value!r}")
    asked = {"max_cells": max_cells != "auto", "repair": repair, "uncertainty": uncertainty}
    asked["stratify"] = stratify is not None
    for name, wanted in asked.items():
        if wanted and solver != "exact":
            raise ValueError(f"{name} is an option of solver='exact' only; found solver={solver!r}")


def check_data(adata: AnnData, *, copy: bool) -> None:
    """Check that there are cells to learn from, and that results can be set."""
    check_adata(adata)
    if adata.n_obs == 1:
        raise ValueError(
            "adata must have more than one cell: weights are learned from differences between cells. For "
            "one cell, use grnrep.tl.transform with a decoder learned on others"
        )
    if not copy:
        check_writable(adata)
