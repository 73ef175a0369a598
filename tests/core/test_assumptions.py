"""What is taken for given: noise that genes share, and signs that predict nothing."""

from dataclasses import replace

import numpy as np
import pytest

from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.learn import fit_evidence
from grnrep.core.choose.assumptions import INFLATION, choose_assumptions, is_determined
from grnrep.core.network import Network


def draw(seed, *, n_cells=200, n_genes=200, m=20, module=0):
    """Cells, network with signs, and activities; every fifth gene starts a module of so many that share noise."""
    rng = np.random.default_rng(seed)
    edge = rng.random((n_genes, m)) < 0.1
    weight = edge * rng.choice([-1, 1], edge.shape) * rng.uniform(0.3, 1, edge.shape)
    z = rng.standard_normal((n_cells, m))
    x = z @ weight.T + rng.standard_normal((n_cells, n_genes))
    if module:
        shared = np.zeros((n_genes, n_genes // 5))
        for column in shared.T:
            genes = rng.choice(n_genes, module, replace=False)
            column[genes] = 1.5 * rng.choice([-1, 1], module)
        x += rng.standard_normal((n_cells, n_genes // 5)) @ shared.T
    gene, regulator = np.nonzero(edge)
    network = Network.from_edges(gene, regulator, np.sign(weight[edge]), n_genes, m)
    return x.astype(np.float32), network, z


def recovery(activity, z):
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(activity.T, z.T, strict=True)])


@pytest.mark.parametrize(("seed", "likelihood"), [(0, "gaussian"), (1, "gaussian"), (0, "tobit")])
def test_noise_that_many_genes_share_is_inflated_and_activities_gain(seed, likelihood):
    x, network, z = draw(seed, module=40)
    x = x if likelihood == "gaussian" else np.maximum(x, 0)
    chosen = choose_assumptions(x, network, likelihood=likelihood, n_factors=0).assumptions
    assert chosen.inflation == INFLATION
    plain = replace(chosen, inflation=1.0)
    inflated, other = (
        fit_evidence(x, network, likelihood=likelihood, assumptions=assumed)
        for assumed in (chosen, plain)
    )
    assert recovery(inflated.activity, z) > recovery(other.activity, z) + 0.03


def test_signs_settle_what_few_values_leave_open():
    """At an effective load from .6 to 1.1; and the noise of genes asks for ten values a weight under a ReLU."""
    x, network, _ = draw(0, n_cells=200, n_genes=120, m=60)
    sparse = np.where(np.random.default_rng(0).random(x.shape) < 0.6, 0, np.abs(x))
    unsigned = Network.from_edges(network.gene, network.regulator, 0 * network.sign, 120, 60)
    assert is_determined(sparse, network, likelihood="tobit")
    assert not is_determined(sparse, unsigned, likelihood="tobit")
    assert not is_determined(sparse[:50], network, likelihood="tobit")
    assert is_determined(sparse, unsigned, likelihood="gaussian")
    few, other, _ = draw(0, n_cells=15, n_genes=200, m=10)
    assert is_determined(few, other, likelihood="gaussian")
    assert not is_determined(np.maximum(few, 0), other, likelihood="tobit")


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_of_independent_genes_is_not(seed):
    x, network, _ = draw(seed)
    assert choose_assumptions(x, network, n_factors=0).assumptions.inflation == 1


def test_inflation_is_of_the_variance_of_residuals():
    x, network, _ = draw(0, n_cells=400, m=4)
    fit = fit_evidence(x, network, assumptions=Assumptions(0.3, inflation=2.5))
    residual = x - fit.offset() - fit.activity @ dense(fit, network).T
    ratio = fit.likelihood.arrays()["noise_sd"] ** 2 / residual.var(0)
    # 2 % of what is predicted are added to noise, and what is not known of weights and activities
    assert 0.96 < np.median(ratio) < 1.12
    np.testing.assert_allclose(fit.noise(), 2.5 * fit.likelihood.arrays()["noise_sd"] ** 2)


def dense(fit, network):
    out = np.zeros((network.n_genes, network.n_regulators))
    out[network.gene, network.regulator] = fit.weight
    return out


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_signs_at_random_are_said_to_predict_nothing(seed):
    x, network, _ = draw(seed, module=40)
    sign = np.random.default_rng(seed).choice([-1.0, 1.0], network.n_edges)
    wrong = Network.from_edges(
        network.gene, network.regulator, sign, network.n_genes, network.n_regulators
    )
    chosen = choose_assumptions(x, wrong)
    assert not chosen.signs_predict
    assert chosen.assumptions.inflation == 1
    assert choose_assumptions(x, network).signs_predict
