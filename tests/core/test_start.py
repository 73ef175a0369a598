import numpy as np
import torch

from grnrep.core.als.start import start_weights
from grnrep.core.network import Network


def problem(sign):
    rng = np.random.default_rng(0)
    mask = np.zeros((30, 3), dtype=bool)
    for j in range(3):  # regulons without overlap, each with one strong component
        mask[10 * j : 10 * j + 10, j] = True
    x = (
        5
        + rng.normal(size=(80, 3)) @ (mask * rng.normal(size=mask.shape)).T
        + 0.05 * rng.normal(size=(80, 30))
    )
    gene, regulator = np.nonzero(mask)
    return Network.from_edges(gene, regulator, sign * np.ones(len(gene)), 30, 3), torch.as_tensor(
        x.T.copy()
    )


def test_start_is_the_first_principal_component_of_every_regulon():
    network, x = problem(sign=0)
    weight = start_weights([x], network, rng=1).numpy()
    for j in range(3):
        edges = network.regulator == j
        block = x.numpy()[network.gene[edges]]
        sd = block.std(1, keepdims=True)
        loadings = sd[:, 0] * np.linalg.svd((block - block.mean(1, keepdims=True)) / sd)[0][:, 0]
        loadings /= np.linalg.norm(loadings)
        assert abs(loadings @ weight[edges]) / np.linalg.norm(weight[edges]) > 1 - 1e-6
        np.testing.assert_allclose(np.sqrt(np.mean(weight[edges] ** 2)), 1)


def test_start_does_not_depend_on_blocks():
    network, x = problem(sign=0)
    blocks = [b.contiguous() for b in torch.tensor_split(x, (7, 50), dim=1)]
    torch.testing.assert_close(start_weights(blocks, network, 1), start_weights([x], network, 1))


def test_constant_genes_keep_the_draws():
    network, x = problem(sign=1)
    weight = start_weights([torch.ones_like(x)], network, rng=0)
    np.testing.assert_array_equal(weight, np.ones(network.n_edges))
