"""Overlap of targets, and variance inflation against explicit regressions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg

from grnrep.core.collinearity import collinearity, indistinguishable, nested, own_targets
from grnrep.core.network import Network


def _draw(seed: int, *, exact: bool = True) -> np.ndarray:
    """Signs (n_genes, n_regulators), 0 where there is no edge; some columns copied or nested."""
    draw = np.random.default_rng(seed)
    n, m = draw.integers(4, 20), draw.integers(1, 9)
    signs = draw.choice([-1, 1], (n, m)) * (draw.random((n, m)) < draw.choice([0.2, 0.5]))
    if exact and m > 4:
        signs[:, 1] = signs[:, 0] * draw.choice([-1, 1])
        signs[:, 2] = np.where(signs[:, 3] != 0, signs[:, 3], signs[:, 2])
        signs[:, 4] = np.abs(signs[:, 0])
    return signs


def _network(signs: np.ndarray) -> Network:
    gene, regulator = np.nonzero(signs)
    return Network.from_edges(gene, regulator, signs[gene, regulator], *signs.shape)


def _regression(columns: np.ndarray, j: int) -> float:
    """Share of column j that the others leave unexplained, by least squares."""
    others = np.delete(columns, j, axis=1)
    coefficient = np.linalg.lstsq(others, columns[:, j], rcond=1e-10)[0]
    return float(np.sum((columns[:, j] - others @ coefficient) ** 2) / np.sum(columns[:, j] ** 2))


def test_variance_inflation_is_that_of_regressions():
    infinite = finite = 0
    for seed in range(200):
        signs = _draw(seed)
        found = collinearity(_network(signs))
        for j in range(signs.shape[1]):
            if not signs[:, j].any():
                assert np.isnan(found.vif[j])
                continue
            left = _regression(signs.astype(float), j)
            if left < 1e-12:
                assert found.vif[j] == np.inf, (seed, j)
                infinite += 1
            else:
                np.testing.assert_allclose(found.vif[j], 1 / left, rtol=1e-8, err_msg=f"{seed} {j}")
                finite += 1
    assert infinite > 50
    assert finite > 50


def test_condition_number_is_that_of_singular_values():
    dependent = 0
    for seed in range(200):
        signs = _draw(seed)
        columns = signs[:, signs.any(axis=0)] / np.linalg.norm(signs[:, signs.any(axis=0)], axis=0)
        found = collinearity(_network(signs)).condition
        if columns.size == 0:
            assert np.isnan(found)
            continue
        value = scipy.linalg.svdvals(columns)
        if columns.shape[1] > len(signs) or value[-1] < 1e-9:
            assert found == np.inf
            dependent += 1
        else:
            np.testing.assert_allclose(found, value[0] / value[-1], rtol=1e-8)
    assert 20 < dependent < 180


def test_signs_tell_the_same_targets_apart():
    same = collinearity(_network(np.array([[1, 1], [1, 1]])))
    assert same.vif.tolist() == [np.inf, np.inf]
    assert collinearity(_network(np.array([[1, -1], [1, -1]]))).condition == np.inf
    other = collinearity(_network(np.array([[1, 1], [1, -1]])))
    np.testing.assert_allclose(other.vif, 1)
    np.testing.assert_allclose(other.condition, 1)


def test_unknown_signs_count_as_positive():
    network = _network(np.abs(_draw(7)))
    unknown = replace(network, sign=np.zeros(network.n_edges))
    np.testing.assert_array_equal(collinearity(unknown).vif, collinearity(network).vif)


def test_large_sets_that_differ_by_one_gene_are_not_taken_for_equal():
    signs = np.ones((30_000, 2), dtype=int)
    signs[0, 1] = 0
    found = collinearity(_network(signs))
    np.testing.assert_allclose(found.vif, 30_000, rtol=1e-6)
    third = np.zeros((30_000, 1), dtype=int)
    third[0] = 1
    assert np.isinf(collinearity(_network(np.hstack([signs, third]))).vif).all()


def test_sets_of_targets():
    shared = inside = 0
    for seed in range(200):
        signs = _draw(seed)
        network, m = _network(signs), signs.shape[1]
        targets = [frozenset(np.flatnonzero(signs[:, j])) for j in range(m)]
        group = indistinguishable(network)
        for j in range(m):
            same = [k for k in range(m) if targets[k] == targets[j] and targets[j]]
            assert (group[j] >= 0) == (len(same) > 1)
            if group[j] >= 0:
                assert np.flatnonzero(group == group[j]).tolist() == same
            own = targets[j].difference(*(targets[k] for k in range(m) if k != j))
            assert own_targets(network)[j] == len(own)
        assert sorted(set(group[group >= 0])) == list(range(group.max() + 1))
        pairs = [
            (a, b) for a in range(m) for b in range(m) if targets[a] and targets[a] < targets[b]
        ]
        assert list(zip(*(part.tolist() for part in nested(network)), strict=True)) == pairs
        shared += (group >= 0).sum()
        inside += len(pairs)
    assert shared > 50
    assert inside > 50


def test_groups_are_numbered_by_their_first_member():
    signs = np.array([[1, 1, 1, 1, 0], [0, 1, 0, 1, 0]])
    assert indistinguishable(_network(signs)).tolist() == [0, 1, 0, 1, -1]


@pytest.mark.parametrize("seed", range(20))
def test_order_of_genes_regulators_and_edges_does_not_matter(seed):
    signs, draw = _draw(seed), np.random.default_rng(seed)
    genes, regulators = (draw.permutation(size) for size in signs.shape)
    network, moved = _network(signs), _network(signs[genes][:, regulators])
    found, wanted = collinearity(moved), collinearity(network)
    np.testing.assert_allclose(found.vif, wanted.vif[regulators], rtol=1e-9)
    np.testing.assert_allclose(found.condition, wanted.condition, rtol=1e-9)
    np.testing.assert_array_equal(own_targets(moved), own_targets(network)[regulators])
    group, before = indistinguishable(moved), indistinguishable(network)[regulators]
    np.testing.assert_array_equal(
        (group[:, None] == group) & (group >= 0), (before[:, None] == before) & (before >= 0)
    )
    pairs = {(regulators[a], regulators[b]) for a, b in zip(*nested(moved), strict=True)}
    assert pairs == set(zip(*nested(network), strict=True))


def _shape(network: Network) -> tuple[int, int]:
    return network.n_genes, network.n_regulators
