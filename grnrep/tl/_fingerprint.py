"""What tells fits apart: everything that one reads, and what else its result hangs on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from grnrep import __version__
from grnrep._covariates import Covariates
from grnrep._match import Match
from grnrep.rows.blocks import Blocks
from grnrep.rows.scan import Scan

# packages whose version may change a draw or a rounding
_DRAWN_BY = ("numpy", "scipy", "torch", "numba")


def fingerprint(
    adata: AnnData,
    matched: Match,
    blocks: Blocks,
    scan: Scan,
    design: Covariates | None,
    strata: np.ndarray | None,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    """Entries that are equal where fits do the same steps to the same result, by the names that users know.

    The format in which expression is kept changes none, and the order of cells one of its own, and only
    where blocks are read in that order: from files, and into a store.

    Parameters
    ----------
    adata, matched, blocks, scan, design, strata
        Data, network, and what was read of them. ``design`` are covariates, ``strata`` kinds of cells.
    asked
        Options.
    """
    order = blocks.order  # by name, in which results hang on nothing else
    as_they_lie = not blocks.in_memory or asked["activity_store"]
    unsorted = bool((np.diff(order) < 0).any())
    # else no size factors follow
    counts = scan.depth[order] if scan.fraction.count == 0 else np.zeros(0)
    edges = matched.edges.astype({"source": str, "target": str})
    read = {
        "values": _digest(scan.content[order], counts),
        "obs_names": _digest(adata.obs_names.to_numpy(dtype=str)[order]),
        "order of obs_names": _digest(order) if as_they_lie and unsorted else None,
        "genes": _digest(matched.genes.to_numpy(dtype=str)),
        "net": _digest(*(edges[name].to_numpy() for name in edges), matched.dropped_regulators),
        "stratify": None if strata is None else [asked["stratify"], _digest(strata[order])],
        "covariates": None,
    }
    if design is not None:
        read["covariates"] = [design.columns.to_dict("list"), _digest(design.values(adata)[order])]
    hangs_on = {f"version of {name}": version(name) for name in _DRAWN_BY}
    # their rounding hangs on it, and grows
    if asked["uncertainty"] or asked["solver"] == "gradient":
        hangs_on["number of threads (torch.get_num_threads())"] = torch.get_num_threads()
    return {"version of grnrep": __version__, **hangs_on, **asked, **read}


def _digest(*parts: Any) -> str:
    """Hash of arrays of numbers and of names."""
    sha = hashlib.sha256()
    for part in parts:
        part = np.asarray(part)
        content = (
            part.tobytes() if part.dtype.kind in "biuf" else "\0".join(map(str, part)).encode()
        )
        sha.update(f"{len(content)} {len(part)}\n".encode() + content)
    return sha.hexdigest()
