"""What comes with the package: a small example, and a learned decoder."""

from __future__ import annotations

import anndata as ad
import pandas as pd

from grnrep._checks import some
from grnrep.io import load
from grnrep.io.packaged import MODELS, packaged, packaged_model

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
    h5ad, network = (packaged(name, made_by="make_example.py") for name in _FILES)
    return ad.read_h5ad(h5ad), pd.read_csv(network, float_precision="round_trip")


def decoder(name: str = "blood_cells") -> ad.AnnData:
    """Load a learned decoder that comes with the package, to infer activities with and learn nothing.

    ``"blood_cells"``: 700 peripheral blood cells × 765 genes (``scanpy.datasets.pbmc68k_reduced().raw``, of 10x
    Genomics) with CollecTRI, log-normalised expression. New cells have to be normalised in the same way: counts
    divided by the sum of the cell, times 10,000, log(1 + x).

    Parameters
    ----------
    name
        Which decoder; "blood_cells" is the only one.

    Returns
    -------
    Annotated data without cells, 0 × genes of the decoder, as :func:`grnrep.io.load` gives it: the second
    argument of :func:`grnrep.tl.transform`. ``uns["grnrep"]["card"]`` says what it was learned from. The name also
    does as a path of :func:`grnrep.io.load` and at the shell: ``grnrep transform cells.h5ad blood_cells -o out.h5ad``.

    Raises
    ------
    ValueError
        If there is no decoder of this name.
    FileNotFoundError
        If the file is neither in the installed package nor in a source checkout.

    Examples
    --------
    >>> import scanpy as sc
    >>> import grnrep as gr
    >>> model = gr.ds.decoder()
    >>> model.uns["grnrep"]["card"]["licence"]
    'CC-BY-4.0'
    >>> new = sc.datasets.pbmc68k_reduced()[:50].copy()
    >>> gr.tl.transform(new, model, use_raw=True, progress=False)
    >>> new.obsm["grnrep"].shape
    (50, 162)
    """
    if name not in MODELS:
        raise ValueError(f"name must be one of {some(MODELS)}; found {name!r}")
    return load(packaged_model(name))
