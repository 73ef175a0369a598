"""One pass over all cells: what a fit has to know of them before it looks at a part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.sparse as sp

from grnrep.rows.blocks import Blocks

_CACHED = 2**16  # values whose bits fit into the processor's cache


@dataclass(frozen=True)
class Odd:
    """Values of a kind: how many, and where the first one is (-1: there is none)."""

    count: int = 0
    row: int = -1
    gene: int = -1
    value: float = float("nan")

    def then(self, later: Odd) -> Odd:
        """Both, of this part and a later one."""
        first = self if self.count else later
        return Odd(self.count + later.count, first.row, first.gene, first.value)


@dataclass(frozen=True, eq=False)
class Scan:
    """Sums over cells; they add over blocks.

    Parameters
    ----------
    n_obs
        Cells.
    positive
        Values above zero of every gene, ``(n_genes,)``.
    total, squares
        Sum and sum of squares of every gene, ``(n_genes,)`` float64.
    first, varies
        Value of every gene in the first cell, and whether any cell has another, ``(n_genes,)``.
    depth
        Sum over all genes of every cell, ``(n_obs,)`` float64, in the order of the data.
    content
        A number for the values of every cell, as :func:`content_of` makes it, ``(n_obs,)`` uint64.
    infinite, negative, fraction
        Values that are not finite, below zero, and not whole.
    """

    n_obs: int
    positive: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    first: np.ndarray
    varies: np.ndarray
    depth: np.ndarray
    content: np.ndarray
    infinite: Odd
    negative: Odd
    fraction: Odd

    @property
    def mean(self) -> np.ndarray:
        """Mean of every gene, ``(n_genes,)``; exact where a gene is constant."""
        mean = self.total / max(1, self.n_obs)
        return np.where(self.varies, mean, self.first)

    @property
    def deviation(self) -> np.ndarray:
        """Sum of squared deviations from the mean of every gene, ``(n_genes,)``; 0 where it is constant."""
        left = self.squares - self.total**2 / max(1, self.n_obs)
        return np.where(self.varies, np.maximum(left, 0.0), 0.0)

    def n_constraints(self, link: str) -> int:
        """Values that constrain: under a ReLU those above zero."""
        return int(self.positive.sum()) if link == "relu" else self.n_obs * len(self.positive)


@dataclass(frozen=True, eq=False)
class BlockScan:
    """A function of a block, to be run wherever the block is."""

    blocks: Blocks

    def __call__(self, k: int) -> Scan:
        """Scan block ``k``; ``depth`` and ``content`` are of its rows only."""
        with np.errstate(over="ignore"):  # what 32 bits cannot hold is infinite, and is looked for
            return self._scan(k)

    def _scan(self, k: int) -> Scan:
        every = self.blocks.every_gene(k)
        # a product, since sparse sums are made in the precision of the data and cast afterwards
        ones = np.ones(every.shape[1])
        depth = every @ ones if sp.issparse(every) else every.sum(axis=1, dtype=np.float64)
        rows, block = self.blocks.rows(k), every[:, self.blocks.genes]
        n_genes = len(self.blocks.genes)
        if not sp.issparse(block):
            block = np.asarray(block, dtype=np.float32)
            varies = (block != block[0]).any(0)
            squares = np.square(block).sum(0, dtype=np.float64)
            sums = (
                (block > 0).sum(0),
                block.sum(0, dtype=np.float64),
                squares,
                block[0],
                varies,
                depth,
            )
            odd = (_odd(bad, rows, block) for bad in _kinds(block))
            return Scan(len(rows), *sums, content_of(block), *odd)
        block = sp.csr_matrix(block)
        block.sum_duplicates()
        values, gene = block.data.astype(np.float32), block.indices
        first = block[[0]].toarray()[0].astype(np.float32)
        varies = (np.bincount(gene, minlength=n_genes) < len(rows)) & (first != 0)
        varies[gene[values != first[gene]]] = True
        positive = np.bincount(gene[values > 0], minlength=n_genes)
        total, squares = (
            np.bincount(gene, weights=v, minlength=n_genes) for v in (values, np.square(values))
        )
        sums = positive, total, squares, first, varies, depth
        odd = (_odd_sparse(bad, rows, block) for bad in _kinds(values))
        return Scan(len(rows), *sums, content_of(block), *odd)


def content_of(block: np.ndarray | sp.csr_matrix) -> np.ndarray:
    """A number for the values of every cell, by which other values are noticed, (n_rows,) uint64.

    Σ_i a_i x_i mod 2^64 over the bits x of the float32 values, with drawn multipliers a: two rows that differ
    share it with a chance of at most 2^-32 (Lemire & Kaser 2014, Strongly universal string hashing is
    fast, Comput. J. 57:1624). Zeros add nothing, so that dense and sparse rows of the same values agree.
    """
    multiplier = np.random.default_rng(0).integers(2**64, size=block.shape[1], dtype=np.uint64)
    if not isinstance(block, np.ndarray):
        bits = sp.csr_matrix((_bits(block.data), block.indices, block.indptr), block.shape)
        return bits @ multiplier
    step = max(1, _CACHED // max(1, block.shape[1]))
    out = np.empty(len(block), dtype=np.uint64)
    for k in range(0, len(block), step):
        np.einsum("ki,i->k", _bits(block[k : k + step]), multiplier, out=out[k : k + step])
    return out


def _bits(values: np.ndarray) -> np.ndarray:
    positive_zero = np.float32(0)  # -0.0 + 0.0 = 0.0
    return (values.astype(np.float32) + positive_zero).view(np.uint32).astype(np.uint64)


def _odd(bad: np.ndarray, rows: np.ndarray, block: np.ndarray) -> Odd:
    if not bad.any():
        return Odd()
    cell, gene = np.unravel_index(bad.argmax(), bad.shape)
    return Odd(int(bad.sum()), int(rows[cell]), int(gene), float(block[cell, gene]))


def _odd_sparse(bad: np.ndarray, rows: np.ndarray, block: sp.csr_matrix) -> Odd:
    if not bad.any():
        return Odd()
    cell = int(np.searchsorted(block.indptr, bad.argmax(), side="right")) - 1
    at = block.indptr[cell] + np.flatnonzero(bad[block.indptr[cell] : block.indptr[cell + 1]])
    first = at[block.indices[at].argmin()]
    value = float(np.float32(block.data[first]))
    return Odd(int(bad.sum()), int(rows[cell]), int(block.indices[first]), value)


def _kinds(values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Which values are not finite, negative, and not whole."""
    return ~np.isfinite(values), values < 0, values != np.floor(values)


def add_scans(parts: list[tuple[np.ndarray, Scan]]) -> Scan:
    """Put the scans of all blocks together, each with the positions of its rows."""
    scans = [scan for _, scan in parts]
    depth = np.empty(sum(scan.n_obs for scan in scans))
    content = np.empty(len(depth), dtype=np.uint64)
    for rows, scan in parts:
        depth[rows], content[rows] = scan.depth, scan.content
    odd = {name: Odd() for name in ("infinite", "negative", "fraction")}
    for scan in scans:
        odd = {name: found.then(getattr(scan, name)) for name, found in odd.items()}
    return Scan(
        len(depth),
        reduce(np.add, [scan.positive for scan in scans]),
        reduce(np.add, [scan.total for scan in scans]),
        reduce(np.add, [scan.squares for scan in scans]),
        scans[0].first,
        np.logical_or.reduce([scan.varies | (scan.first != scans[0].first) for scan in scans]),
        depth,
        content,
        **odd,
    )
