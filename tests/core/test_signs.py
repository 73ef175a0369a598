from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import skew

from grnrep.core.als.fit import fit_decoder
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods import restored
from grnrep.core.likelihoods.gaussian import Gaussian
from grnrep.core.network import Network
from grnrep.core.signs import are_log_counts, orient


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
    fit = Fit(
        weight * flip[regulator], np.zeros(60) if bias else None, z * flip, ridge=np.full(8, 0.5)
    )
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


def one_regulator(sign, weight, z, **fields):
    """Orient one regulator with an edge to each of several genes; skewness counts no gene as censored."""
    weight, z = np.asarray(weight, float), np.asarray(z, float)[:, None]
    gene = np.arange(len(weight))
    network = Network.from_edges(gene, 0 * gene, np.asarray(sign), len(weight), 1)
    fields = {"bias": None, "likelihood": Gaussian(), **fields}
    oriented, confidence, source = orient(Fit(weight=weight, activity=z, **fields), network)
    return oriented, confidence[0], source[0]


def test_a_prior_sign_is_not_overruled_and_unsigned_edges_do_not_count():
    z = np.random.default_rng(0).gamma(1.0, size=500)
    oriented, confidence, source = one_regulator([-1, 0], [9, 9], z)
    assert source == "prior"
    assert (oriented.weight < 0).all()
    assert (oriented.activity <= 0).all()
    assert confidence == pytest.approx(expit(1.7 / 1.1 - 1.5))


def test_a_prior_sign_on_an_edge_that_is_hardly_one_gives_way_to_the_data():
    z = np.random.default_rng(0).gamma(1.0, size=500)
    oriented, confidence, source = one_regulator([-1, 0, 0, 0], [0.1, 1, 1, 1], z)
    strength = 0.01 / (3.01 / 4)
    assert source == "positive"
    assert (oriented.activity >= 0).all()
    assert confidence == pytest.approx(expit(1.5 - 1.7 * strength / (strength + 0.1)))


def test_data_decide_where_prior_signs_contradict_each_other():
    z = np.random.default_rng(0).gamma(1.0, size=500)
    oriented, confidence, source = one_regulator([-1, 1], [1.2, 1], z)
    assert source == "positive"
    assert (oriented.activity >= 0).all()
    assert 0.7 < confidence < expit(1.5)


def test_prior_and_data_add_up():
    z = [3.0, 2.0, -0.05]
    alone = one_regulator([0], [1], z)[1]
    together = one_regulator([1], [1], z)[1]
    assert together == pytest.approx(expit(1.7 / 1.1 + min(1.5, np.log(alone / (1 - alone)))))


@pytest.mark.parametrize("flip", [1, -1])
def test_evidence_of_positive_activities(flip):
    z = np.array([1.0, 2.0, 3.0, 3.0, 1.0, -2.0])
    share = 8 / 12
    skewness = 3 * np.tanh(skew(z)) / np.sqrt(6 / 6 + 0.25**2)
    evidence = share**3 * 8.5 * share + (1 - share) ** 2 * skewness
    oriented, confidence, source = one_regulator([0, 0], [1, 1], flip * z)
    assert source == "positive"
    assert confidence == pytest.approx(expit(evidence))
    np.testing.assert_allclose(oriented.activity[:, 0], z)


@pytest.mark.parametrize("flip", [1, -1])
def test_evidence_of_skewness(flip):
    z = np.array([1.0, 2.0, 3.0, 3.0, 1.0, 5.5]) - 7
    evidence = 3 * np.tanh(skew(z)) / np.sqrt(6 / 6 + 0.25**2)
    oriented, confidence, source = one_regulator([0, 0], [1, 1], flip * z, bias=np.zeros(2))
    assert source == "skewness"
    assert confidence == pytest.approx(expit(abs(evidence)))
    np.testing.assert_allclose(oriented.activity[:, 0], z)


@pytest.mark.parametrize("name", ["tobit", "poisson"])
def test_skewness_weighs_cells_by_the_targets_whose_zeros_say_little(name):
    parameters = {"mean": np.ones(2), "softness": np.ones(2)} if name == "poisson" else {}
    z = np.array([-1.0, 0.5, 1.0, 2.0])  # sees 0, 1, 2 and 2 of the two targets
    bias, seen = np.array([0.0, -0.7]), [0, 1, 2, 2]
    _, confidence, _ = one_regulator(
        [0, 0], [1, 1], z, bias=bias, likelihood=restored(name, parameters)
    )
    evidence = 3 * np.tanh(skew(np.repeat(z, seen))) / np.sqrt(6 / 4 + 0.25**2)
    assert confidence == pytest.approx(expit(abs(evidence)))


def test_noise_discounts_the_data():
    z, weight, ridge = np.array([1.0, 2.0, 3.0, 4.0]), np.ones(5), 0.5
    variance = 0.3
    fields = {"noise_variance": variance, "ridge": np.array([ridge])}
    share = variance / (5 + ridge) / np.mean(z**2)
    _, confidence, source = one_regulator(np.zeros(5), weight, z, **fields)
    assert source == "positive"
    assert confidence == pytest.approx(expit(min(4, 8.5 / (1 + share / 0.1))), rel=1e-5)
    louder = one_regulator(np.zeros(5), weight, z, **(fields | {"noise_variance": 100 * variance}))[
        1
    ]
    assert louder == pytest.approx(expit(8.5 / (1 + 100 * share / 0.1)), rel=1e-5)


def test_activities_of_both_signs_leave_the_sign_to_skewness():
    z = np.random.default_rng(0).gamma(1.0, size=1000)
    _, confidence, source = one_regulator([0, 0], [1, 1], z - z.mean())
    assert source == "skewness"
    assert confidence > 0.95
    assert one_regulator([0, 0], [1, 1], np.random.default_rng(0).standard_normal(1000))[1] < 0.9


@pytest.mark.parametrize("bias", [False, True])
def test_confidence_depends_on_neither_units_nor_order_nor_start_sign(bias):
    fit, network, *_ = problem(bias=bias)
    fit = replace(fit, noise_variance=0.1)
    expected = orient(fit, network)[1:]
    shuffled = replace(fit, activity=fit.activity[::-1])
    flip = np.where(np.arange(8) % 2, -1.0, 1.0)
    flipped = replace(
        fit, weight=fit.weight * flip[network.regulator], activity=fit.activity * flip
    )
    units = replace(fit, activity=1000 * fit.activity, squared_error=1e6 * 400.0)
    for other in (shuffled, flipped, units):
        confidence, source = orient(other, network)[1:]
        np.testing.assert_allclose(confidence, expected[0])
        assert (source == expected[1]).all()


def simulated(seed, *, n_cells, noise, shape, threshold, sign, sizes=(120, 12)):
    """True activities and an oriented fit of ``sizes`` (genes, regulators); ``sign``: from true weights."""
    rng = np.random.default_rng(seed)
    gene, regulator = np.nonzero(rng.random(sizes) < 0.2)
    weight = rng.uniform(-1, 1, len(gene))
    dense = np.zeros(sizes)
    dense[gene, regulator] = weight
    z = rng.gamma(shape, size=(n_cells, sizes[1]))
    p = z @ dense.T + noise * rng.standard_normal((n_cells, sizes[0]))
    x = np.maximum(p - (np.median(p, axis=0) if threshold else 0), 0).astype(np.float32)
    network = Network.from_edges(gene, regulator, sign(rng, weight), *sizes)
    return z, orient(fit_decoder(x, network, intercept=threshold, rng=seed), network)


PRIORS = {
    "none": lambda rng, weight: 0 * weight,
    "a fifth of a third wrong": lambda rng, weight: (
        np.sign(weight) * rng.choice([0, 1, -1], len(weight), p=[0.67, 0.26, 0.07])
    ),
    "a fifth wrong": lambda rng, weight: (
        np.sign(weight) * rng.choice([1, -1], len(weight), p=[0.8, 0.2])
    ),
}


def test_confidence_is_calibrated():
    settings = [
        {"n_cells": n_cells, "noise": noise, "shape": shape, "threshold": threshold}
        for n_cells, noise, shape in [
            (12, 0.2, 1.0),
            (12, 1.0, 2.0),
            (60, 0.2, 5.0),
            (60, 2.0, 1.0),
        ]
        for threshold in (False, True)
    ]
    confidence, right = [], []  # (prior, fit, regulator)
    for sign in PRIORS.values():
        for seed, setting in enumerate(settings * 2):
            z, (oriented, stated, _) = simulated(seed, **setting, sign=sign)
            confidence.append(stated)
            pairs = zip(z.T, oriented.activity.T, strict=True)
            right.append([np.corrcoef(true, found)[0, 1] > 0 for true, found in pairs])
    confidence, right = (np.reshape(values, (len(PRIORS), -1)) for values in (confidence, right))
    sure = confidence >= 0.9
    for known, r, s in zip(PRIORS, right, sure, strict=True):
        assert s.mean() > 0.3, known
        assert r[s].mean() >= 0.9, known
    assert abs(confidence.mean() - right.mean()) < 0.1
    assert right[sure].mean() > right[~sure].mean() + 0.1


def test_signs_hold_at_a_load_near_one():
    setting = {"n_cells": 12, "noise": 0.2, "shape": 1.0, "threshold": False, "sizes": (500, 50)}
    right = []
    for seed in range(4):
        z, (oriented, *_) = simulated(seed, **setting, sign=PRIORS["none"])
        assert (oriented.activity < 0).mean() > 0.1  # errors, as the truth has none
        pairs = zip(z.T, oriented.activity.T, strict=True)
        right += [np.corrcoef(true, found)[0, 1] > 0 for true, found in pairs]
    assert np.mean(right) > 0.93


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


def learned(sign, weight):
    """A regulator of a fit by evidence, whose activities say nothing of its sign."""
    n, rng = len(sign), np.random.default_rng(0)
    network = Network.from_edges(np.arange(n), np.zeros(n, dtype=int), np.array(sign), n, 1)
    z = rng.standard_normal((100, 1))
    fit = Fit(
        np.array(weight), np.zeros(n), np.concatenate([z, -z]),
        likelihood=restored("gaussian", {"noise_sd": np.ones(n)}), covariance=np.eye(1),
        weight_sd=np.ones(n), anchor=np.array(sign), anchor_variance=np.ones(n),
    )  # fmt: skip
    return fit, network


@pytest.mark.parametrize(
    ("sign", "turned"),
    [([1.0, 1, -1, 1], False), ([1.0, 1, 0, 0], False), ([1.0, 0, 0, 0], True)],
)
def test_search_from_signs_is_not_turned_where_most_edges_have_one(sign, turned):
    """Weights against the signs: they may take back a part of what a larger regulator does."""
    weight = np.where(np.array(sign) == 0, 1.0, -np.array(sign))
    fit, network = learned(sign, weight)
    oriented, confidence, _ = orient(fit, network)
    np.testing.assert_array_equal(oriented.activity, -fit.activity if turned else fit.activity)
    assert (confidence[0] == 0.5) != turned  # nothing is known where priors and weights disagree
    # penalised, where the search does not know a prior's sign from its opposite, all are turned
    penalised = replace(fit, covariance=None, anchor_variance=None, ridge=np.ones(1))
    assert orient(penalised, network)[0].activity[0, 0] * fit.activity[0, 0] < 0


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
    assert origin[1] == "none"
    assert confidence[1] == 0.5


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("weights", [[1.0, 2.0, -0.5], [-1.0, 0.2, 0.5]])
def test_without_skewness_most_of_the_weight_is_positive(flip, weights):
    z = np.array([1.0, 2.0, 3.0, 3.0, 1.0, 5.5]) - 7
    weight = flip * np.array(weights)
    fit = Fit(weight, np.zeros(3), flip * z[:, None])
    network = Network.from_edges([0, 1, 2], [0] * 3, [0] * 3, 3, 1)
    told = orient(fit, network)
    assert told[2].tolist() == ["skewness"]
    oriented, confidence, source = orient(fit, network, skewness=False)
    assert source.tolist() == ["none"]
    assert confidence.tolist() == [0.5]
    assert oriented.weight.sum() > 0
    np.testing.assert_allclose(product(oriented, network), product(fit, network))


def test_prior_signs_count_without_skewness():
    network = Network.from_edges([0, 1, 2], [0] * 3, [-1] * 3, 3, 1)
    fit = Fit(np.ones(3), np.zeros(3), np.arange(4.0)[:, None])
    oriented, _, source = orient(fit, network, skewness=False)
    assert source.tolist() == ["prior"]
    assert (oriented.weight < 0).all()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), depth=st.floats(0.3, 3.0))
def test_logarithms_of_counts_are_known_by_values_that_recur(seed, depth):
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, depth, 200) * rng.gamma(5.0, 0.2, (30, 1))
    counts = rng.poisson(rate).astype(np.float64)
    total = np.maximum(1, counts.sum(1, keepdims=True))
    logs = np.log1p(counts / total * np.median(total)).astype(np.float32)
    assert are_log_counts(logs)
    assert are_log_counts(logs[:, rng.permutation(200)])
    assert not are_log_counts(logs * rng.uniform(0.5, 2, 200).astype(np.float32))
    continuous = np.maximum(rng.standard_normal((30, 200)) - depth, 0)
    assert not are_log_counts(continuous)
    assert not are_log_counts(np.zeros((3, 4)))
    assert not are_log_counts(np.zeros((0, 4)))
