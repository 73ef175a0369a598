"""Write an AnnData file row block by row block, and open it without reading its matrices."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import scipy.sparse as sp
import zarr
from anndata import AnnData, settings
from anndata.io import sparse_dataset, write_elem

from grnrep.rows.atomic import replacing

Rows: TypeAlias = np.ndarray | sp.csr_array

_CHUNK = 2**18  # stored elements per chunk, and at least as many per append


def check_path(path: str | Path) -> Path:
    """Return a path that a file or store can be written to, or say why it cannot."""
    path = Path(path)
    if path.suffix not in (".h5ad", ".zarr"):
        raise ValueError(f"path must end in .h5ad or .zarr; found {str(path)!r}")
    if path.exists():
        raise FileExistsError(f"path {str(path)!r} exists; remove it or choose another one")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"path has the folder {str(path.parent)!r}, which does not exist; make it first"
        )
    return path


def write_blocks(path: Path, shell: AnnData, blocks: Iterable[Mapping[str, Rows]]) -> None:
    """Write ``shell`` with matrices that arrive as row blocks, under a temporary name until complete.

    Parameters
    ----------
    path
        New file ``.h5ad`` or store ``.zarr``.
    shell
        Everything but the matrices.
    blocks
        Row blocks in order. Every block maps keys of the file ("X", "layers/counts") to rows,
        dense or CSR; they are written as CSR.
    """
    with replacing(path, log=logging.DEBUG) as temporary, _open(temporary) as group:
        write_elem(group, "/", shell)
        if "raw" in group:  # nothing is in it, and backed data with an empty one cannot be cut
            del group["raw"]
        for rows in _merge(blocks):
            for key, matrix in rows.items():
                if key not in group:
                    _create(group, key, matrix)
                sparse_dataset(group[key]).append(matrix)


def attach(shell: AnnData, path: Path) -> AnnData:
    """Give ``shell`` the matrices of its file; they stay on disk until they are indexed."""
    # of h5py, which has no types, or of zarr, whose group may have arrays wherever it has groups
    group: Any = h5py.File(path, "r") if path.suffix == ".h5ad" else zarr.open_group(path, mode="r")
    shell.X = sparse_dataset(group["X"])
    for name in group["layers"]:
        shell.layers[name] = sparse_dataset(group["layers"][name])
    return shell


@contextmanager
def _open(path: Path) -> Iterator[h5py.Group | zarr.Group]:
    if path.suffix == ".h5ad":
        with closing(h5py.File(path, "w")) as file:
            yield file
    else:
        yield zarr.open_group(path, mode="w", zarr_format=settings.zarr_write_format)
        zarr.consolidate_metadata(path)


def _create(group: h5py.Group | zarr.Group, key: str, like: sp.csr_matrix) -> None:
    """Matrix without rows; 64-bit pointers, because the stored elements of many cells pass 2³¹."""
    empty = sp.csr_matrix((0, like.shape[1]), dtype=like.dtype)
    write_elem(
        group, key, empty, dataset_kwargs={"chunks": (_CHUNK,), "indptr_dtype": np.dtype("int64")}
    )


def _merge(blocks: Iterable[Mapping[str, Rows]]) -> Iterator[dict[str, sp.csr_matrix]]:
    """Stack small blocks until they fill a chunk, so that few chunks are written twice."""
    waiting: list[dict[str, sp.csr_matrix]] = []
    for block in blocks:
        waiting.append({key: sp.csr_matrix(rows) for key, rows in block.items()})
        if sum(max(rows.nnz for rows in block.values()) for block in waiting) >= _CHUNK:
            yield _stack(waiting)
            waiting = []
    if waiting:
        yield _stack(waiting)


def _stack(blocks: list[dict[str, sp.csr_matrix]]) -> dict[str, sp.csr_matrix]:
    return {key: sp.vstack([rows[key] for rows in blocks], format="csr") for key in blocks[0]}
