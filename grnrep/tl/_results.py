"""What a fit leaves: tables, the options and choices behind them, and how they come into AnnData."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData, ImplicitModificationWarning
from scipy.sparse import csr_matrix

from grnrep import __version__, _keys
from grnrep._cells import Cells
from grnrep._checks import some
from grnrep._record import Decoder, errors, r2
from grnrep._values import scale_of
from grnrep.core.collinearity import indistinguishable
from grnrep.core.design import known_columns, without_known
from grnrep.core.network import without_genes
from grnrep.core.reliability import reliability
from grnrep.rows.scan import Scan
from grnrep.tl._choose import Choices
from grnrep.tl._config import SOLVERS, FitConfig
from grnrep.tl._data import Data
from grnrep.tl._infer import Activities
from grnrep.tl._learn import Learned
from grnrep.tl._repair import repair_table

logger = logging.getLogger("grnrep")

_HIDDEN = 0.9  # share of the variance of a regulator's targets, from which hardly anything is left


@dataclass(frozen=True, eq=False)
class Results:
    """What is set in AnnData under the key of a fit; what else there is beside it, or None."""

    obsm: Any
    varm: csr_matrix | None
    uns: Mapping[str, Any]
    obsm_sd: Any = None
    obsm_free: Any = None
    varm_free: pd.DataFrame | None = None


def results_of(
    data: Data,
    choices: Choices,
    learned: Learned,
    activities: Activities,
    config: FitConfig,
    var_names: pd.Index,
) -> Results:
    """Shape what a fit stores; ``var_names`` are the genes of the data that it is stored in."""
    decoder = learned.decoder
    record = _record_of(data, choices, learned, activities.sums, config)
    if choices.repaired is not None:
        status = record[_keys.REPAIR]["status"]
        counts = status.value_counts().to_dict()
        logger.info("fit %r: repair: %s", config.key_added, counts)
    # of genes that raw alone has the weights are in uns only
    columns = var_names.astype(str).get_indexer(decoder.genes)
    here = columns >= 0
    edge = here[decoder.network.gene]
    place = (columns[decoder.network.gene][edge], decoder.network.regulator[edge])
    shape = (len(var_names), decoder.network.n_regulators)
    varm = csr_matrix((decoder.fit.weight[edge].astype(np.float32), place), shape=shape)
    varm_free = None
    if decoder.fit.loadings is not None:
        loadings = np.zeros((len(var_names), decoder.fit.n_factors), dtype=np.float32)
        loadings[columns[here]] = decoder.fit.loadings[here]
        varm_free = pd.DataFrame(loadings, var_names, decoder.factors)
    return Results(activities.activity, varm, record, activities.sd, activities.free, varm_free)


def model_of(learned: Learned, data: Data, choices: Choices, config: FitConfig) -> AnnData:
    """Data without cells, with the decoder of a fit that was interrupted."""
    decoder, unknown = learned.decoder, np.full((4, len(choices.matched.genes)), np.nan)
    return AnnData(
        var=pd.DataFrame(index=decoder.genes),
        uns={config.key_added: _record_of(data, choices, learned, unknown, config)},
        varm={config.key_added: csr_matrix(decoder.weights(), dtype=np.float32)},
    )


def _record_of(
    data: Data, choices: Choices, learned: Learned, sums: np.ndarray, config: FitConfig
) -> dict[str, Any]:
    """What is kept in ``uns``; ``sums`` are those of :func:`grnrep._record.squared_errors`."""
    matched, decoder, sample = choices.matched, learned.decoder, choices.sample
    edges = matched.edges.assign(learned=decoder.fit.weight)
    if decoder.fit.weight_sd is not None:
        edges[_keys.LEARNED_SD] = decoder.fit.weight_sd
    regulators = _regulator_table(learned, sample.x, constant=~data.scan.varies)
    genes = _gene_table(decoder, sums, data.scan, sample.x)
    if decoder.covariates is not None:
        share = _hidden_share(choices.sample_cells.scaled(sample.x), decoder, choices.sample_cells)
        regulators["covariate_r2"] = share
        hidden = decoder.regulators[share > _HIDDEN]
        if len(hidden):
            logger.warning(
                "covariates explain more than %d %% of the variance of all targets of %d regulators, whose "
                "activity cannot be told from them: %s", 100 * _HIDDEN, len(hidden), some(hidden, 10)
            )  # fmt: skip
    if learned.uncertainty is not None:
        edges["std_err"] = learned.uncertainty.spread.weight_sd
        if learned.uncertainty.rhat is not None:  # of a chain
            genes["noise_variance"] = learned.uncertainty.noise_variance
            regulators["rhat"] = learned.uncertainty.rhat
    record: dict[str, Any] = {
        _keys.NETWORK: edges,
        _keys.REGULATORS: regulators,
        _keys.GENES: genes,
        _keys.DROPPED_REGULATORS: matched.dropped,
        _keys.PARAMS: _params_of(data, choices, learned, config),
        _keys.HISTORY: {"objective": np.asarray(decoder.fit.history, dtype=np.float64)},
    }
    if decoder.fit.loadings is not None:
        record[_keys.LOADINGS] = decoder.fit.loadings
    correlation = _correlation(decoder.fit.covariance)
    if correlation is not None:
        record[_keys.CORRELATION] = correlation
    if decoder.covariates is not None:
        record[_keys.COVARIATES] = decoder.covariates.columns
        record[_keys.EFFECTS] = decoder.fit.effects
    if choices.repaired is not None:
        record[_keys.REPAIR] = repair_table(choices.repaired, decoder)
    return record


def _params_of(
    data: Data, choices: Choices, learned: Learned, config: FitConfig
) -> dict[str, str | int | float | bool]:
    """What was asked for and what was chosen, as ``uns`` keeps it."""
    model, penalties = choices.model, choices.penalties
    params: dict[str, str | int | float | bool] = {"solver": config.solver}
    limit = SOLVERS[config.solver]
    if getattr(config, limit) is not None:
        params[limit] = getattr(config, limit)
    params |= {"likelihood": model.likelihood, "intercept": model.intercept}
    if choices.cells.depth is not None:
        params["depth"] = choices.cells.depth
        params |= learned.decoder.fit.likelihood.numbers()
    if penalties is not None:
        params["ridge"] = penalties.ridge
        params["sign_shrinkage"] = penalties.sign_shrinkage
        params["sign_shrinkage_shared"] = penalties.shared
    if choices.assumed is not None:
        if choices.assumed.tau2 is not None:
            params["sign_variance"] = choices.assumed.tau2
        params["correlated"] = choices.assumed.correlated
        params[_keys.INFLATION] = choices.assumed.inflation
        params["free_factors"] = learned.decoder.fit.n_factors
        params["free_factors_tried"] = choices.assumed.n_factors
        params["free_factors_given"] = choices.assumed.exactly
    if config.solver == "exact":
        params["n_obs_learned"] = data.scan.n_obs if choices.passes else len(choices.sample.rows)
    params["signed"] = choices.matched.signed
    params["magnitudes"] = choices.matched.magnitudes
    params["layer"] = _keys.X if config.layer is None else config.layer
    if config.stratify is not None:
        params["stratify"] = config.stratify
    return params | {
        "rng": config.rng,
        "n_obs": data.scan.n_obs,
        "decoder_load": choices.loads.decoder,
        "effective_load": choices.loads.effective,
        "version": __version__,
        "converged": bool(learned.decoder.fit.converged),
    }


def _regulator_table(learned: Learned, x: np.ndarray, *, constant: np.ndarray) -> pd.DataFrame:
    """Tabulate what is known of every regulator from cells ``x``; genes that are ``constant`` tell none apart."""
    decoder, network = learned.decoder, learned.decoder.network
    n_signed = np.bincount(network.regulator, network.sign != 0, network.n_regulators)
    table = pd.DataFrame(
        {
            "n_targets": network.targets_per_regulator(),
            "n_signed": n_signed.astype(np.int64),
            "group": indistinguishable(without_genes(network, constant)),
            "sign_confidence": np.asarray(learned.sign_confidence, dtype=np.float64),
            "sign_source": np.asarray(learned.sign_source, dtype=object),
        },
        index=decoder.regulators,
    )
    if decoder.fit.covariance is not None:
        table["variance"] = decoder.fit.covariance.diagonal()
        share_zero = (x == 0).mean(0)
        table["reliability"] = reliability(decoder.fit, network, share_zero, kept=learned.kept)
    return table if decoder.fit.ridge is None else table.assign(ridge=decoder.fit.ridge)


def _correlation(covariance: np.ndarray | None) -> np.ndarray | None:
    """Correlations of activities before the data of a cell, or None where they are taken for independent."""
    if covariance is None or not np.any(covariance - np.diag(covariance.diagonal())):
        return None
    sd = np.sqrt(covariance.diagonal())
    return covariance / np.outer(sd, sd)


def _gene_table(decoder: Decoder, sums: np.ndarray, scan: Scan, x: np.ndarray) -> pd.DataFrame:
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
    return table.assign(**decoder.fit.likelihood.arrays())


def _hidden_share(x: np.ndarray, decoder: Decoder, cells: Cells) -> np.ndarray:
    """Share of the variance of every regulator's targets that covariates explain, ``(n_regulators,)``."""
    network, values = decoder.network, torch.as_tensor(x)
    of_gene = []
    for covariates in (None, cells.covariates):
        known = torch.as_tensor(known_columns(len(x), intercept=True, covariates=covariates))
        left = np.square(without_known(values, known).numpy(), dtype=np.float64).sum(0)
        of_gene.append(left[network.gene])
    total, left = (np.bincount(network.regulator, part, network.n_regulators) for part in of_gene)
    return 1 - np.divide(left, total, out=np.ones_like(total), where=total > 0)


def write(results: Results, adata: AnnData, key: str) -> None:
    """Set the parts under ``key``, whatever was there before; a view becomes data of its own."""
    if adata.is_view:
        logger.warning("adata is a view: it becomes an AnnData of its own")
    for table in (results.obsm, results.obsm_sd, results.obsm_free):
        if isinstance(table, pd.DataFrame):
            table.index = adata.obs_names  # of a copy they are strings, whatever they were
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplicitModificationWarning)
        adata.obsm[key] = results.obsm
        for name, table in ((_keys.SD, results.obsm_sd), (_keys.FREE, results.obsm_free)):
            adata.obsm.pop(key + name, None)
            if table is not None:
                adata.obsm[key + name] = table
        if results.varm is not None:
            adata.varm[key] = results.varm
            adata.varm.pop(key + _keys.FREE, None)
        if results.varm_free is not None:
            adata.varm[key + _keys.FREE] = results.varm_free
        adata.uns[key] = results.uns


def copy_of(adata: AnnData) -> AnnData:
    """Copy into memory, whether or not a file is behind ``adata``."""
    return adata.to_memory() if adata.isbacked else adata.copy()
