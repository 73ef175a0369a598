import numpy as np
import pytest

from grnrep.core.choose.intercept import needs_intercept
from grnrep.core.network import Network


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("low", "noise", "quantile"),
    [
        (-1, 0, None),
        (-1, 0.2, None),
        (-1, 0.5, None),
        (0, 0.2, None),
        (-1, 0.2, 0.3),
        (-1, 0.2, 0.7),
    ],
)
def test_thresholded_genes_need_intercepts_and_others_do_not(low, noise, quantile, seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((300, 30)) < 0.1
    p = rng.gamma(1.0, size=(200, 30)) @ (mask * rng.uniform(low, 1, mask.shape)).T
    p += noise * rng.normal(size=p.shape)
    if quantile is not None:
        p -= np.quantile(p, quantile, axis=0)
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), 300, 30)
    x = np.maximum(p, 0).astype(np.float32)
    assert needs_intercept(x, network, rng=seed) is (quantile is not None)


def test_data_without_a_positive_value_need_none():
    network = Network.from_edges([0, 1], [0, 0], [0, 0], 2, 1)
    assert needs_intercept(np.zeros((10, 2)), network) is False


@pytest.mark.parametrize("seed", range(2))
def test_few_values_a_cell_with_signs_decide_by_genes_that_were_held_out(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((300, 40)) < 0.1
    w = mask * rng.uniform(-1, 1, mask.shape)
    p = rng.gamma(1.0, size=(200, 40)) @ w.T + 0.2 * rng.normal(size=(200, 300))
    # 30 values a cell, 40 regulators
    x = np.maximum(p - np.quantile(p, 0.9, axis=0), 0).astype(np.float32)
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, w[gene, regulator], 300, 40)
    assert needs_intercept(x, network, rng=seed) is True
