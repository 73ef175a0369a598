"""Expression of chosen genes, read and checked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep.rows.matrix import canonical


def read_values(
    adata: AnnData, genes: pd.Index, columns: np.ndarray, *, layer: str | None, name: str = "adata"
) -> tuple[np.ndarray, np.ndarray]:
    """Read genes with cells sorted by name, and check that all values are finite.

    Parameters
    ----------
    adata
        Data.
    genes, columns
        Names of the genes, and their positions in ``adata.var_names``.
    layer
        Layer to read; None reads X.
    name
        How messages call ``adata``.

    Returns
    -------
    x
        Expression (n_obs, n_genes), float32.
    cells
        Position in ``adata`` of every row of ``x``.
    """
    x, cells = canonical(adata, columns, layer=layer, name=name)
    bad = ~np.isfinite(x)
    if bad.any():
        raise ValueError(
            f"{where(layer, name=name)} must be finite; found {bad.sum()} NaN or infinite value(s) in "
            f"genes of the network, first in {_first(bad, adata.obs_names[cells], genes)}"
        )
    return x, cells


def check_not_negative(x: np.ndarray, names: pd.Index, genes: pd.Index, *, what: str, remedy: str) -> None:
    """Check that values fit a ReLU; say how many do not, where the first is, and what would do."""
    bad = x < 0
    if bad.any():
        raise ValueError(
            f"{what} must not be negative under link='relu'; found {bad.sum()} negative value(s), "
            f"first in {_first(bad, names, genes)}. {remedy}"
        )


def where(layer: str | None, *, name: str = "adata") -> str:
    """Name the matrix that is read, for messages."""
    return f"{name}.X" if layer is None else f"{name}.layers[{layer!r}]"


def _first(bad: np.ndarray, names: pd.Index, genes: pd.Index) -> str:
    cell, gene = np.unravel_index(bad.argmax(), bad.shape)
    return f"cell {str(names[cell])!r}, gene {genes[gene]!r}"
