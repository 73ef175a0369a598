import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.choose.held_out import of_genes
from grnrep.core.network import Network, relative_magnitudes, with_known_columns


def test_edges_are_sorted_and_counted():
    network = Network.from_edges([2, 0, 2], [1, 1, 0], [-3, 0, 2], n_genes=4, n_regulators=3)
    assert network.gene.tolist() == [0, 2, 2]
    assert network.regulator.tolist() == [1, 0, 1]
    assert network.sign.tolist() == [0, 1, -1]
    assert network.n_edges == 3
    assert network.indptr.tolist() == [0, 1, 1, 3, 3]
    assert network.regulators_per_gene().tolist() == [1, 0, 2, 0]
    assert network.targets_per_regulator().tolist() == [1, 2, 0]
    assert network.matrix(np.array([5.0, 7.0, 9.0])).toarray().tolist() == [
        [0, 5, 0], [0, 0, 0], [7, 9, 0], [0, 0, 0],
    ]  # fmt: skip


def test_transpose_order_sorts_by_regulator():
    rng = np.random.default_rng(0)
    gene, regulator = np.nonzero(rng.random((20, 7)) < 0.3)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), 20, 7)
    order = network.transpose_order
    pairs = list(zip(network.regulator[order], network.gene[order], strict=True))
    assert pairs == sorted(zip(regulator, gene, strict=True))


@pytest.mark.parametrize(
    ("gene", "regulator", "message"),
    [
        ([0, 0], [1, 1], "occur twice"),
        ([0, 5], [0, 0], r"gene indices must lie in \[0, 3\); found 0 to 5"),
        ([0, 1], [-1, 0], r"regulator indices must lie in \[0, 2\); found -1 to 0"),
    ],
)
def test_bad_edges(gene, regulator, message):
    with pytest.raises(ValueError, match=message):
        Network.from_edges(gene, regulator, [0, 0], n_genes=3, n_regulators=2)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 1000), power=st.integers(-290, 290))
def test_relative_magnitudes(seed, power):
    """Mean square 1 over what is known, at any scale of a regulator; neither signs nor the order of edges matter."""
    rng = np.random.default_rng(seed)
    regulator = rng.integers(4, size=30)
    weight = rng.standard_normal(30) * (rng.random(30) < 0.7)
    found = relative_magnitudes(weight, regulator)
    assert (found[weight == 0] == 1).all()
    for j in range(4):
        own = found[(regulator == j) & (weight != 0)]
        assert len(own) == 0 or np.isclose(np.mean(own**2), 1)
    scaled = relative_magnitudes(
        -weight * (10.0 ** np.array([power, 0, 0, 3]))[regulator], regulator
    )
    np.testing.assert_allclose(scaled, found, rtol=1e-12)
    order = rng.permutation(30)
    np.testing.assert_allclose(relative_magnitudes(weight[order], regulator[order]), found[order])


@pytest.mark.parametrize("size", [1.0, 0.1, 1 / 3, 1e300, 5e-324])
def test_equal_magnitudes_are_one_to_the_last_digit(size):
    signs = np.array([1, -1, 0, 1, 1, -1, -1.0])
    assert (relative_magnitudes(size * signs, [0, 0, 0, 0, 1, 1, 1]) == 1).all()
    assert relative_magnitudes([], []).shape == (0,)


def test_magnitudes_follow_their_edges():
    network = Network.from_edges([2, 0, 2], [1, 1, 0], [-3, 0, 2], 4, 3, magnitude=[0.5, 1, 2])
    assert network.magnitude.tolist() == [1, 2, 0.5]
    assert network.expected.tolist() == [0, 2, -0.5]
    full = with_known_columns(network, 1)
    assert full.magnitude.tolist() == [1, 1, 1, 2, 0.5, 1, 1]
    assert full.expected.tolist() == [0, 0, 0, 2, -0.5, 0, 0]
    kept = of_genes(network, np.array([False, False, True, False]))
    assert kept.expected.tolist() == [2, -0.5]
