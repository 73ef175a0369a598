"""The scale of expression, gene by gene: kept with a fit, so that new cells on another one are noticed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from grnrep.rows.blocks import Blocks
from grnrep.rows.scan import Scan

COLUMNS: Final = (
    "expression_mean",
    "expression_sd",
    "expression_size",
    "share_zero",
    "share_negative",
)

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
_COUNTS: Final = (
    "One is counts and the other is not, most likely: name the layer that is as the fit's"
)
_LOGARITHM: Final = "A logarithm was taken of one and not of the other, most likely"
_OTHER: Final = "Normalise new as the data that was fitted"


def scale_of(x: np.ndarray, scan: Scan) -> dict[str, np.ndarray]:
    """Columns that describe the expression of every gene, each ``(n_genes,)`` float64.

    Parameters
    ----------
    x
        Expression of some of the cells (n_cells, n_genes).
    scan
        Of all of them.

    Returns
    -------
    ``expression_mean`` and ``expression_sd`` of all cells; of some, ``expression_size``, the median absolute
    value of what is not zero (NaN: nothing), and ``share_zero`` and ``share_negative`` of the values.
    """
    n_cells, n_genes = x.shape
    size = np.full(n_genes, np.nan)
    for start in range(0, n_genes, _step(n_cells)):
        part = np.abs(x[:, start : start + _step(n_cells)].T)
        n = (part > 0).sum(1)
        part[part == 0] = np.inf
        part.sort(axis=1)
        # of two in the middle the lower one, not their mean, so that it is whole where values are
        median = part[np.arange(len(part)), np.maximum(n - 1, 0) // 2]
        size[start : start + len(part)] = np.where(n > 0, median, np.nan)
    return {
        "expression_mean": scan.mean.astype(np.float64),
        "expression_sd": np.sqrt(scan.deviation / max(1, scan.n_obs)),
        "expression_size": size,
        "share_zero": (x == 0).mean(0, dtype=np.float64),
        "share_negative": (x < 0).mean(0, dtype=np.float64),
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
    if not set(COLUMNS) <= set(genes):
        return None  # of a fit that did not keep them
    x = _some(blocks)
    old, new = genes[list(COLUMNS)], pd.DataFrame(scale_of(x, scan), index=genes.index)
    both = np.isfinite(old["expression_size"]) & np.isfinite(new["expression_size"])
    if both.sum() < _FEW_GENES or (x != 0).sum() < _FEW_VALUES:
        return None
    pair = _Pair(old, new, old[both], new[both], len(x), scan)
    return pair.signs() or pair.whole() or pair.size() or pair.zeros() or pair.deviations()


@dataclass(frozen=True, eq=False)
class _Pair:
    """Old and new scale of all genes, and of those with values in both; and of how many cells new is."""

    old: pd.DataFrame
    new: pd.DataFrame
    old_both: pd.DataFrame
    new_both: pd.DataFrame
    n_cells: int
    scan: Scan

    def signs(self) -> str | None:
        """Negative values on one side only."""
        before, now = self.old["share_negative"].mean(), self.new["share_negative"].mean()
        needed = 100 if self.n_cells < _FEW_CELLS else 10  # few cells may be all up
        if before >= _SIGNED and not self.scan.negative.count:
            if before * len(self.old) * self.n_cells >= needed:
                return f"no value is negative, and {before:.0%} of those of the fit are. {_CENTRED}"
        elif before == 0 and now >= _SIGNED:
            return f"{now:.0%} of the values are negative, and none of the fit is. {_CENTRED}"
        return None

    def whole(self) -> str | None:
        """Whole numbers on one side only."""
        before, now = (
            _share_whole(table["expression_size"]) for table in (self.old_both, self.new_both)
        )
        if not self.scan.fraction.count and before < 1 - _WHOLE:
            return f"all values are whole numbers, and those of the fit are not. {_COUNTS}"
        if before > _WHOLE and now < 1 - _WHOLE:
            return f"values are no whole numbers, and those of the fit are. {_COUNTS}"
        return None

    def size(self) -> str | None:
        """Values that are many times as large, in the median gene or in those with the largest means."""
        ratio = np.log(self.new_both["expression_size"] / self.old_both["expression_size"])
        largest = (
            self.old_both["expression_mean"].nlargest(max(_LEAST_TOP, len(ratio) // _TOP)).index
        )
        groups = {"the median gene": (ratio, _OTHER)}
        signed = self.old["share_negative"].mean() >= _SIGNED
        if not signed:  # a logarithm has hardly been taken of differences
            groups["the genes with the largest means"] = (ratio[largest], _LOGARITHM)
        factor = _FACTOR_WIDE if signed or self.n_cells < _FEW_CELLS else _FACTOR
        for which, (of_genes, remedy) in groups.items():
            if abs(of_genes.median()) > np.log(factor):
                times = np.exp(of_genes.median())
                return f"values are {times:.3g} times those of the fit in {which}. {remedy}"
        return None

    def zeros(self) -> str | None:
        """Zeros on one side only."""
        before, now = self.old["share_zero"].mean(), self.new["share_zero"].mean()
        if min(before, now) < _DENSE and max(before, now) > _SPARSE:
            return (
                f"{now:.0%} of the values are zero, and {before:.0%} of those of the fit. {_OTHER}"
            )
        return None

    def deviations(self) -> str | None:
        """Standard deviations of 1 in new cells only."""
        before, now = (
            (np.abs(table["expression_sd"] - 1) < _UNIT).mean()
            for table in (self.old_both, self.new_both)
        )
        if self.scan.n_obs >= _FEW_VALUES and now > _MANY and before < _SOME:
            return f"genes have a standard deviation of 1, and those of the fit do not. {_CENTRED}"
        return None


def _share_whole(size: pd.Series) -> float:
    return float((size == np.floor(size)).mean())


def _some(blocks: Blocks, n_blocks: int = 3, most: int = 1000) -> np.ndarray:
    """Cells of a few blocks from start to end, (n_cells, n_genes)."""
    picked = np.unique(np.linspace(0, len(blocks) - 1, n_blocks).astype(int))
    parts = [blocks.read(int(k)) for k in picked]
    step = -(-sum(map(len, parts)) // most)
    return np.concatenate(parts)[::step]


def _step(n_cells: int) -> int:
    """Genes at a time."""
    return max(1, 2**22 // max(1, n_cells))
