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
from grnrep._cells import Cells, Covariates, is_count, link_of, read_cells
from grnrep._match import network_of
from grnrep._record_check import TYPICAL_SIZE, check_record, likelihood_of
from grnrep.core.fitted import Fit
from grnrep.core.kernels import residuals
from grnrep.core.likelihoods import LIKELIHOODS, restored
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from grnrep.core.threads import side_by_side
from grnrep.rows.blocks import row_slices
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
    likelihood, solver
        What it was learned with, by name.
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
    def factors(self) -> pd.Index:
        """Names of free factors."""
        return pd.Index([f"free_{k + 1}" for k in range(self.fit.n_factors)], dtype=object)

    @property
    def link(self) -> str:
        """What zeros say, "relu" or "identity"; see :func:`grnrep._cells.link_of`."""
        return link_of(self.likelihood)

    def weights(self) -> csr_array:
        """Learned weights (n_genes, n_regulators)."""
        return self.network.matrix(self.fit.weight)

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
            loadings=None if fit.loadings is None else fit.loadings[keep_gene],
            weight_sd=None if fit.weight_sd is None else fit.weight_sd[keep],
            covariance=None
            if fit.covariance is None
            else fit.covariance[keep_regulator][:, keep_regulator],
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
    params, genes, regulators = (
        record[part] for part in (_keys.PARAMS, _keys.GENES, _keys.REGULATORS)
    )
    network, order = network_of(record[_keys.NETWORK], genes.index, regulators.index)
    likelihood, layer = likelihood_of(params), str(params["layer"])
    counts = is_count(likelihood)
    covariates = effects = None
    if _keys.COVARIATES in record:
        covariates = Covariates(record[_keys.COVARIATES])
        effects = np.asarray(record[_keys.EFFECTS], dtype=np.float64)
    names = LIKELIHOODS[likelihood].parameter_names()
    parameters = {name: _column(genes, name) for name in names if name in genes}
    if "softness" in names and "softness" not in genes:  # a record of 0.1.0 before it was kept
        parameters["softness"] = 0.2 * parameters["mean"]
    numbers = {TYPICAL_SIZE: float(params[TYPICAL_SIZE])} if TYPICAL_SIZE in params else {}
    edges = record[_keys.NETWORK]
    fit = Fit(
        weight=_column(edges, _keys.LEARNED)[order],
        bias=_column(genes, "intercept") if params["intercept"] else None,
        activity=np.empty((0, len(regulators))),
        likelihood=restored(likelihood, parameters, numbers if counts else None),
        depth=float(params["depth"]) if counts else float("nan"),
        ridge=_column(regulators, "ridge") if "ridge" in regulators else None,
        covariance=_covariance(record),
        inflation=float(params.get(_keys.INFLATION, 1.0)),
        weight_sd=_column(edges, _keys.LEARNED_SD)[order] if _keys.LEARNED_SD in edges else None,
        loadings=_numbers(record, _keys.LOADINGS),
        effects=effects,
    )
    return Decoder(
        network=network,
        fit=fit,
        genes=genes.index,
        regulators=regulators.index,
        likelihood=likelihood,
        solver=str(params["solver"]),
        layer=None if layer == _keys.X else layer,
        covariates=covariates,
    )


def is_contrast(adata: AnnData, key: str) -> bool:
    """Whether rows under ``key`` are differences of expression, not cells."""
    return bool(_checks.record(adata, key)[_keys.PARAMS].get("contrast", False))


def decoder_of_rows(adata: AnnData, key: str) -> Decoder:
    """The decoder by which the rows of ``adata`` have their activities: of differences the linear one."""
    decoder = read_decoder(adata, key)
    return for_contrasts(decoder, key) if is_contrast(adata, key) else decoder


def for_contrasts(decoder: Decoder, key: str) -> Decoder:
    """The decoder of differences of expression: linear, without intercepts, covariates and ReLU.

    Raises
    ------
    ValueError
        If weights are no slopes of expression: of fits of counts, and of 0 and 1.
    """
    if decoder.likelihood not in ("gaussian", "tobit"):
        raise ValueError(
            f"contrast=True must have a fit of normalised expression; that under key={key!r} has "
            f"likelihood={decoder.likelihood!r}, whose weights are no slopes of what was measured"
        )
    likelihood = restored("gaussian", decoder.fit.likelihood.arrays(), None)
    fit = replace(decoder.fit, bias=None, effects=None, likelihood=likelihood)
    return replace(decoder, fit=fit, likelihood="gaussian", covariates=None)


def _numbers(record: Mapping[str, Any], name: str) -> np.ndarray | None:
    return np.asarray(record[name], dtype=np.float64) if name in record else None


def _covariance(record: Mapping[str, Any]) -> np.ndarray | None:
    """Of the prior of activities, (n_regulators, n_regulators), from their variances and correlations."""
    if "variance" not in record[_keys.REGULATORS]:
        return None
    sd = np.sqrt(_column(record[_keys.REGULATORS], "variance"))
    correlation = _numbers(record, _keys.CORRELATION)
    return np.diag(sd**2) if correlation is None else correlation * np.outer(sd, sd)


def _column(table: pd.DataFrame, name: str) -> np.ndarray:
    return table[name].to_numpy(dtype=np.float64)


def squared_errors(x: np.ndarray, z: np.ndarray, decoder: Decoder, facts: Cells) -> np.ndarray:
    """Sums of every gene over cells with expression ``x`` and activities ``z``, (4, n_genes) float64.

    Squared residuals; and of counts, which are compared as rates over size factors, deviations from the
    mean rate of the fit, their squares, and cells. Of other expression a scan knows the deviations. They add
    over blocks of cells; see :func:`errors`.
    """
    w, _ = Pattern(decoder.network).rows(torch.as_tensor(decoder.fit.weight, dtype=torch.float32))
    x, fit = facts.scaled(x), replace(decoder.fit, covariates=facts.covariates)

    def of_slice(rows: slice) -> np.ndarray:
        """The sums over some of the cells."""
        sums = np.zeros((4, len(decoder.genes)))
        activity = np.ascontiguousarray(z[rows].T, dtype=np.float32)
        shape = (len(decoder.genes), activity.shape[1])
        below = np.ascontiguousarray(np.broadcast_to(-fit.offset(rows).T, shape), dtype=np.float32)
        residuals(w, below, None, None, activity, below)  # minus what is predicted
        residual = decoder.predict(np.negative(below, out=below))
        residual -= x[rows].T
        sums[0] = np.einsum("ik,ik->i", residual, residual, dtype=np.float64)
        if facts.size_factors is not None:
            off = x[rows] - fit.likelihood.arrays()["mean"]
            sums[1:] = off.sum(0), np.square(off).sum(0), np.full(len(sums[0]), len(off))
        return sums

    slices = list(row_slices(*x.shape))
    with side_by_side(len(slices)) as each:
        return sum(each(of_slice, slices), np.zeros((4, len(decoder.genes))))


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
