"""Regulators whose targets overlap: same sets, nested sets, and how collinear the columns are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

from grnrep.core.identifiability import pattern
from grnrep.core.network import Network

# Share of a regulator in exact dependencies, squared, that is more than rounding. A regulator with one of
# 100,000 targets of two others that differ by it has 5e-6.
_DEPENDENT = 1e-10
_NULL = 1e-12  # eigenvalue of the Gram matrix, relative to the largest, that is 0 but for rounding


def own_targets(network: Network) -> np.ndarray:
    """Count the genes that have no other regulator, for every regulator, shape ``(n_regulators,)``.

    Examples
    --------
    >>> from grnrep.core.collinearity import own_targets
    >>> from grnrep.core.network import Network
    >>> own_targets(Network.from_edges([0, 0, 1], [0, 1, 1], [0] * 3, 2, 2)).tolist()
    [0, 1]
    """
    alone = network.regulators_per_gene()[network.gene] == 1
    return np.bincount(network.regulator[alone], minlength=network.n_regulators)


def indistinguishable(network: Network) -> np.ndarray:
    """Label groups of regulators with exactly the same targets.

    Whatever the weights are, any mixture of the activities of a group predicts the same;
    prior signs, where they differ, and prior strengths are all that tells them apart.

    Parameters
    ----------
    network
        Edges.

    Returns
    -------
    Group of every regulator, shape ``(n_regulators,)``: 0, 1, ... in the order of the first
    member, or -1 for a regulator that shares its set of targets with no other, or has no target.

    Examples
    --------
    >>> from grnrep.core.collinearity import indistinguishable
    >>> from grnrep.core.network import Network
    >>> network = Network.from_edges([0, 1, 0, 1, 0], [0, 0, 2, 2, 1], [0] * 5, 2, 3)
    >>> indistinguishable(network).tolist()
    [0, -1, 0]
    """
    ends = np.cumsum(network.targets_per_regulator())[:-1]
    members: dict[bytes, list[int]] = {}
    for regulator, genes in enumerate(np.split(network.gene[network.transpose_order], ends)):
        if len(genes):
            members.setdefault(genes.tobytes(), []).append(regulator)
    label = np.full(network.n_regulators, -1, dtype=np.int64)
    for group, regulators in enumerate(same for same in members.values() if len(same) > 1):
        label[regulators] = group
    return label


def nested(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Find pairs of regulators of which one has all targets of the other, and more.

    Parameters
    ----------
    network
        Edges.

    Returns
    -------
    Regulators with fewer targets and, for each, one that has all of them and more; two arrays of
    equal length, sorted by the first, then the second. A regulator without a target is in no pair.

    Examples
    --------
    >>> from grnrep.core.collinearity import nested
    >>> from grnrep.core.network import Network
    >>> inner, outer = nested(Network.from_edges([0, 1, 0], [0, 0, 1], [0] * 3, 2, 2))
    >>> inner.tolist(), outer.tolist()
    ([1], [0])
    """
    ones, size = pattern(network), network.targets_per_regulator()
    shared = (ones.T @ ones).tocoo()
    inside = (shared.data == size[shared.row]) & (size[shared.row] < size[shared.col])
    inner, outer = shared.row[inside].astype(np.int64), shared.col[inside].astype(np.int64)
    order = np.lexsort((outer, inner))
    return inner[order], outer[order]


class Collinearity(NamedTuple):
    """How far the columns of a network are collinear.

    Parameters
    ----------
    vif
        Variance inflation factor of every regulator, shape ``(n_regulators,)``: 1 where its targets
        are unlike all others, infinite where its column is a combination of others exactly,
        NaN without a target.
    condition
        Condition number of the network with columns of norm 1: its largest singular value over the
        smallest; infinite if columns are dependent, NaN without any edge.
    """

    vif: np.ndarray
    condition: float


def collinearity(network: Network) -> Collinearity:
    r"""Measure how far the columns of a network, as a matrix of prior signs, are collinear.

    The variance inflation factor is :math:`1 / (1 - R_j^2)`, the diagonal of the inverse Gram matrix
    of columns of norm 1, where :math:`R_j^2` is the share of column j (not centred: cells have
    no intercept) that the others explain. It is by how much the variance of an activity is
    inflated where weights are at their prior signs; an unknown sign counts as positive,
    which is the worst case where all are unknown. Weights that are learned are less alike than signs.

    Parameters
    ----------
    network
        Edges.

    Returns
    -------
    :class:`Collinearity`.

    References
    ----------
    Belsley, Kuh & Welsch, Regression Diagnostics, 1980 (condition number, chapter 3).

    Examples
    --------
    >>> from grnrep.core.collinearity import collinearity
    >>> from grnrep.core.network import Network
    >>> measured = collinearity(Network.from_edges([0, 1, 0, 2], [0, 0, 1, 2], [0] * 4, 3, 3))
    >>> measured.vif.round(3).tolist(), round(measured.condition, 3)
    ([2.0, 2.0, 1.0], 2.414)
    """
    size = network.targets_per_regulator()
    with_targets = np.flatnonzero(size)
    vif = np.full(network.n_regulators, np.nan)
    if len(with_targets) == 0:
        return Collinearity(vif, np.nan)
    columns = pattern(network)
    columns.data = np.where(network.sign < 0, -1.0, 1.0) / np.sqrt(size[network.regulator])
    gram = (columns.T @ columns).toarray()[np.ix_(with_targets, with_targets)]
    # G = V diag(value) V', so that (G⁻¹)_jj = Σ_k V_jk² / value_k, infinite for who takes part in a null vector
    value, vector = scipy.linalg.eigh(gram)
    null = value <= _NULL * value[-1]
    share = vector**2
    inverse = (share[:, ~null] / value[~null]).sum(axis=1)
    dependent = share[:, null].sum(axis=1) > _DEPENDENT
    vif[with_targets] = np.where(dependent, np.inf, np.maximum(inverse, 1.0))
    # singular values of the columns are square roots of the eigenvalues
    return Collinearity(vif, np.inf if null.any() else float(np.sqrt(value[-1] / value[0])))
