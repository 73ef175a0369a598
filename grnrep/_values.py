"""Expression of chosen genes, opened and checked, and whether that of new cells is on the scale of a fit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.core.threads import side_by_side
from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks
from grnrep.rows.scan import BlockScan, Odd, Scan, add_scans

logger = logging.getLogger("grnrep")

# columns of a fit's genes that describe their expression, by which new cells on another scale are noticed
SCALE: Final = (
    "expression_mean",
    "expression_sd",
    "expression_size",
    "share_zero",
    "share_negative",
)

_SCALED_AT_ONCE: Final = 256  # genes

# Measured on blood cells (log-normalised; by cell type, one cell, a tenth of the depth), E. coli and yeast
# (logarithms, and differences from a reference): sizes differ by a factor of up to 2.3 between data on the
# same scale, and by up to 4 of one cell or of centred data, which can be close to 0.
_FACTOR: Final = 5.0
_FACTOR_WIDE: Final = 10.0
_FEW_CELLS: Final = 10
_FEW_VALUES: Final = 20  # below, and with fewer than so many genes, nothing can be said
_FEW_GENES: Final = 3
# one gene in so many, those with the largest means, shows whether logarithms were taken,
_TOP: Final = 100
_LEAST_TOP: Final = 10  # and neither type nor depth of cells: there ratios are from .85 to 1.12
_SIGNED: Final = 0.05  # share of negative values that is no accident
_SPARSE, _DENSE = 0.5, 0.05  # shares of zeros that no two data on the same scale have
_WHOLE: Final = 0.95  # of the genes
# how far from 1 a standard deviation can be in some of the cells that were scaled
_UNIT: Final = 0.2
_MANY, _SOME = 0.6, 0.2  # shares of the genes that are so, with scaling and without

_CENTRED: Final = (
    "Centre and scale new cells with the means and deviations of the fitted data, or neither"
)
_COUNTS: Final = "One is counts and the other is not, most likely: name the layer that is as the fit's, or make one"
_LOGARITHM: Final = "A logarithm was taken of one and not of the other, most likely"
_OTHER: Final = "Normalise these cells as those that were fitted"

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
        "Name the layer with raw counts, or use likelihood='gaussian'{or_tobit}",
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
    what_would_do = what_would_do.format(or_tobit="" if scan.negative.count else " or 'tobit'")
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
    """Name the matrix of some data that is read, for messages."""
    return f"{name}.{matrix(layer)}"


def matrix(layer: str | None) -> str:
    """Name the matrix that is read, of no data in particular."""
    if layer == _keys.RAW:
        return "raw.X"
    return "X" if layer is None else f"layers[{layer!r}]"


def _first(bad: Odd, adata: AnnData, genes: pd.Index) -> str:
    return f"cell {str(adata.obs_names[bad.row])!r}, gene {genes[bad.gene]!r}"


def scale_of(x: np.ndarray, scan: Scan) -> dict[str, np.ndarray]:
    """Columns :data:`SCALE` that describe the expression of every gene, each ``(n_genes,)`` float64.

    Mean and deviation are those of all cells; of some, with expression ``x`` (n_cells, n_genes), are
    ``expression_size``, the median absolute value of what is not zero (NaN: nothing), and the shares.
    """
    n_genes = x.shape[1]

    def of_genes(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Size and shares of some genes."""
        part = x[:, start : start + _SCALED_AT_ONCE].T
        negative = (part < 0).mean(axis=1, dtype=np.float64)
        part = np.abs(part, order="C")
        zero = part == 0
        n = np.count_nonzero(~zero, axis=1)
        part[zero] = np.inf
        part.sort(axis=1)
        # of two in the middle the lower one, not their mean, so that it is whole where values are
        median = part[np.arange(len(part)), np.maximum(n - 1, 0) // 2]
        return np.where(n > 0, median, np.nan), zero.mean(axis=1, dtype=np.float64), negative

    starts = range(0, n_genes, _SCALED_AT_ONCE)
    with side_by_side(len(starts)) as each:
        parts = zip(*each(of_genes, starts), strict=True)
        size, zero, negative = (np.concatenate(part) for part in parts)
    return {
        "expression_mean": scan.mean.astype(np.float64),
        "expression_sd": np.sqrt(scan.deviation / max(1, scan.n_obs)),
        "expression_size": size,
        "share_zero": zero,
        "share_negative": negative,
    }


def another_scale(genes: pd.DataFrame, blocks: Blocks, scan: Scan) -> str | None:
    """Say how the values of new cells cannot be on the scale of a fit; None where they can.

    Cells of another type, batch or depth, or a single one, pass: medians over genes are compared,
    and only what no such difference makes counts.

    Parameters
    ----------
    genes
        Table of a fit, with the columns of :func:`scale_of`, of the genes of ``blocks``.
    blocks, scan
        New cells, of which a few blocks are read.
    """
    if not set(SCALE) <= set(genes):
        return None  # of a fit that did not keep them
    x = _some(blocks)
    old, new = genes[list(SCALE)], pd.DataFrame(scale_of(x, scan), index=genes.index)
    both = np.isfinite(old["expression_size"]) & np.isfinite(new["expression_size"])
    if both.sum() < _FEW_GENES or (x != 0).sum() < _FEW_VALUES:
        return None
    return next(_differences(old, new, both, len(x), scan), None)


def _differences(
    old: pd.DataFrame, new: pd.DataFrame, both: pd.Series, n_cells: int, scan: Scan
) -> Iterator[str]:
    """Differences of scale, the most telling first; ``both``: genes with values on both sides."""
    # negative values on one side only
    before, now = old["share_negative"].mean(), new["share_negative"].mean()
    signed = before >= _SIGNED
    needed = 100 if n_cells < _FEW_CELLS else 10  # few cells may be all up
    if signed and not scan.negative.count and before * len(old) * n_cells >= needed:
        yield f"no value is negative, and {before:.0%} of those of the fit are. {_CENTRED}"
    if before == 0 and now >= _SIGNED:
        yield f"{now:.0%} of the values are negative, and none of the fit is. {_CENTRED}"
    # whole numbers on one side only
    size_before, size_now = old["expression_size"][both], new["expression_size"][both]
    before, now = ((size == np.floor(size)).mean() for size in (size_before, size_now))
    if not scan.fraction.count and before < 1 - _WHOLE:
        yield f"all values are whole numbers, and those of the fit are not. {_COUNTS}"
    if before > _WHOLE and now < 1 - _WHOLE:
        yield f"values are no whole numbers, and those of the fit are. {_COUNTS}"
    # values that are many times as large, in the median gene or in those with the largest means
    ratio = np.log(size_now / size_before)
    largest = old["expression_mean"][both].nlargest(max(_LEAST_TOP, len(ratio) // _TOP)).index
    groups = {"the median gene": (ratio, _OTHER)}
    if not signed:  # a logarithm has hardly been taken of differences
        groups["the genes with the largest means"] = (ratio[largest], _LOGARITHM)
    factor = _FACTOR_WIDE if signed or n_cells < _FEW_CELLS else _FACTOR
    for which, (of_genes, remedy) in groups.items():
        if abs(of_genes.median()) > np.log(factor):
            times = np.exp(of_genes.median())
            yield f"values are {times:.3g} times those of the fit in {which}. {remedy}"
    # zeros on one side only
    before, now = old["share_zero"].mean(), new["share_zero"].mean()
    if min(before, now) < _DENSE and max(before, now) > _SPARSE:
        yield f"{now:.0%} of the values are zero, and {before:.0%} of those of the fit. {_OTHER}"
    # standard deviations of 1 in new cells only
    before, now = (
        (np.abs(table["expression_sd"][both] - 1) < _UNIT).mean() for table in (old, new)
    )
    if scan.n_obs >= _FEW_VALUES and now > _MANY and before < _SOME:
        yield f"genes have a standard deviation of 1, and those of the fit do not. {_CENTRED}"


def _some(blocks: Blocks, n_blocks: int = 3, most: int = 1000) -> np.ndarray:
    """Cells of a few blocks from start to end, (n_cells, n_genes)."""
    picked = np.unique(np.linspace(0, len(blocks) - 1, n_blocks).astype(int))
    parts = [blocks.read(int(k)) for k in picked]
    step = -(-sum(map(len, parts)) // most)
    return np.concatenate(parts)[::step]
