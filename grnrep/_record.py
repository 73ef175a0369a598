"""Read back what a fit kept in uns: a decoder with the names of its genes and regulators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import csr_array

from grnrep import _checks, _keys
from grnrep._cells import Cells, is_count, link_of, read_cells
from grnrep._covariates import Covariates
from grnrep._record_check import TYPICAL_SIZE, check_record, likelihood_of
from grnrep.core.fitted import Fit
from grnrep.core.kernels import residuals
from grnrep.core.likelihoods import LIKELIHOODS, restored
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from grnrep.rows.matrix import row_slices
from grnrep.rows.scan import Scan


@dataclass(frozen=True, eq=False, kw_only=True)
class Decoder:
    """A learned decoder with names; genes, regulators and edges sorted by name.

    Parameters
    ----------
    network
        Edges as index arrays into ``genes`` and ``regulators``.
    fit
        Learned weights and intercepts; without activities.
    genes, regulators
        Names.
    likelihood
        One of :data:`grnrep._cells.LIKELIHOODS`.
    solver
        What it was learned by, "exact" or "gradient".
    layer
        Layer that was read; None is X.
    covariates
        How columns of obs become known columns, or None.
    """

    network: Network
    fit: Fit
    genes: pd.Index
    regulators: pd.Index
    likelihood: str
    solver: str
    layer: str | None
    covariates: Covariates | None = None

    def cells(self, adata: AnnData, scan: Scan, *, name: str = "adata") -> Cells:
        """Read what the decoder needs to know of the cells of ``adata``."""
        counts = is_count(self.likelihood)
        depth = self.fit.depth if counts else None
        return read_cells(adata, scan, self.covariates, counts=counts, depth=depth, name=name)

    @property
    def link(self) -> str:
        """What zeros say, "relu" or "identity"; see :func:`grnrep._cells.link_of`."""
        return link_of(self.likelihood)

    def weights(self) -> csr_array:
        """Learned weights (n_genes, n_regulators)."""
        network = self.network
        return csr_array(
            (self.fit.weight, network.regulator, network.indptr),
            shape=(network.n_genes, network.n_regulators),
        )

    def restrict(self, genes: pd.Index) -> Decoder:
        """Keep those genes that are among ``genes``, and their regulators."""
        network = self.network
        keep_gene = self.genes.isin(genes)
        keep = keep_gene[network.gene]
        keep_regulator = np.zeros(network.n_regulators, dtype=bool)
        keep_regulator[network.regulator[keep]] = True
        # positions among what is kept; sorted stays sorted, so edges keep their order
        gene, regulator = np.cumsum(keep_gene) - 1, np.cumsum(keep_regulator) - 1
        smaller = Network.from_edges(
            gene[network.gene[keep]],
            regulator[network.regulator[keep]],
            network.sign[keep],
            int(keep_gene.sum()),
            int(keep_regulator.sum()),
        )
        fit = self.fit
        fit = replace(
            fit,
            weight=fit.weight[keep],
            activity=np.empty((0, smaller.n_regulators)),
            bias=None if fit.bias is None else fit.bias[keep_gene],
            effects=None if fit.effects is None else fit.effects[keep_gene],
            ridge=None if fit.ridge is None else fit.ridge[keep_regulator],
            likelihood=fit.likelihood.genes(torch.as_tensor(keep_gene)),
        )
        genes, regulators = self.genes[keep_gene], self.regulators[keep_regulator]
        return replace(self, network=smaller, fit=fit, genes=genes, regulators=regulators)

    def predict(self, p: np.ndarray) -> np.ndarray:
        """Expected expression for ``p`` (n_genes, n_cells), in its place; of counts the rate."""
        values = torch.from_numpy(p)
        return values.copy_(self.fit.likelihood.to(values).expected(values)).numpy()


def read_decoder(adata: AnnData, key: str, *, name: str = "adata") -> Decoder:
    """Read the decoder that `grnrep.tl.fit` kept in ``adata.uns[key]``; uses names only.

    Raises
    ------
    KeyError, ValueError
        If there is none, or it is not what a fit of this version, or an earlier one, can have kept.
    """
    record = _checks.record(adata, key, name=name)
    check_record(record, what=f"{name}.uns[{key!r}]")
    edges, params = record[_keys.NETWORK], record[_keys.PARAMS]
    likelihood, layer = likelihood_of(params), str(params["layer"])
    gene_table, regulator_table = record[_keys.GENES], record[_keys.REGULATORS]
    genes, regulators = gene_table.index, regulator_table.index
    gene, regulator = (
        genes.get_indexer(edges[_keys.TARGET]),
        regulators.get_indexer(edges[_keys.SOURCE]),
    )
    order = np.lexsort((regulator, gene))  # the order that Network keeps
    sign = np.nan_to_num(edges[_keys.WEIGHT].to_numpy())
    covariates = effects = None
    if _keys.COVARIATES in record:
        covariates = Covariates(record[_keys.COVARIATES])
        effects = np.asarray(record[_keys.EFFECTS], dtype=np.float64)
    fit = Fit(
        weight=edges[_keys.LEARNED].to_numpy(dtype=np.float64)[order],
        bias=_column(gene_table, "intercept") if params["intercept"] else None,
        activity=np.empty((0, len(regulators))),
        likelihood=restored(likelihood, _parameters(gene_table, likelihood), _numbers(params)),
        depth=float(params["depth"]) if is_count(likelihood) else float("nan"),
        ridge=_column(regulator_table, "ridge"),
        effects=effects,
    )
    return Decoder(
        network=Network.from_edges(gene, regulator, sign, len(genes), len(regulators)),
        fit=fit,
        genes=genes,
        regulators=regulators,
        likelihood=likelihood,
        solver=str(params["solver"]),
        layer=None if layer == _keys.X else layer,
        covariates=covariates,
    )


def _column(table: pd.DataFrame, name: str) -> np.ndarray | None:
    return table[name].to_numpy(dtype=np.float64) if name in table else None


def _numbers(params: Mapping[str, Any]) -> dict[str, float]:
    """What a likelihood has for all genes; an earlier record has none."""
    return {name: float(params[name]) for name in (TYPICAL_SIZE,) if name in params}


def _parameters(genes: pd.DataFrame, likelihood: str) -> dict[str, np.ndarray]:
    """Parameters of a likelihood, ``(n_genes,)`` each."""
    names = LIKELIHOODS[likelihood].parameter_names()
    parameters = {name: genes[name].to_numpy(dtype=np.float64) for name in names if name in genes}
    if "softness" in names and "softness" not in genes:  # a record of 0.1.0 before it was kept
        parameters["softness"] = 0.2 * parameters["mean"]
    return parameters


def squared_errors(x: np.ndarray, z: np.ndarray, decoder: Decoder, facts: Cells) -> np.ndarray:
    """Sums over cells of every gene, (4, n_genes) float64; they add over blocks of cells. See :func:`errors`.

    Squared residuals; and of counts, which are compared as rates over size factors, deviations from the
    mean rate of the fit, their squares, and cells. Of other expression a scan knows the deviations.

    Parameters
    ----------
    x
        Expression of ``decoder.genes`` (n_cells, n_genes).
    z
        Activities of ``decoder.regulators`` (n_cells, n_regulators).
    decoder
        Weights, intercepts and link.
    facts
        Covariates and size factors of the cells.
    """
    w, _ = Pattern(decoder.network).rows(torch.as_tensor(decoder.fit.weight, dtype=torch.float32))
    x, fit = facts.scaled(x), replace(decoder.fit, covariates=facts.covariates)
    sums = np.zeros((4, len(decoder.genes)))
    for rows in row_slices(*x.shape):
        activity = np.ascontiguousarray(z[rows].T, dtype=np.float32)
        shape = (len(decoder.genes), activity.shape[1])
        below = np.ascontiguousarray(np.broadcast_to(-fit.offset(rows).T, shape), dtype=np.float32)
        residuals(w, below, None, None, activity, below)  # minus what is predicted
        residual = decoder.predict(np.negative(below, out=below))
        residual -= x[rows].T
        sums[0] += np.einsum("ik,ik->i", residual, residual, dtype=np.float64)
        if facts.size_factors is not None:
            off = x[rows] - fit.likelihood.arrays()["mean"]
            sums[1:] += off.sum(0), np.square(off).sum(0), np.full(len(sums[0]), len(off))
    return sums


def errors(sums: np.ndarray, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Sums over all cells of squared residuals, and of squared deviations from the mean, ``(n_genes,)``."""
    residual, off, squares, n = sums
    of_rates = np.maximum(squares - off**2 / np.maximum(n, 1), 0.0)
    return residual, np.where(n > 0, of_rates, scan.deviation)


def r2(residual: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Share of variance explained, 1 - residual / deviation; NaN where nothing varies."""
    return 1.0 - np.divide(
        residual, deviation, out=np.full(len(deviation), np.nan), where=deviation > 0
    )
