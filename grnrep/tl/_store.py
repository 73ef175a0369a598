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
from grnrep._match import Match
from grnrep._record import Decoder, errors, r2
from grnrep._scale import scale_of
from grnrep.core.collinearity import indistinguishable
from grnrep.core.identifiability import without_genes
from grnrep.rows.scan import Scan

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
    for table in (obsm, obsm_sd):
        if isinstance(table, pd.DataFrame):
            table.index = adata.obs_names  # of a copy they are strings, whatever they were
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


def weight_matrix(decoder: Decoder, columns: np.ndarray, *, n_vars: int) -> csr_matrix:
    """Spread learned weights over all genes; gene i of the decoder is at ``columns[i]``."""
    network = decoder.network
    place = (columns[network.gene], network.regulator)
    return csr_matrix(
        (decoder.fit.weight.astype(np.float32), place), shape=(n_vars, network.n_regulators)
    )


def results_of(
    adata: AnnData,
    matched: Match,
    decoder: Decoder,
    activity: pd.DataFrame,
    sums: np.ndarray,
    scan: Scan,
    x: np.ndarray,
    **about: np.ndarray,
) -> dict:
    """Shape what every fit stores.

    ``sums`` are those of :func:`grnrep._record.squared_errors`, ``x`` (n_cells, n_genes) the cells learned
    from.
    """
    fit = decoder.fit
    return {
        "obsm": activity,
        "varm": weight_matrix(decoder, matched.columns, n_vars=adata.n_vars),
        "uns": {
            _keys.NETWORK: matched.edges.assign(learned=fit.weight),
            _keys.REGULATORS: regulator_table(decoder, **about),
            _keys.GENES: gene_table(decoder, sums, scan, x),
            _keys.DROPPED_REGULATORS: np.array(matched.dropped_regulators, dtype=object),
            _keys.PARAMS: dict(decoder.params),
            _keys.HISTORY: {"objective": np.asarray(fit.history, dtype=np.float64)},
        },
    }


def regulator_table(
    decoder: Decoder, *, constant: np.ndarray, sign_confidence: np.ndarray, sign_source: np.ndarray
) -> pd.DataFrame:
    """Tabulate what is known of every regulator; genes that are ``constant`` tell none apart."""
    network, ridge = decoder.network, decoder.fit.ridge
    table = pd.DataFrame(
        {
            "n_targets": network.targets_per_regulator(),
            "n_signed": np.bincount(
                network.regulator, network.sign != 0, network.n_regulators
            ).astype(np.int64),
            "group": indistinguishable(without_genes(network, constant)),
            "sign_confidence": np.asarray(sign_confidence, dtype=np.float64),
            "sign_source": np.asarray(sign_source, dtype=object),
        },
        index=decoder.regulators,
    )
    return table if ridge is None else table.assign(ridge=ridge)


def gene_table(decoder: Decoder, sums: np.ndarray, scan: Scan, x: np.ndarray) -> pd.DataFrame:
    """Tabulate what is known of every gene; ``x`` are the cells learned from."""
    bias = decoder.fit.bias
    table = pd.DataFrame(
        {
            "n_regulators": decoder.network.regulators_per_gene(),
            "intercept": np.zeros(len(decoder.genes)) if bias is None else bias,
            "r2": r2(*errors(sums, scan)),
            **scale_of(x, scan),
        },
        index=decoder.genes,
    )
    scatter = {
        name: getattr(decoder.fit, name, None) for name in ("mean", "softness", "dispersion")
    }
    return table.assign(**{name: value for name, value in scatter.items() if value is not None})
