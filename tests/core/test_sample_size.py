import numpy as np
import pytest

from grnrep.core.choose.sample_size import sufficient_cells
from grnrep.core.network import Network


def network(n_genes=100, m=10, per_gene=2):
    gene = np.repeat(np.arange(n_genes), per_gene)
    regulator = (np.arange(n_genes * per_gene) * 3 + gene) % m
    return Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m)


def test_evidence_for_every_weight_by_hand():
    # 100 values a cell, 10 for its activities, 90 for the weights: 80 * 200 / 90, at least 1,000
    assert sufficient_cells(5000, 5000 * 100, network()) == 1000
    # 15 values a cell leave 5: 80 * 200 / 5
    assert sufficient_cells(5000, 5000 * 15, network()) == 3200
    assert sufficient_cells(500, 500 * 15, network()) == 500


@pytest.mark.parametrize("positive", [5, 10])
def test_cells_without_values_to_spare_take_a_number_that_is_bounded(positive):
    # 20 values for each of 20,000 weights
    many = network(n_genes=10_000)
    assert sufficient_cells(10**6, 10**6 * positive, many) == 20 * 20_000 // positive
    assert sufficient_cells(3000, 3000 * positive, many) == 3000
    few = network(n_genes=50)
    assert sufficient_cells(10**6, 10**6 * positive, few) == 1000  # never fewer


def test_data_without_a_positive_value_take_all_cells():
    assert sufficient_cells(3000, 0, network()) == 3000


def test_intercepts_are_weights_too():
    assert sufficient_cells(9000, 9000 * 15, network(), n_known=1) == 80 * 300 // 5
