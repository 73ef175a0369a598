"""Where the values of an AnnData lie, and slices over rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anndata import AnnData

_BLOCK_BYTES = 2**26


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
    step = max(1, _BLOCK_BYTES // (8 * max(1, n_columns)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
