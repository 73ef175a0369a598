"""Edges of a regulatory network as index arrays: the shape of the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Network:
    """Edges between regulators (sources) and genes (targets), without names.

    Edges are kept sorted by gene, then by regulator, so that the edges of one
    gene are contiguous. Build it with :meth:`from_edges`, which sorts.

    Parameters
    ----------
    gene
        Index of the target gene of every edge, shape ``(n_edges,)``.
    regulator
        Index of the regulator of every edge, shape ``(n_edges,)``.
    sign
        Prior sign of every edge: -1, +1, or 0 where it is unknown.
    magnitude
        Size that every edge is expected to have beside the others of its regulator, ``(n_edges,)``; 1 where nothing
        is known of it.
    n_genes
        Number of genes, with or without edges.
    n_regulators
        Number of regulators, with or without edges.
    """

    gene: np.ndarray
    regulator: np.ndarray
    sign: np.ndarray
    magnitude: np.ndarray
    n_genes: int
    n_regulators: int

    @classmethod
    def from_edges(
        cls,
        gene: ArrayLike,
        regulator: ArrayLike,
        sign: ArrayLike,
        n_genes: int,
        n_regulators: int,
        *,
        magnitude: ArrayLike = 1.0,
    ) -> Network:
        """Sort edges by gene, then regulator; of ``sign`` only the sign counts.

        ``magnitude`` is kept as it is given: :func:`relative_magnitudes` makes it from prior weights.

        Raises
        ------
        ValueError
            If an index is out of range, or an edge is repeated.
        """
        gene = np.asarray(gene, dtype=np.int64)
        regulator = np.asarray(regulator, dtype=np.int64)
        sign = np.sign(np.asarray(sign, dtype=np.float64))
        magnitude = np.broadcast_to(np.asarray(magnitude, dtype=np.float64), gene.shape)
        order = np.lexsort((regulator, gene))
        gene, regulator, sign, magnitude = (
            part[order] for part in (gene, regulator, sign, magnitude)
        )
        if len(gene) and (gene.min() < 0 or gene.max() >= n_genes):
            raise ValueError(
                f"gene indices must lie in [0, {n_genes}); found {gene.min()} to {gene.max()}"
            )
        if len(gene) and (regulator.min() < 0 or regulator.max() >= n_regulators):
            raise ValueError(
                f"regulator indices must lie in [0, {n_regulators}); "
                f"found {regulator.min()} to {regulator.max()}"
            )
        if np.any((np.diff(gene) == 0) & (np.diff(regulator) == 0)):
            raise ValueError("edges must be unique: the same gene and regulator occur twice")
        return cls(gene, regulator, sign, magnitude, int(n_genes), int(n_regulators))

    @property
    def expected(self) -> np.ndarray:
        """Prior sign times magnitude of every edge, ``(n_edges,)``: where weights are expected, but for their scale."""
        return self.sign * self.magnitude

    @property
    def n_edges(self) -> int:
        """Number of edges, C_d of Eq. 3."""
        return len(self.gene)

    @cached_property
    def indptr(self) -> np.ndarray:
        """CSR row pointer over genes, shape ``(n_genes + 1,)``."""
        counts = np.bincount(self.gene, minlength=self.n_genes)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def transpose_order(self) -> np.ndarray:
        """Permutation that sorts the edges by regulator, then gene."""
        return np.lexsort((self.gene, self.regulator))

    def matrix(self, values: np.ndarray) -> sp.csr_array:
        """Values of edges, ``(n_edges,)``, as a sparse matrix (n_genes, n_regulators)."""
        shape = (self.n_genes, self.n_regulators)
        return sp.csr_array((values, self.regulator, self.indptr), shape=shape)

    def targets_per_regulator(self) -> np.ndarray:
        """Number of targets of every regulator, shape ``(n_regulators,)``."""
        return np.bincount(self.regulator, minlength=self.n_regulators)

    def regulators_per_gene(self) -> np.ndarray:
        """Number of regulators of every gene, shape ``(n_genes,)``."""
        return np.diff(self.indptr)


def relative_magnitudes(weight: ArrayLike, regulator: ArrayLike) -> np.ndarray:
    r"""Sizes of prior weights ω beside those of the other edges of their regulator.

    .. math:: \rho_{ij} = |\omega_{ij}| / \sqrt{\tfrac{1}{n_j} \sum_{i'} \omega_{i'j}^2}

    over the n_j edges of regulator j whose weight is known. Of its scale weights say nothing, since w · z
    leaves it open.

    Parameters
    ----------
    weight
        Prior weight of every edge, ``(n_edges,)``; 0 where it is unknown.
    regulator
        Index of the regulator of every edge, ``(n_edges,)``.

    Returns
    -------
    ρ of every edge, ``(n_edges,)``; 1 where the weight is unknown, and exactly 1 where a regulator's weights are all
    of one size.

    Examples
    --------
    >>> from grnrep.core.network import relative_magnitudes
    >>> relative_magnitudes([-1, 7, 0, 3], [0, 0, 0, 1]).tolist()
    [0.2, 1.4, 1.0, 1.0]
    """
    size = np.abs(np.asarray(weight, dtype=np.float64))
    regulator = np.asarray(regulator, dtype=np.int64)
    known = size > 0
    # by the largest first: no square under- or overflows, and equal sizes are 1 to the last digit
    largest = np.zeros(int(regulator.max(initial=-1)) + 1)
    np.maximum.at(largest, regulator, size)
    share = size / np.where(known, largest[regulator], 1.0)
    squares = np.bincount(regulator, weights=share**2, minlength=len(largest))
    rms = np.sqrt(squares / np.maximum(1, np.bincount(regulator[known], minlength=len(largest))))
    return np.where(known, share / np.where(known, rms[regulator], 1.0), 1.0)


def with_known_columns(network: Network, n_known: int) -> Network:
    """Append ``n_known`` columns that reach every gene: intercepts and covariates.

    Examples
    --------
    >>> from grnrep.core.network import Network, with_known_columns
    >>> network = Network.from_edges([0], [0], [0], n_genes=2, n_regulators=1)
    >>> with_known_columns(network, 1).n_edges
    3
    """
    if n_known == 0:
        return network
    gene = np.repeat(np.arange(network.n_genes), n_known)
    column = network.n_regulators + np.tile(np.arange(n_known), network.n_genes)
    return Network.from_edges(
        np.concatenate([network.gene, gene]),
        np.concatenate([network.regulator, column]),
        np.concatenate([network.sign, np.zeros(len(gene))]),
        network.n_genes,
        network.n_regulators + n_known,
        magnitude=np.concatenate([network.magnitude, np.ones(len(gene))]),
    )


def without_genes(network: Network, drop: np.ndarray) -> Network:
    """Leave out the edges of some genes, such as constant ones, which tell no regulators apart.

    Parameters
    ----------
    network
        Edges.
    drop
        Which genes to leave out, boolean, shape ``(n_genes,)``.

    Returns
    -------
    Network with the same genes and regulators, some of which may have no edge.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.network import Network, without_genes
    >>> network = Network.from_edges([0, 1], [0, 0], [1, 0], 2, 1)
    >>> without_genes(network, np.array([True, False])).gene.tolist()
    [1]
    """
    keep = ~np.asarray(drop, dtype=bool)[network.gene]
    edges = network.gene[keep], network.regulator[keep], network.sign[keep]
    return Network.from_edges(*edges, network.n_genes, network.n_regulators)
