"""Expression of chosen genes in blocks of rows, wherever it lies: memory, HDF5, zarr, dask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from anndata.io import sparse_dataset

from grnrep.core.threads import side_by_side

_BLOCK_BYTES = 2**25  # of a block that is dense in the chosen genes, float32
_SLICE_BYTES = 2**23  # of a slice of rows, float64: in the cache, and several are side by side
_MOST_ROWS, _FEWEST_ROWS = 4096, 512  # of a block; of few rows there are to be
_FEWEST_BLOCKS = 4  # so many blocks, which are side by side
_STRETCH = 4  # rows that may be read for every one that is wanted: a file gives a stretch sooner than its parts


@dataclass(frozen=True, eq=False)
class Blocks:
    """Rows of X or a layer, so many at a time, with all genes or the chosen ones.

    Values in memory come in the order of ``order``, those in files in that of the file. A block
    depends on nothing else, so that whoever computes on it gets the same result.

    Parameters
    ----------
    x
        Values (n_obs, n_vars): numpy, scipy CSR or CSC, h5py or zarr, backed sparse, or dask.
    genes
        Positions of the wanted columns, in the wanted order.
    order
        Order of the rows that nothing but their names and values decides, ``(n_obs,)``.
    n_rows
        Rows a block.
    shape
        Of all values when they were opened, ``(n_obs, n_vars)``.
    """

    x: Any
    genes: np.ndarray
    order: np.ndarray
    n_rows: int
    shape: tuple[int, int]
    in_file_order: bool = field(default=False)

    @classmethod
    def of(
        cls,
        adata: AnnData,
        genes: np.ndarray,
        *,
        layer: str | None = None,
        name: str = "adata",
        n_rows: int | None = None,
    ) -> Blocks:
        """Open the values of ``adata`` for reading; blocks of at most 32 MiB unless ``n_rows`` says how large."""
        x = source(adata, layer=layer, name=name)
        part = getattr(x, "group", x)  # of a sparse matrix
        if isinstance(part, h5py.HLObject) and not part:
            raise ValueError(f"{name} must be in an open file; found a closed one. Open it again")
        if np.dtype(x.dtype).kind not in "biuf":
            remedy = ". Make them numbers: .astype('float32')" if x.dtype == object else ""
            raise TypeError(f"{name} must hold real numbers; found dtype {x.dtype}{remedy}")
        if (
            getattr(x, "format", None) == "csc"
        ):  # kept by gene: a row can only be had with all others
            x = (x if sp.issparse(x) else x.to_memory()).tocsr()
        if hasattr(x, "dask") and not _is_on_cluster(x):
            x = _Lazy(x)
        if n_rows is None:
            width = len(genes) if _is_sparse(x) else x.shape[1]
            most = min(_MOST_ROWS, max(_FEWEST_ROWS, -(-adata.n_obs // _FEWEST_BLOCKS)))
            n_rows = min(most, max(1, _BLOCK_BYTES // (4 * max(1, width))))
            n_rows = _whole_chunks(x, n_rows)
        blocks = cls(x, np.asarray(genes), np.arange(adata.n_obs), n_rows, tuple(x.shape))
        return replace(blocks, order=_canonical(blocks, adata.obs_names.astype(str)))

    @property
    def n_obs(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def in_memory(self) -> bool:
        """Whether any rows can be had at no cost."""
        return isinstance(self.x, np.ndarray) or sp.issparse(self.x)

    def __len__(self) -> int:
        return -(-self.n_obs // self.n_rows)

    def rows(self, k: int) -> np.ndarray:
        """Positions in the data of the rows of block ``k``."""
        some = np.arange(k * self.n_rows, min((k + 1) * self.n_rows, self.n_obs))
        return self.order[some] if self.in_memory and not self.in_file_order else some

    def every_gene(self, k: int) -> np.ndarray | sp.csr_matrix:
        """Block ``k`` with all genes, sparse where the store is."""
        some = self.rows(k)
        whole = (
            len(some) and some[-1] - some[0] == len(some) - 1 and bool((np.diff(some) == 1).all())
        )
        return self._checked(
            _get(self.x, slice(some[0], some[-1] + 1) if whole else some), len(some)
        )

    def chosen(self, block: np.ndarray | sp.csr_matrix) -> np.ndarray:
        """The chosen genes of a block with all of them, dense float32."""
        block = block[:, self.genes]
        return np.ascontiguousarray(
            block if isinstance(block, np.ndarray) else block.toarray(), dtype=np.float32
        )

    def read(self, k: int) -> np.ndarray:
        """Block ``k`` of the chosen genes, (rows, n_genes) float32."""
        return self.chosen(self.every_gene(k))

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Chosen genes of any rows of the data, in the order of ``positions``, float32."""
        positions = np.asarray(positions, dtype=np.int64)
        out = np.empty((len(positions), len(self.genes)), dtype=np.float32)
        by_row = np.argsort(positions, kind="stable")
        block = positions[by_row] // self.n_rows
        parts = np.split(by_row, np.flatnonzero(np.diff(block)) + 1)  # of one block each

        def read(part: np.ndarray) -> np.ndarray:
            return self.chosen(_some(self.x, positions[part]))

        with side_by_side(len(parts)) as each:
            for part, values in zip(parts, each(read, parts), strict=True):
                out[part] = values
        return out

    def _checked(
        self, block: np.ndarray | sp.csr_matrix, n_rows: int
    ) -> np.ndarray | sp.csr_matrix:
        """The block, if it has the shape that it should have."""
        if block.shape != (n_rows, self.shape[1]) or tuple(self.x.shape) != self.shape:
            raise ValueError(
                f"the data changed while they were read: there were {self.shape[0]:,} cells and "
                f"{self.shape[1]:,} genes, and now there are {self.x.shape[0]:,} and {self.x.shape[1]:,}; "
                "leave the file as it is until the call has ended"
            )
        return block

    def portable(self) -> Blocks:
        """The same blocks for another process: files are opened there anew."""
        return replace(self, x=_portable(self.x))


def source(adata: AnnData, *, layer: str | None = None, name: str = "adata") -> Any:
    """X or a layer of ``adata``, as it lies there: in memory or in a file.

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If X is asked for and there is none.
    """
    if layer is not None:
        if layer not in adata.layers:
            found = ", ".join(map(repr, adata.layers)) or "none"
            raise KeyError(f"layer={layer!r} is not in {name}.layers; available: {found}")
        return adata.layers[layer]
    if adata.X is None:
        raise ValueError(
            f"{name}.X is None; name a layer: {', '.join(map(repr, adata.layers)) or 'none there'}"
        )
    return adata.X


def row_slices(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices over rows, so many at a time that a float64 block stays small."""
    step = max(1, _SLICE_BYTES // (8 * max(1, n_columns)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


@dataclass(frozen=True)
class _Elsewhere:
    """Something that is opened where it is needed."""

    open: Callable[[], Any]

    def __getstate__(self) -> dict[str, Any]:
        return {"open": self.open}  # what was opened here is of no use elsewhere

    @cached_property
    def x(self) -> Any:
        """What lies there."""
        return self.open()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.x, name)

    def __getitem__(self, rows: Any) -> Any:
        return self.x[rows]


@dataclass(frozen=True)
class _Lazy:
    """A dask array of which rows are computed by the thread that asks, since blocks are side by side already."""

    x: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.x, name)

    def __getitem__(self, rows: Any) -> Any:
        return self.x[rows].compute(scheduler="synchronous")


def _is_on_cluster(x: Any) -> bool:
    """Whether parts of a dask array are held by the workers of a cluster, which alone can get at them."""
    if "distributed" not in sys.modules:
        return False
    from distributed import Future

    return any(isinstance(part, Future) for part in dict(x.__dask_graph__()).values())


def _portable(x: Any) -> Any:
    group = getattr(x, "group", x)  # of backed sparse data; an h5py dataset itself
    file = getattr(group, "file", None)
    return (
        x
        if file is None
        else _Elsewhere(partial(_open_h5, str(Path(file.filename).resolve()), group.name))
    )


def _open_h5(path: str, name: str) -> Any:
    import h5py

    node = h5py.File(path, "r")[name]
    return node if isinstance(node, h5py.Dataset) else sparse_dataset(node)


def _is_sparse(x: Any) -> bool:
    return sp.issparse(x) or hasattr(x, "format")


def _whole_chunks(x: Any, n_rows: int) -> int:
    """Blocks that end where chunks of a dense store end, so that none is read twice."""
    chunks = getattr(x, "chunks", None)
    if not chunks:
        return n_rows
    chunk = max(chunks[0]) if isinstance(chunks[0], tuple) else chunks[0]
    return max(1, n_rows // chunk) * chunk


def _get(x: Any, rows: slice | np.ndarray) -> np.ndarray | sp.csr_matrix:
    """Rows with all genes, in memory."""
    block = x[rows]
    block = block.compute() if hasattr(block, "compute") else block
    return block.tocsr() if sp.issparse(block) else np.asarray(block)


def _some(x: Any, rows: np.ndarray) -> np.ndarray | sp.csr_matrix:
    """Sorted rows; of stores that are dense, or where many are wanted, out of their whole stretch."""
    n_stretch = rows[-1] + 1 - rows[0]
    scattered = _is_sparse(x) and n_stretch > _STRETCH * len(rows)
    if isinstance(x, np.ndarray) or sp.issparse(x) or scattered:
        return _get(x, rows)
    stretch = _get(x, slice(rows[0], rows[-1] + 1))
    return stretch[rows - rows[0]]


def _canonical(blocks: Blocks, names: pd.Index) -> np.ndarray:
    """Positions of rows sorted by name; rows that share one by their values."""
    names = names.to_numpy(dtype=str)
    order = np.argsort(names, kind="stable")
    ranked = names[order]
    same = ranked[1:] == ranked[:-1]
    if not same.any():
        return order
    tied = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
    values = np.empty(len(tied), dtype=object)
    for start in range(0, len(tied), blocks.n_rows):
        part = slice(start, start + blocks.n_rows)
        values[part] = [row.tobytes() for row in blocks.take(order[tied[part]])]
    order[tied] = order[tied[sorted(range(len(tied)), key=lambda i: (ranked[tied[i]], values[i]))]]
    return order
