"""Read back what a fit kept in uns: a decoder with the names of its genes and regulators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_array

from grnrep import _checks, _keys
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.rows.matrix import row_slices


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
    params
        What the fit was made with.
    """

    network: Network
    fit: Fit
    genes: pd.Index
    regulators: pd.Index
    params: Mapping[str, str | int | float | bool]

    @property
    def layer(self) -> str | None:
        """Layer that was read; None is X."""
        layer = str(self.params["layer"])
        return None if layer == _keys.X else layer

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
        bias = None if self.fit.bias is None else self.fit.bias[keep_gene]
        ridge = None if self.fit.ridge is None else self.fit.ridge[keep_regulator]
        return Decoder(
            network=smaller,
            fit=Fit(self.fit.weight[keep], bias, np.empty((0, smaller.n_regulators)), ridge=ridge),
            genes=self.genes[keep_gene],
            regulators=self.regulators[keep_regulator],
            params=self.params,
        )


def read_decoder(adata: AnnData, key: str, *, name: str = "adata") -> Decoder:
    """Read the decoder that `grnrep.tl.fit` kept in ``adata.uns[key]``; uses names only."""
    record = _checks.record(adata, key, name=name)
    edges, params = record[_keys.NETWORK], record[_keys.PARAMS]
    gene_table, regulator_table = record[_keys.GENES], record[_keys.REGULATORS]
    genes, regulators = gene_table.index, regulator_table.index
    gene, regulator = genes.get_indexer(edges[_keys.TARGET]), regulators.get_indexer(edges[_keys.SOURCE])
    order = np.lexsort((regulator, gene))  # the order that Network keeps
    sign = np.nan_to_num(edges[_keys.WEIGHT].to_numpy())
    fit = Fit(
        weight=edges[_keys.LEARNED].to_numpy(dtype=np.float64)[order],
        bias=gene_table["intercept"].to_numpy(dtype=np.float64) if params["intercept"] else None,
        activity=np.empty((0, len(regulators))),
        ridge=regulator_table["ridge"].to_numpy(dtype=np.float64) if "ridge" in regulator_table else None,
    )
    network = Network.from_edges(gene, regulator, sign, len(genes), len(regulators))
    return Decoder(network=network, fit=fit, genes=genes, regulators=regulators, params=params)


def squared_errors(x: np.ndarray, z: np.ndarray, decoder: Decoder) -> tuple[np.ndarray, np.ndarray]:
    """Per gene, sums over cells of squared residuals and of squared deviations from the mean.

    Parameters
    ----------
    x
        Expression of ``decoder.genes`` (n_cells, n_genes).
    z
        Activities of ``decoder.regulators`` (n_cells, n_regulators).
    decoder
        Weights, intercepts and link.

    Returns
    -------
    Two arrays (n_genes,) of float64. The second is exactly 0 where a gene is constant.
    """
    weights = decoder.weights()
    bias = 0.0 if decoder.fit.bias is None else decoder.fit.bias[:, None]
    mean = x.mean(axis=0, dtype=np.float64)  # exact where a float32 gene is constant
    residual, deviation = np.zeros(len(decoder.genes)), np.zeros(len(decoder.genes))
    for rows in row_slices(*x.shape):
        predicted = weights @ z[rows].T.astype(np.float64) + bias
        if decoder.params["link"] == "relu":
            np.maximum(predicted, 0.0, out=predicted)
        predicted -= x[rows].T
        residual += np.einsum("ik,ik->i", predicted, predicted)
        centred = x[rows] - mean
        deviation += np.einsum("ki,ki->i", centred, centred)
    return residual, deviation


def r2(residual: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Share of variance explained, 1 - residual / deviation; NaN where nothing varies."""
    return 1.0 - np.divide(residual, deviation, out=np.full(len(deviation), np.nan), where=deviation > 0)
