import numpy as np
import pytest

from grnrep.core.network import Network


def test_edges_are_sorted_and_counted():
    network = Network.from_edges([2, 0, 2], [1, 1, 0], [-3, 0, 2], n_genes=4, n_regulators=3)
    assert network.gene.tolist() == [0, 2, 2]
    assert network.regulator.tolist() == [1, 0, 1]
    assert network.sign.tolist() == [0, 1, -1]
    assert network.n_edges == 3
    assert network.indptr.tolist() == [0, 1, 1, 3, 3]
    assert network.regulators_per_gene().tolist() == [1, 0, 2, 0]
    assert network.targets_per_regulator().tolist() == [1, 2, 0]


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
