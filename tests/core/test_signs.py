import numpy as np
import pytest

from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.signs import orient


def problem(seed=0, sign=0.0, bias=False):
    rng = np.random.default_rng(seed)
    mask = rng.random((60, 8)) < 0.4
    gene, regulator = np.nonzero(mask)
    weight = rng.uniform(-1, 1, len(gene))
    z = rng.gamma(1.0, size=(200, 8))
    if bias:
        z = z - z.mean(0)
    flip = rng.choice([-1.0, 1.0], 8)
    network = Network.from_edges(gene, regulator, sign * weight, 60, 8)
    fit = Fit(weight * flip[regulator], np.zeros(60) if bias else None, z * flip, ridge=np.full(8, 0.5))
    return fit, network, weight, z


def product(fit, network):
    dense = np.zeros((network.n_genes, network.n_regulators))
    dense[network.gene, network.regulator] = fit.weight
    return fit.activity @ dense.T


@pytest.mark.parametrize(
    ("sign", "bias", "source"),
    [(1, False, "prior"), (1, True, "prior"), (0, False, "positive"), (0, True, "skewness")],
)
def test_signs_come_back(sign, bias, source):
    fit, network, weight, z = problem(sign=sign, bias=bias)
    oriented, confidence, origin = orient(fit, network)
    assert set(origin) == {source}
    assert (confidence > 0.95).all()
    size = np.sqrt(np.bincount(network.regulator, weight**2) / network.targets_per_regulator())
    np.testing.assert_allclose(oriented.weight, (weight / size[network.regulator]))
    np.testing.assert_allclose(oriented.activity, z * size)


def test_predictions_and_penalty_stay():
    fit, network, *_ = problem()
    oriented, *_ = orient(fit, network)
    np.testing.assert_allclose(product(oriented, network), product(fit, network))
    penalty = (fit.ridge * fit.activity**2).sum()
    np.testing.assert_allclose((oriented.ridge * oriented.activity**2).sum(), penalty)
    np.testing.assert_allclose(
        np.bincount(network.regulator, oriented.weight**2), network.targets_per_regulator()
    )


def test_priors_outvote_the_data_and_unsigned_edges_do_not_count():
    network = Network.from_edges([0, 1, 2], [0, 0, 0], [-1, -1, 0], 3, 1)
    fit = Fit(np.array([1.0, 1.0, 9.0]), None, np.array([[1.0], [2.0]]))
    oriented, _, origin = orient(fit, network)
    assert origin.tolist() == ["prior"]
    assert (oriented.weight < 0).all()
    assert (oriented.activity < 0).all()


def test_confidence_falls_with_disagreement():
    gene = np.arange(10)
    weight = np.ones(10)
    values = []
    for n_wrong in (0, 2, 4, 5):
        sign = np.where(gene < n_wrong, -1, 1)
        network = Network.from_edges(gene, np.zeros(10, int), sign, 10, 1)
        values.append(orient(Fit(weight, None, np.array([[1.0], [-1.0]])), network)[1][0])
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.99
    assert values[-1] == pytest.approx(0.5)


def test_nothing_known_is_said():
    network = Network.from_edges([0], [0], [0], 1, 1)
    oriented, confidence, origin = orient(Fit(np.zeros(1), None, np.zeros((4, 1))), network)
    assert origin.tolist() == ["none"]
    assert confidence.tolist() == [0.5]
    assert oriented.weight.tolist() == [0.0]


def test_collapsed_regulators_become_zero():
    network = Network.from_edges([0, 1], [0, 1], [1, 1], 2, 2)
    fit = Fit(np.array([1.0, 1e-30]), None, np.array([[1.0, 1e-30], [2.0, 0.0]]), ridge=np.ones(2))
    oriented, confidence, origin = orient(fit, network)
    assert oriented.weight.tolist() == [1.0, 0.0]
    assert oriented.activity.tolist() == [[1.0, 0.0], [2.0, 0.0]]
    assert oriented.ridge.tolist() == [1.0, 1.0]
    assert origin.tolist() == ["prior", "none"]
    assert confidence[1] == 0.5
