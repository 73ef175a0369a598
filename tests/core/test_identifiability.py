"""The rank test against dense matrices with generic weights, and the loads of regulators."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from scipy.sparse.csgraph import structural_rank

from grnrep.core.identifiability import pattern, rank_test, regulator_load
from grnrep.core.load import decoder_load
from grnrep.core.network import Network, without_genes


def _random(seed: int) -> Network:
    """Draw a small network, dense or sparse, deep or shallow, some of it repeated or empty."""
    draw = np.random.default_rng(seed)
    n, m = draw.integers(2, 14), draw.integers(1, 9)
    edges = draw.random((n, m)) < draw.choice([0.15, 0.3, 0.6])
    if m > 2 and draw.random() < 0.5:
        edges[:, 1] = edges[:, 0]
    if m > 3 and draw.random() < 0.5:
        edges[:, 2] |= edges[:, 3]
    return _network(edges)


def _network(edges: np.ndarray) -> Network:
    gene, regulator = np.nonzero(edges)
    return Network.from_edges(gene, regulator, np.zeros(len(gene)), *edges.shape)


def _generic(network: Network) -> np.ndarray:
    """Random weights (n_genes, n_regulators), bounded away from 0."""
    draw = np.random.default_rng(12345)
    weight = np.zeros((network.n_genes, network.n_regulators))
    size = network.n_edges
    weight[network.gene, network.regulator] = draw.uniform(0.5, 1.5, size) * draw.choice(
        [-1, 1], size
    )
    return weight


def _rank(matrix: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(matrix)) if matrix.size else 0


def _outside(weight: np.ndarray, j: int) -> np.ndarray:
    """Weights of the others on genes that are no targets of j."""
    return np.delete(weight[weight[:, j] == 0], j, axis=1)


SEEDS = range(300)


@pytest.mark.parametrize("block", range(0, 300, 50))
def test_rank_agrees_with_dense_matrices(block):
    failed = 0
    for seed in range(block, block + 50):
        network = _random(seed)
        weight, test = _generic(network), rank_test(network)
        rank = _rank(weight)
        assert test.rank == rank
        for j in range(network.n_regulators):
            left = _rank(_outside(weight, j))
            wanted = rank - 1 - left if weight[:, j].any() else 0
            assert test.deficit[j] == wanted, (seed, j)
            failed += wanted > 0
    assert failed > 20  # both outcomes were met


@pytest.mark.parametrize("block", range(0, 300, 50))
def test_what_mixes_is_where_null_vectors_are(block):
    for seed in range(block, block + 50):
        network = _random(seed)
        weight, test = _generic(network), rank_test(network)
        has, m = weight.any(axis=0), network.n_regulators
        others = test.mixes.toarray()
        for j in np.flatnonzero(has):
            null = scipy.linalg.null_space(_outside(weight, j), rcond=1e-10)
            inside = np.insert((np.abs(null) > 1e-9).any(axis=1), j, False)
            np.testing.assert_array_equal(others[j][has], inside[has], err_msg=f"{seed} {j}")
        full = scipy.linalg.null_space(weight[:, has], rcond=1e-10)
        wanted = np.zeros(m, dtype=bool)
        wanted[has] = (np.abs(full) > 1e-9).any(axis=1)
        np.testing.assert_array_equal(test.undetermined, wanted)


@pytest.mark.parametrize("block", range(0, 300, 50))
def test_ambiguous_targets_are_those_that_another_solution_changes(block):
    changed = 0
    for seed in range(block, block + 50):
        network = _random(seed)
        weight, test = _generic(network), rank_test(network)
        wanted = np.zeros(network.n_regulators, dtype=int)
        for j in np.flatnonzero(weight.any(axis=0)):
            null = scipy.linalg.null_space(_outside(weight, j), rcond=1e-10)
            move = np.delete(weight, j, axis=1) @ null  # what can be added to the weights of j
            assert np.abs(move[weight[:, j] == 0]).max(initial=0) < 1e-9
            targets = weight[:, j] != 0
            if targets.sum() > 1:  # the weight of a single target is scale alone
                wanted[j] = (np.abs(move[targets]) > 1e-9).any(axis=1).sum()
        np.testing.assert_array_equal(test.ambiguous_targets(network), wanted, err_msg=str(seed))
        changed += wanted.sum()
    assert changed > 20


def test_an_identified_network_has_no_other_solution():
    """Solve for all X with A X in the pattern of A: only diagonal ones where all regulators pass."""
    seen = set()
    for seed in SEEDS:
        network = _random(seed)
        weight, test = _generic(network), rank_test(network)
        m = network.n_regulators
        if not weight.any(axis=0).all():
            continue
        # the entries of A X outside the pattern are linear in X, stacked by columns
        conditions = scipy.linalg.block_diag(*[weight[weight[:, j] == 0] for j in range(m)])
        free = (
            scipy.linalg.null_space(conditions, rcond=1e-10) if len(conditions) else np.eye(m * m)
        )
        # [j, k]: X[k, j] can be other than 0
        moved = (np.abs(free) > 1e-9).any(axis=1).reshape(m, m)
        identified = ~(moved & ~np.eye(m, dtype=bool)).any(axis=0)
        np.testing.assert_array_equal(test.activity_identified, identified, err_msg=str(seed))
        passed = test.rank == m and not test.deficit.any()
        assert passed == (free.shape[1] == m)
        seen.add(passed)
    assert seen == {True, False}


def test_order_of_genes_regulators_and_edges_does_not_matter():
    for seed in range(100):
        network, draw = _random(seed), np.random.default_rng(seed)
        wanted = rank_test(network)
        genes, regulators = (
            draw.permutation(network.n_genes),
            draw.permutation(network.n_regulators),
        )
        edge = draw.permutation(network.n_edges)
        moved = Network.from_edges(
            genes[network.gene[edge]],
            regulators[network.regulator[edge]],
            network.sign[edge],
            network.n_genes,
            network.n_regulators,
        )
        found = rank_test(moved)
        assert found.rank == wanted.rank
        np.testing.assert_array_equal(found.deficit[regulators], wanted.deficit)
        np.testing.assert_array_equal(found.undetermined[regulators], wanted.undetermined)
        np.testing.assert_array_equal(
            found.mixes.toarray()[np.ix_(regulators, regulators)], wanted.mixes.toarray()
        )
        ambiguous = wanted.ambiguous_targets(network)
        np.testing.assert_array_equal(found.ambiguous_targets(moved)[regulators], ambiguous)


def test_a_target_of_its_own_is_enough_for_an_activity():
    edges = np.random.default_rng(0).random((30, 10)) < 0.5
    edges[:20, :] |= np.eye(10, dtype=bool)[np.repeat(np.arange(10), 2)]
    edges[:10] = np.eye(10, dtype=bool)
    assert rank_test(_network(edges)).activity_identified.all()


def test_regulators_without_a_target_take_no_part():
    edges = np.zeros((5, 4), dtype=bool)
    edges[[0, 1], 1] = edges[[2, 3], 3] = True
    test = rank_test(_network(edges))
    assert test.rank == 2
    assert not test.deficit.any()
    assert not test.undetermined.any()
    assert test.mixes.nnz == 0
    assert rank_test(_network(np.zeros((3, 2), dtype=bool))).rank == 0


def test_a_large_network():
    """1,000 regulators and 20,000 genes, many of them in chains that have to be followed."""
    draw = np.random.default_rng(1)
    n, m = 20_000, 1_000
    edge = np.unique(draw.integers(0, n, 40_000) * m + draw.integers(0, m, 40_000))
    gene, regulator = np.divmod(edge, m)
    # 300 regulators with two targets each, linked as a chain, apart from the rest
    keep = regulator >= 300
    low = np.arange(300)
    gene = np.concatenate([gene[keep], n + low, n + low + 1])
    regulator = np.concatenate([regulator[keep], low, low])
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), n + 301, m)
    test = rank_test(network)
    assert test.rank == structural_rank(pattern(network)) == m
    # Without regulator j of the chain and its two genes, two chains are left: each keeps as many
    # genes as regulators. The others have many targets of their own.
    assert not test.deficit.any()
    assert test.activity_identified.all()
    # Without its first and last gene, deleting any regulator leaves one chain, or both, a gene short.
    ends = np.isin(np.arange(n + 301), [n, n + 300])
    test = rank_test(without_genes(network, ends))
    assert test.rank == m - 1
    assert test.undetermined.sum() == 300
    # With its last gene alone missing, what is left beyond j is one gene short.
    test = rank_test(without_genes(network, np.arange(n + 301) == n + 300))
    assert test.rank == m
    np.testing.assert_array_equal(test.deficit[:300], np.arange(300) < 299)
    wanted = np.zeros((m, m), dtype=bool)
    wanted[:300, :300] = np.triu(np.ones((300, 300), dtype=bool), 1)
    np.testing.assert_array_equal(test.mixes.toarray(), wanted)


# load


@pytest.mark.parametrize("intercept", [False, True])
def test_loads_average_to_that_of_the_network(intercept):
    draw = np.random.default_rng(3)
    edges = draw.random((40, 6)) < 0.4
    edges[:, 0] |= ~edges.any(axis=1)
    network = _network(edges)
    n_obs = 25
    load = regulator_load(network, n_obs, n_constraints=np.full(40, n_obs), intercept=intercept)
    degree = edges.sum(axis=1)
    own = n_obs + np.array(
        [sum(1 + intercept / degree[i] for i in np.flatnonzero(edges[:, j])) for j in range(6)]
    )
    total = decoder_load(n_obs, 40, n_regulators=6, n_edges=edges.sum() + 40 * intercept)
    np.testing.assert_allclose((load * own).sum() / own.sum(), total)
    by_hand = [
        sum(n_obs / degree[i] for i in np.flatnonzero(edges[:, j])) / own[j] for j in range(6)
    ]
    np.testing.assert_allclose(load, by_hand)


def test_load_counts_constraining_values_only():
    network = _network(np.array([[1, 0], [1, 1], [0, 1], [0, 1]]))
    load = regulator_load(network, 10, n_constraints=np.array([10, 4, 0, 6]))
    np.testing.assert_allclose(load, [(10 + 2) / 12, (2 + 0 + 6) / 13])


def test_without_genes_keeps_indices_and_signs():
    network = Network.from_edges([2, 0, 2, 1], [0, 1, 1, 0], [1, -1, -1, 1], 3, 2)
    left = without_genes(network, np.array([False, True, False]))
    assert (left.n_genes, left.n_regulators) == (3, 2)
    assert left.gene.tolist() == [0, 2, 2]
    assert left.regulator.tolist() == [1, 0, 1]
    assert left.sign.tolist() == [-1, 1, -1]
