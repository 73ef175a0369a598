"""The small example that comes with the package."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import pandas as pd

_FILES = ("example.h5ad", "example_network.csv")


def example() -> tuple[ad.AnnData, pd.DataFrame]:
    """Load a small simulated data set that comes with the package.

    250 cells × 300 genes, 30 regulators, noise of standard deviation 0.2, made
    by :func:`simulate`.

    Returns
    -------
    adata
        Cells × genes, with the fields that :func:`simulate` sets.
    net
        DataFrame with columns source, target and weight, the true signed
        strength of every edge.

    Raises
    ------
    FileNotFoundError
        If the files are neither in the installed package nor in a source checkout.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.example()
    >>> adata.shape, adata.obsm["true_activity"].shape
    ((250, 300), (250, 30))
    """
    package = Path(__file__).resolve().parents[1]
    folders = [package / "ds" / "data", package.parent / "data"]  # installed; source checkout
    for folder in folders:
        h5ad, network = (folder / name for name in _FILES)
        if h5ad.is_file() and network.is_file():
            return ad.read_h5ad(h5ad), pd.read_csv(network, float_precision="round_trip")
    raise FileNotFoundError(
        f"the example files {' and '.join(_FILES)} are in none of {[str(folder) for folder in folders]}; "
        "reinstall grnrep, or run data/make_example.py in a source checkout"
    )
