import numpy as np
import pytest

from grnrep.core.network import Network
from grnrep.core.sufficient import sufficient_cells


def network(n_genes=100, m=10, per_gene=2):
    gene = np.repeat(np.arange(n_genes), per_gene)
    regulator = (np.arange(n_genes * per_gene) * 3 + gene) % m
    return Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m)


def test_evidence_for_every_weight_by_hand():
    x = np.ones((5000, 100))
    # 100 values a cell, 10 for its activities, 90 for the weights: 80 * 200 / 90, at least 1,000
    assert sufficient_cells(x, network()) == 1000
    x[:, 15:] = 0  # 15 values a cell leave 5: 80 * 200 / 5
    assert sufficient_cells(x, network()) == 3200
    assert sufficient_cells(x[:500], network()) == 500
    assert sufficient_cells(x, network(), link="identity") == 1000


@pytest.mark.parametrize("positive", [0, 5, 10])
def test_too_few_values_for_the_activities_take_all_cells(positive):
    x = np.zeros((3000, 100))
    x[:, :positive] = 1
    assert sufficient_cells(x, network()) == 3000


def test_intercepts_are_weights_too():
    x = np.ones((9000, 100))
    x[:, 15:] = 0
    assert sufficient_cells(x, network(), intercept=True) == 80 * 300 // 5
