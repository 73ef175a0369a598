"""Checks of the options of a fit that are checked together, before any work."""

from __future__ import annotations

import numpy as np
import torch
from anndata import AnnData

from grnrep._checks import check_adata, check_free, check_key, check_writable, report_names


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


def check_engine(device: object, client: object) -> None:
    """Check what is to compute: a torch device that is here, and a Dask client, the active one or none."""
    none = client is None or (isinstance(client, str) and client == "auto")
    if not none and not all(hasattr(client, method) for method in ("submit", "scheduler_info")):
        raise TypeError(
            f"client must be a dask.distributed.Client, None or 'auto'; found {client!r}. Make one with "
            "dask.distributed.Client(address)"
        )
    if device is None:
        return
    try:
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        there = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
        raise ValueError(
            f"device must be None or one that torch finds here, of {', '.join(map(repr, there))}; found "
            f"{device!r}: {str(error).splitlines()[0]}"
        ) from error


def check_data(adata: AnnData, key_added: object, *, copy: bool) -> None:
    """Check that there are cells to learn from, and that results can be set and saved."""
    check_key("key_added", key_added)
    check_adata(adata)
    report_names(adata)
    if adata.n_vars == 0:
        raise ValueError("adata must have genes; found none: adata.n_vars is 0")
    if adata.n_obs == 1:
        raise ValueError(
            "adata must have more than one cell: weights are learned from differences between cells. For "
            "one cell, use grnrep.tl.transform with a decoder learned on others"
        )
    check_free(adata, key_added, argument="key_added")
    if not copy:
        check_writable(adata)
