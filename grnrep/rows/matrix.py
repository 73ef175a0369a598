"""Chosen genes of an AnnData as one dense array, read in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from anndata import AnnData

_BLOCK_BYTES = 2**26


def source(adata: AnnData, *, layer: str | None = None, name: str = "adata"):
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


def dense(
    adata: AnnData,
    genes: np.ndarray,
    *,
    cells: np.ndarray | None = None,
    layer: str | None = None,
    name: str = "adata",
) -> np.ndarray:
    """Values of chosen genes, as a dense float32 array.

    Works for dense arrays and scipy sparse matrices and arrays of any numeric
    dtype, in memory or backed by a file. No more than one block of rows is ever
    dense in all genes, and only where the store itself is dense.

    Parameters
    ----------
    adata
        Data (n_obs, n_vars).
    genes
        Positions of the wanted genes in ``adata.var_names``, in the wanted order.
    cells
        A permutation: row ``i`` of the result is row ``cells[i]`` of ``adata``.
        By default rows stay where they are.
    layer
        Layer to read; None reads X.
    name
        How messages call ``adata``.

    Returns
    -------
    Array (n_obs, len(genes)) of dtype float32, C order.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> from grnrep.rows.matrix import dense
    >>> adata = anndata.AnnData(np.arange(6.0).reshape(2, 3))
    >>> dense(adata, np.array([2, 0])).tolist()
    [[2.0, 0.0], [5.0, 3.0]]
    """
    x = source(adata, layer=layer, name=name)
    if np.dtype(x.dtype).kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; found dtype {x.dtype}")
    if getattr(x, "format", None) == "csc":  # rows of a CSC matrix are slow to cut out, columns are not
        x, genes = x[:, genes].tocsr(), slice(None)
    n_genes = x.shape[1] if isinstance(genes, slice) else len(genes)
    place = np.arange(adata.n_obs) if cells is None else np.argsort(cells)
    out = np.empty((adata.n_obs, n_genes), dtype=np.float32)
    for rows in row_slices(*x.shape):
        block = x[rows][:, genes]
        out[place[rows]] = block if isinstance(block, np.ndarray) else block.toarray()
    return out


def canonical(
    adata: AnnData, genes: np.ndarray, *, layer: str | None = None, name: str = "adata"
) -> tuple[np.ndarray, np.ndarray]:
    """Values of chosen genes, with the cells sorted by name.

    A solver that sees cells in this order gives the same result, to the bit,
    whatever their order in ``adata``. Cells that share a name are sorted by
    their values.

    Returns
    -------
    x
        Array (n_obs, len(genes)) of dtype float32.
    cells
        Position in ``adata`` of every row of ``x``.
    """
    names = adata.obs_names.astype(str)
    cells = np.argsort(names.to_numpy(dtype=str), kind="stable")
    x = dense(adata, genes, cells=cells, layer=layer, name=name)
    if not names.is_unique:
        ties = sorted(range(len(cells)), key=lambda row: (names[cells[row]], x[row].tobytes()))
        x, cells = x[ties], cells[ties]
    return x, cells


def row_slices(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices over rows, so many at a time that a float64 block stays small."""
    step = max(1, _BLOCK_BYTES // (8 * max(1, n_columns)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
