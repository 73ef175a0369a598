"""What a network alone determines: the rank test of network component analysis, for every regulator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from grnrep.core.network import Network


class RankTest(NamedTuple):
    """Outcome of the rank test for every regulator.

    Parameters
    ----------
    rank
        Generic rank of the network: the number of regulators that have a target, unless some
        together have fewer targets than they are.
    deficit
        How much less than ``rank`` - 1 remains when a regulator and its targets are deleted, shape
        ``(n_regulators,)``; 0 where the test is passed, or where there is no target.
    undetermined
        Whether the activity of a regulator is not determined even by known weights, shape
        ``(n_regulators,)``: it is one of those that have fewer targets together than they are.
    mixes
        Boolean ``(n_regulators, n_regulators)``: entry (j, k) says that weights of k can be added
        to those of j, in a combination with others in row j that is 0 on all genes but targets of j;
        prediction stays as it is if the activity of k loses a multiple of that of j. So row j
        says what blurs the weights of j, column k what blurs the activity of k. Undetermined
        regulators are in every row.
    """

    rank: int
    deficit: np.ndarray
    undetermined: np.ndarray
    mixes: sp.csr_array

    @property
    def activity_identified(self) -> np.ndarray:
        """Whether a regulator's activity is determined up to its scale, shape ``(n_regulators,)``."""
        return (self.mixes.sum(axis=0) == 0) & ~self.undetermined

    def ambiguous_targets(self, network: Network) -> np.ndarray:
        """Count the targets whose weight, relative to the regulator's others, is not determined."""
        targets = pattern(network).T.tocsr()
        blurred = (self.mixes.astype(np.float64) @ targets).multiply(targets)
        count = np.asarray((blurred > 0).sum(axis=1)).ravel().astype(np.int64)
        return np.where(network.targets_per_regulator() > 1, count, 0)


def rank_test(network: Network) -> RankTest:
    r"""Test every regulator for the rank that network component analysis demands.

    With weights A (genes × regulators) and activities P, the product A P is the same for
    A X and :math:`X^{-1} P`. It determines both up to scale if no other X than a diagonal one
    keeps the zeros of A: column j of A X is in place if
    :math:`A x_j` is 0 outside the targets of j. For generic weights that leaves only
    multiples of the j-th unit vector if the matrix without column j and the rows of its targets has
    rank m − 1. The generic rank of a pattern is the size of its largest matching of regulators
    with genes. One matching of the whole network is repaired for every j: only regulators
    whose gene is deleted look for another one. Where the network itself has a lower rank
    than m, that rank takes the place of m, and the regulators to blame are ``undetermined``.

    Signs and a ReLU narrow down what is possible further; neither is used here.

    Parameters
    ----------
    network
        Edges. Regulators without a target take no part.

    Returns
    -------
    :class:`RankTest`.

    References
    ----------
    Liao et al., PNAS 2003 (the three conditions; this is the second, and ``undetermined`` the first).
    Pothen & Fan, ACM Trans. Math. Softw. 1990 (matchings and generic rank).

    Examples
    --------
    Targets of regulator 0 are targets of 1 too: the activity of 0 may contain some of that of 1,
    and weights of 1 some of those of 0.

    >>> from grnrep.core.identifiability import rank_test
    >>> from grnrep.core.network import Network
    >>> network = Network.from_edges([0, 1, 0, 1, 2], [0, 0, 1, 1, 1], [0] * 5, 3, 2)
    >>> test = rank_test(network)
    >>> test.deficit.tolist(), test.activity_identified.tolist()
    ([0, 1], [False, True])
    >>> test.ambiguous_targets(network).tolist()
    [0, 2]
    """
    m, targets = network.n_regulators, _targets(network)
    regulator_of: dict[int, int] = {}  # gene -> the regulator that it is matched with
    gene_of: dict[int, int] = {}  # and back
    # genes from which no free gene can be reached, now or after further matching
    closed: set[int] = set()
    deficient: set[int] = set()  # regulators that have fewer targets together than they are
    unmatched: set[int] = set()
    for j in range(m):
        if targets[j] and (stuck := _augment(j, targets, regulator_of, gene_of, closed)):
            deficient.update(stuck)
            unmatched.add(j)

    deficit = np.zeros(m, dtype=np.int64)
    rows: list[int] = []
    columns: list[int] = []
    for j in range(m):
        # without the targets of j: regulators that were matched with one of them look for another gene
        displaced = [
            regulator_of[gene]
            for gene in targets[j]
            if gene in regulator_of and regulator_of[gene] != j
        ]
        mixed = set(deficient)
        if displaced:
            trial, trial_back = regulator_of.copy(), gene_of.copy()
            trial_closed = closed.union(targets[j])
            for k in displaced:
                if stuck := _augment(k, targets, trial, trial_back, trial_closed):
                    mixed.update(stuck)
                    deficit[j] += 1
        deficit[j] -= j in unmatched  # it was not in the rank to begin with
        mixed.discard(j)
        rows += [j] * len(mixed)
        columns += sorted(mixed)
    mixes = sp.csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(m, m))
    undetermined = np.isin(np.arange(m), list(deficient))
    return RankTest(len(regulator_of), deficit, undetermined, mixes)


def regulator_load(
    network: Network, n_obs: int, *, n_constraints: np.ndarray, intercept: bool = False
) -> np.ndarray:
    r"""Compute the load of every regulator: constraints on its targets per parameter of its own.

    Regulators of a gene share its constraints, and its intercept, equally:

    .. math:: \alpha_j = \frac{\sum_{i \in T_j} c_i / d_i}{N + |T_j|}

    with :math:`c_i` constraining values of gene i and :math:`d_i` regulators. The parameters of j
    are its activities in N cells and the weights of its targets. Numerators and denominators add
    up to those of Eq. 3 over the genes with a regulator, so that the load of the network is a mean of
    the loads of its regulators, weighted by their numbers of parameters.

    Parameters
    ----------
    network
        Edges.
    n_obs
        Number of cells, N.
    n_constraints
        Number of values of each gene that constrain, shape ``(n_genes,)``: those above 0
        under a ReLU link, all N otherwise.
    intercept
        Whether genes have an intercept, which is one more parameter of each.

    Returns
    -------
    Loads, shape ``(n_regulators,)``.

    References
    ----------
    Schuster & Krogh (2021), Eq. 3.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.identifiability import regulator_load
    >>> from grnrep.core.network import Network
    >>> network = Network.from_edges([0, 1, 1, 2], [0, 0, 1, 1], [0] * 4, 3, 2)
    >>> regulator_load(network, 8, n_constraints=np.array([8, 8, 3])).tolist()
    [1.2, 0.7]
    """
    share = 1 / np.maximum(network.regulators_per_gene(), 1)  # 1 / d_i
    m = network.n_regulators
    constraints = np.bincount(network.regulator, (share * n_constraints)[network.gene], m)
    parameters = n_obs + network.targets_per_regulator()
    if intercept:
        parameters = parameters + np.bincount(network.regulator, share[network.gene], m)
    return constraints / parameters


def pattern(network: Network) -> sp.csr_array:
    """Set the edges as ones in a sparse matrix (n_genes, n_regulators)."""
    return network.matrix(np.ones(network.n_edges))


def _targets(network: Network) -> list[list[int]]:
    """Targets of every regulator, those with the fewest regulators first.

    A target of its own is then matched with its regulator, which no deletion of another one undoes.
    """
    degree = network.regulators_per_gene()[network.gene]
    order = np.lexsort((network.gene, degree, network.regulator))
    ends = np.cumsum(network.targets_per_regulator())[:-1]
    return [part.tolist() for part in np.split(network.gene[order], ends)]


def _augment(
    first: int,
    targets: list[list[int]],
    regulator_of: dict[int, int],
    gene_of: dict[int, int],
    closed: set[int],
) -> list[int] | None:
    """Match one more regulator with a gene that is not closed, along an alternating path (breadth first).

    Where none leads to a free gene: close the genes that were seen, and return the regulators
    that have no others.
    """
    reached_from: dict[int, int] = {}  # gene -> the regulator that it was reached from
    queue = [first]
    for regulator in queue:
        for gene in targets[regulator]:
            if gene in closed or gene in reached_from:
                continue
            reached_from[gene] = regulator
            if gene in regulator_of:
                queue.append(regulator_of[gene])
                continue
            while True:  # back to the first: each takes the gene it led to, and passes its own on
                receiver = reached_from[gene]
                passed_on = gene_of.get(receiver)
                regulator_of[gene], gene_of[receiver] = receiver, gene
                if receiver == first or passed_on is None:
                    return None
                gene = passed_on
    closed.update(reached_from)
    return queue
