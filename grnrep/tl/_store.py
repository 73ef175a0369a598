"""Shape results as tables and write them to AnnData, all at once."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData, ImplicitModificationWarning
from scipy.sparse import csr_matrix

from grnrep import _keys
from grnrep._record import Decoder, r2, squared_errors
from grnrep.core.collinearity import indistinguishable
from grnrep.core.identifiability import without_genes

logger = logging.getLogger("grnrep")


def store(
    adata: AnnData,
    key: str,
    *,
    obsm: pd.DataFrame,
    uns: Mapping,
    varm: csr_matrix | None = None,
    obsm_sd: pd.DataFrame | None = None,
) -> None:
    """Set the parts under ``key``, whatever was there before; a view becomes data of its own."""
    if adata.is_view:
        logger.warning("adata is a view: it becomes an AnnData of its own")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplicitModificationWarning)
        adata.obsm[key] = obsm
        adata.obsm.pop(key + _keys.SD, None)
        if obsm_sd is not None:
            adata.obsm[key + _keys.SD] = obsm_sd
        if varm is not None:
            adata.varm[key] = varm
        adata.uns[key] = uns


def copy_of(adata: AnnData) -> AnnData:
    """Copy into memory, whether or not a file is behind ``adata``."""
    return adata.to_memory() if adata.isbacked else adata.copy()


def activity_table(
    adata: AnnData, activity: np.ndarray, cells: np.ndarray, *, regulators: pd.Index
) -> pd.DataFrame:
    """Tabulate activities in the order of ``adata``; row i belongs to its cell ``cells[i]``."""
    values = np.empty(activity.shape, dtype=np.float32)
    values[cells] = activity
    return pd.DataFrame(values, index=adata.obs_names, columns=regulators)


def weight_matrix(decoder: Decoder, columns: np.ndarray, *, n_vars: int) -> csr_matrix:
    """Spread learned weights over all genes; gene i of the decoder is at ``columns[i]``."""
    network = decoder.network
    place = (columns[network.gene], network.regulator)
    return csr_matrix((decoder.fit.weight.astype(np.float32), place), shape=(n_vars, network.n_regulators))


def regulator_table(
    decoder: Decoder, *, constant: np.ndarray, sign_confidence: np.ndarray, sign_source: np.ndarray
) -> pd.DataFrame:
    """Tabulate what is known of every regulator; genes that are ``constant`` tell none apart."""
    network, ridge = decoder.network, decoder.fit.ridge
    table = pd.DataFrame(
        {
            "n_targets": network.targets_per_regulator(),
            "n_signed": np.bincount(network.regulator, network.sign != 0, network.n_regulators).astype(
                np.int64
            ),
            "group": indistinguishable(without_genes(network, constant)),
            "sign_confidence": np.asarray(sign_confidence, dtype=np.float64),
            "sign_source": np.asarray(sign_source, dtype=object),
        },
        index=decoder.regulators,
    )
    return table if ridge is None else table.assign(ridge=ridge)


def gene_table(x: np.ndarray, decoder: Decoder) -> pd.DataFrame:
    """Tabulate what is known of every gene; ``decoder`` still has the activities of its fit."""
    bias = decoder.fit.bias
    return pd.DataFrame(
        {
            "n_regulators": decoder.network.regulators_per_gene(),
            "intercept": np.zeros(len(decoder.genes)) if bias is None else bias,
            "r2": r2(*squared_errors(x, decoder.fit.activity, decoder)),
        },
        index=decoder.genes,
    )
