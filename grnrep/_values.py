"""Expression of chosen genes, opened and checked."""

from __future__ import annotations

import logging
from typing import Any, Final

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.rows.scan import BlockScan, Odd, Scan, add_scans

logger = logging.getLogger("grnrep")

# root mean squares between which a fit is the same in any unit; from 1e-18 to 1e16 it was
_SMALLEST, _LARGEST = 1e-12, 1e12


def open_values(
    adata: AnnData,
    genes: pd.Index,
    columns: np.ndarray,
    *,
    layer: str | None,
    name: str = "adata",
    block_size: int | None = None,
    client: Any = None,
    progress: bool = False,
) -> tuple[Blocks, Scan]:
    """Open genes for reading in blocks, look at all values once, and check that they are finite.

    ``genes`` and ``columns`` are their names, and their positions in ``adata.var_names``; messages call the data
    ``name``, and what else there is is as in :func:`grnrep.tl.fit`.
    """
    blocks = Blocks.of(adata, columns, layer=layer, name=name, n_rows=block_size)
    client = active_client(client, blocks)
    function = BlockScan(blocks if client is None else blocks.portable())
    found = map_blocks(function, len(blocks), client=client, desc="reading", progress=progress)
    scan = add_scans([(blocks.rows(k), part) for k, part in found])
    if scan.infinite.count:
        raise ValueError(
            f"{where(layer, name=name)} must be finite; found {scan.infinite.count} NaN or infinite value(s) "
            f"in genes of the network, or beyond what 32 bits hold, first in "
            f"{_first(scan.infinite, adata, genes)}"
        )
    with np.errstate(over="ignore"):
        size = np.sqrt(scan.squares.sum() / max(1, scan.n_obs * len(scan.squares)))
    if scan.varies.any() and not _SMALLEST <= size <= _LARGEST:
        size_found = f"{size:.2g}" if 0 < size < np.inf else "one beyond what 32 bits hold"
        raise ValueError(
            f"{where(layer, name=name)} must have a root mean square from {_SMALLEST:g} to {_LARGEST:g}, so that "
            f"squares can be summed in 32 bits; found {size_found}. Choose another unit: divide by the mean of "
            "the values, say"
        )
    return blocks, scan


def check_varies(scan: Scan, *, what: str) -> None:
    """Check that there is something to learn from."""
    if not scan.varies.any():
        values = "0 everywhere" if not scan.first.any() else "one value in every gene"
        raise ValueError(
            f"{what} must differ between cells in some gene of the network; found {values} (in "
            f"{scan.n_obs} cells and {len(scan.varies)} genes). Is this the right matrix? Or name a layer"
        )


def report_empty(scan: Scan, *, what: str) -> None:
    """Say how many cells have no count, of which nothing can be known."""
    n_empty = int(np.count_nonzero(scan.depth <= 0))
    if n_empty:
        logger.warning(
            "%s: %d of %d cells have no count in any gene, so that their activities mean nothing; leave them "
            "out, e.g. with scanpy.pp.filter_cells(adata, min_counts=1)", what, n_empty, scan.n_obs
        )  # fmt: skip


def read_values(
    adata: AnnData, genes: pd.Index, columns: np.ndarray, *, layer: str | None, name: str = "adata"
) -> tuple[np.ndarray, np.ndarray]:
    """Read all cells, sorted by name: expression (n_obs, n_genes), float32, and their positions in ``adata``."""
    blocks, _ = open_values(adata, genes, columns, layer=layer, name=name)
    return blocks.take(blocks.order), blocks.order


# by what expression can be under a likelihood: what it must be, what else is found, and what would do
_WANTED: Final = {
    "not negative": ("not be negative under likelihood='tobit'", "negative", ""),
    "counts": (
        "be counts, whole numbers of at least 0",
        "other",
        "Name the layer with raw counts, or use likelihood='gaussian' or 'tobit'",
    ),
    "binary": (
        "be 0 or 1",
        "other",
        "Compare with a threshold first, e.g. (X > 0).astype('float32')",
    ),
}


def check_values(
    likelihood: str, scan: Scan, adata: AnnData, genes: pd.Index, *, what: str, remedy: str
) -> None:
    """Check that values are such as a likelihood is of; ``remedy`` says what would do for negative ones."""
    values = LIKELIHOODS[likelihood].values
    if values not in _WANTED:
        return
    wanted, others, what_would_do = _WANTED[values]
    bad = scan.negative if scan.negative.count or values == "not negative" else scan.fraction
    if bad.count:
        raise ValueError(
            f"{what} must {wanted}; found {bad.count} {others} value(s), first {bad.value:g} in "
            f"{_first(bad, adata, genes)}. {what_would_do or remedy}"
        )
    larger = np.flatnonzero(scan.squares != scan.total)  # only 0 and 1 are their own squares
    if values == "binary" and len(larger):
        raise ValueError(
            f"{what} must {wanted}; found larger whole numbers in {len(larger)} gene(s), first "
            f"{genes[larger[0]]!r}. {what_would_do}"
        )
    if values == "counts" and not np.isfinite(scan.depth).all():
        raise ValueError(f"{what} must be finite in all genes, whose sum is the depth of a cell")


def where(layer: str | None, *, name: str = "adata") -> str:
    """Name the matrix that is read, for messages."""
    return f"{name}.X" if layer is None else f"{name}.layers[{layer!r}]"


def _first(bad: Odd, adata: AnnData, genes: pd.Index) -> str:
    return f"cell {str(adata.obs_names[bad.row])!r}, gene {genes[bad.gene]!r}"
