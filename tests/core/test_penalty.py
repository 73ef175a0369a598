"""What weights are shrunk to, how strongly, and what of it an edge without a sign shares."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.als.data import Penalty, Scale, typical_gram
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.network import Network
from grnrep.core.posterior.gibbs import Chain
from grnrep.core.signs import orient

SCALE = Scale(900.0, 500.0, 40)


def problem(seed, hidden, *, n_cells=150, n_genes=100, m=10, noise=0.5, likelihood="gaussian"):
    """Expression, a network without a share ``hidden`` of its signs, true weights and activities."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.2
    w = mask * rng.uniform(0.2, 1, mask.shape) * rng.choice([-1, 1], mask.shape)
    z = rng.gamma(1.0, size=(n_cells, m))
    p = z @ w.T + noise * rng.normal(size=(n_cells, n_genes))
    gene, regulator = np.nonzero(mask)
    sign = np.where(rng.random(len(gene)) < hidden, 0.0, np.sign(w[gene, regulator]))
    network = Network.from_edges(gene, regulator, sign, n_genes, m)
    x = p if likelihood == "gaussian" else np.maximum(p, 0)
    return x.astype(np.float32), network, w[gene, regulator], z


@pytest.mark.parametrize("shared", [False, True])
def test_regulators_with_all_signs_or_none_have_one_penalty_each(shared):
    network = Network.from_edges([0, 0, 1, 2, 2], [0, 1, 0, 1, 2], [1, 0, -1, 0, 1], 3, 3)
    penalty = Penalty.of(network, 3, SCALE, ridge=0.1, prior=2.0, shared=shared)
    size = np.array([1, 1, 1, 1, 1]) / np.sqrt([2, 2, 1, 2, 2] if shared else [1] * 5)
    squares, unit = np.square(size).sum(), 0.1 * typical_gram(900.0, 3)
    strong = 2 * 500 / squares
    np.testing.assert_allclose(penalty.w, [strong, unit, strong, unit, strong])
    np.testing.assert_allclose(penalty.anchor, size * network.sign)
    np.testing.assert_allclose(penalty.z, [0.1 * squares / 3, unit, 0.1 * squares / 3])
    assert penalty.balanced.tolist() == [False, True, False]


@settings(deadline=None, max_examples=20, derandomize=True)
@given(ridge=st.floats(1e-4, 10), prior=st.floats(1e-3, 100), shared=st.booleans())
def test_an_unsigned_edge_beside_signed_ones_has_the_variance_of_either_sign(ridge, prior, shared):
    network = Network.from_edges([0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 0, 1], 2, 2)
    penalty = Penalty.of(network, 2, SCALE, ridge=ridge, prior=prior, shared=shared)
    squares = 2.0 if shared else 4.0
    # the variance of an activity, if weights are as the prior has them
    activity = SCALE.beyond_known / (squares * SCALE.n_cells)
    noise = float(penalty.z[0]) * activity
    variance = noise / penalty.w.numpy()
    # N(size, v) by two points
    draws = np.sqrt(squares / 4) + np.array([-1, 1]) * np.sqrt(variance[0])
    assert variance[2] == pytest.approx(np.square([draws, -draws]).mean())
    assert penalty.anchor[2] == 0
    assert penalty.w[3] == penalty.w[0]


def test_without_a_ridge_only_signs_are_believed():
    network = Network.from_edges([0, 1], [0, 0], [1, 0], 2, 1)
    for energy in (500.0, 0.0):
        penalty = Penalty.of(network, 1, replace(SCALE, beyond_known=energy), ridge=0.0, prior=1.0)
        assert penalty.w[1] == 0


@pytest.mark.parametrize(
    ("likelihood", "hidden"), [("gaussian", 0.5), ("tobit", 0.5), ("gaussian", 0.75)]
)
def test_unsigned_edges_are_learned_whatever_the_prior_of_the_others(likelihood, hidden):
    x, network, w, z = problem(1, hidden, likelihood=likelihood)
    unsigned = network.sign == 0
    scale = np.sqrt(np.bincount(network.regulator, w**2) / network.targets_per_regulator())
    w = w / scale[network.regulator]
    options = {"likelihood": likelihood, "intercept": likelihood == "tobit", "ridge": 0.1}
    slope, recovery = [], []
    for prior in (0.0, 10.0):
        fit, *_ = orient(fit_decoder(x, network, **options, prior=prior), network)
        slope.append((fit.weight * w)[unsigned].sum() / np.square(w[unsigned]).sum())
        recovery.append(
            np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(fit.activity.T, z.T, strict=True)])
        )
    assert slope[1] > 0.8 * slope[0]
    assert recovery[1] > recovery[0] - 0.03


@settings(deadline=None, max_examples=5, derandomize=True)
@given(power=st.integers(-8, 8), seed=st.integers(0, 99), hidden=st.sampled_from([0.3, 0.6]))
def test_units_change_nothing_but_units(power, seed, hidden):
    x, network, *_ = problem(seed, hidden, n_cells=40, n_genes=50, m=6)
    unit = 10.0**power
    options = {"likelihood": "gaussian", "intercept": True, "ridge": 0.1, "prior": 1.0}
    raw = [fit_decoder(c * x.astype(np.float64), network, **options) for c in (1.0, unit)]
    signed = np.bincount(network.regulator, np.abs(network.sign)) > 0
    np.testing.assert_allclose(raw[1].ridge[signed], raw[0].ridge[signed], rtol=1e-9)
    # a regulator all of whose signs are hidden has a scale of its own, until it is oriented
    fit, scaled = (orient(each, network)[0] for each in raw)
    np.testing.assert_allclose(scaled.weight, fit.weight, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(scaled.activity, unit * fit.activity, rtol=1e-6, atol=1e-8 * unit)
    np.testing.assert_allclose(scaled.bias, unit * fit.bias, rtol=1e-6, atol=1e-8 * unit)
    np.testing.assert_allclose(scaled.ridge, fit.ridge, rtol=1e-6)
    projected = project(unit * x.astype(np.float64), scaled, network)
    np.testing.assert_allclose(projected, scaled.activity, rtol=1e-6, atol=1e-7 * unit)


def test_the_chain_gives_unsigned_edges_the_same_variance_at_the_noise_of_their_gene():
    x, network, *_ = problem(2, 0.5, n_cells=30)
    fit = fit_decoder(x, network, likelihood="gaussian", prior=10.0, ridge=0.1)
    chain = Chain(torch.as_tensor(x), fit, network, likelihood="gaussian", prior=10.0, rng=0)
    chain.noise = torch.linspace(0.1, 2.0, len(chain.noise), dtype=torch.float64)
    noise = chain.noise.numpy()[network.gene]
    variance = noise / chain.weight_precision().numpy()  # weights are whitened: λ = σ² / variance
    signed = network.sign != 0
    lam = 10 * np.square(x, dtype=np.float64).sum() / network.n_edges
    np.testing.assert_allclose(variance[signed], noise[signed] / lam)
    np.testing.assert_allclose(variance[~signed], 1 + noise[~signed] / lam)
