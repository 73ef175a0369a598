import numpy as np
import pytest

from grnrep.core.choose import shrinkage
from grnrep.core.choose.intercept import compare_intercepts, needs_intercept
from grnrep.core.choose.shrinkage import choose_shrinkage
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


def few_values(seed):
    """Expression and network with signs, 30 values above zero a cell and 40 regulators."""
    rng = np.random.default_rng(seed)
    mask = rng.random((300, 40)) < 0.1
    w = mask * rng.uniform(-1, 1, mask.shape)
    p = rng.gamma(1.0, size=(200, 40)) @ w.T + 0.2 * rng.normal(size=(200, 300))
    x = np.maximum(p - np.quantile(p, 0.9, axis=0), 0).astype(np.float32)
    gene, regulator = np.nonzero(mask)
    return x, Network.from_edges(gene, regulator, w[gene, regulator], 300, 40)


@pytest.mark.parametrize("seed", range(2))
def test_few_values_a_cell_with_signs_decide_by_genes_that_were_held_out(seed):
    assert needs_intercept(*few_values(seed), rng=seed) is True


def test_the_choice_of_penalties_goes_on_with_what_was_scored_on_the_way(monkeypatch):
    (x, network), scored = few_values(0), []
    needed, compared = compare_intercepts(x, network, rng=3)
    whole = choose_shrinkage(x, network, intercept=needed, rng=3)
    score = shrinkage.held_out_score

    def noted(x, network, fold, *pair_and_model):
        scored.append(pair_and_model[:2])
        return score(x, network, fold, *pair_and_model)

    monkeypatch.setattr(shrinkage, "held_out_score", noted)
    assert choose_shrinkage(x, network, intercept=needed, rng=3, compared=compared) == whole
    assert compared.scores
    assert not set(compared.scores) & set(scored)
    model = shrinkage.Model(intercept=needed, rng=3)
    for pair, found in compared.scores.items():
        assert score(compared.x, network, compared.fold, *pair, model) == found
