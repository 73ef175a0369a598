"""Draws that go with genes and edges, wherever they stand."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.draws import draw_for_edges, draw_for_genes, gene_ranks
from grnrep.core.network import Network


def problem(seed, n_cells=7, n_genes=12, m=5):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.5
    return rng.random((n_cells, n_genes)), mask, rng


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.integers(0, 10**6))
def test_draws_go_with_the_gene_and_the_edge(seed):
    x, mask, rng = problem(seed)
    gene, regulator = rng.permutation(12), rng.permutation(5)  # old positions at new ones
    draws = rng.random((7, 12))
    one, two = draw_for_genes(draws, x), draw_for_genes(draws, x[:, gene])
    np.testing.assert_array_equal(two, one[:, gene])
    assert sorted(one[0]) == sorted(draws[0])

    matrices, draws = [], rng.random(mask.sum())
    for values, edges in ((x, mask), (x[:, gene], mask[gene][:, regulator])):
        network = Network.from_edges(*np.nonzero(edges), np.zeros(edges.sum()), 12, 5)
        blocks = [torch.as_tensor(values[:3].T), torch.as_tensor(values[3:].T)]
        matrix = np.zeros((12, 5))
        matrix[network.gene, network.regulator] = draw_for_edges(draws, blocks, network)
        matrices.append(matrix)
    apart = len(np.unique(mask, axis=1).T) == 5  # nothing tells regulators of the same targets apart
    wanted = matrices[0][gene][:, regulator]
    assert not apart or np.array_equal(matrices[1], wanted)
    assert sorted(matrices[0][mask]) == sorted(draws)


def test_genes_alike_keep_their_order():
    np.testing.assert_array_equal(gene_ranks([torch.zeros(4, 3)]), np.arange(4))
