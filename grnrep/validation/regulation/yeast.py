"""The yeast induction set: 179 single inductions of regulators, as ground truth for activities."""

from __future__ import annotations

import os

import pandas as pd
from anndata import AnnData

from grnrep.validation.regulation.perturbation_set import (
    PerturbationSet,
    data_folder,
    perturbations,
)

_SOURCE = "https://github.com/BrentLab/TFA-evaluation (Ma & Brent, Bioinformatics 2021, MIT)"
_FILES = ("zev_expression.tsv", "tfko_network_signed.tsv")
_REFERENCE = "WT"


def load_yeast(data_dir: str | os.PathLike[str] | None = None) -> PerturbationSet:
    """Read the yeast induction set and its network.

    Expression is on log scale relative to the wild type, the last sample, which is zero
    in every gene. The signs of the network come from knock-outs of the regulators, a data
    set of its own. A regulator's own gene is not among the genes.

    Parameters
    ----------
    data_dir
        Folder with ``yeast/zev_expression.tsv`` (genes × samples) and
        ``yeast/tfko_network_signed.tsv`` (genes × regulators, -1, 0 or +1), or the folder
        ``yeast`` itself. By default the environment variable ``GRNREP_DATA_DIR``.

    Returns
    -------
    Set with ``adata`` (180 samples × 573 genes; ``obs_names`` are the induced regulators and the
    wild type ``WT``) and ``net`` (1,283 edges of 50 regulators). Activities are expected to rise.

    Raises
    ------
    ValueError
        If no folder is given.
    FileNotFoundError
        If a file is missing; the message says where it comes from.

    Examples
    --------
    >>> from grnrep.validation import load_yeast
    >>> yeast = load_yeast("data")  # doctest: +SKIP
    """
    folder = data_folder(data_dir, "yeast", _FILES, source=_SOURCE)
    expression, edges = (pd.read_csv(folder / name, sep="\t", index_col=0) for name in _FILES)
    adata = AnnData(expression.T.astype("float64"))
    net = edges.rename_axis(index="target", columns="source").stack().rename("weight").reset_index()
    net = net.loc[net["weight"] != 0, ["source", "target", "weight"]].reset_index(drop=True)
    induced = [name for name in adata.obs_names if name != _REFERENCE]
    perturbed = perturbations(dict(zip(induced, induced, strict=True)), controls=_REFERENCE)
    return PerturbationSet(adata=adata, net=net, perturbed=perturbed, relative=True)
