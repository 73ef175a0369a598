"""The gradient recipe against hand-written numpy, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.nn import fit_gradient

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
STILL = 1e-300  # a rate at which nothing moves, so that a fit returns its start values


def simulate(n_cells, n_genes=120, n_regulators=10, *, seed=0, offset=0.0, link="relu"):
    """Noise-free data of Eq. 6: x, activities, network without signs, weights of its edges.

    One weight in ten is negative, as in the data of the paper's supplement.
    """
    draw = np.random.default_rng(seed)
    mask = draw.random((n_genes, n_regulators)) < 0.3
    weight = (
        draw.uniform(0.1, 1, mask.shape) * np.where(draw.random(mask.shape) < 0.1, -1, 1) * mask
    )
    z = draw.gamma(1, 1, (n_cells, n_regulators))
    p = z @ weight.T + offset
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), *mask.shape)
    return np.maximum(p, 0) if link == "relu" else p, z, network, weight[gene, regulator]


def pearson(a, b):
    return np.array([np.corrcoef(*pair)[0, 1] for pair in zip(a.T, b.T, strict=True)])


def by_hand(
    x, network, start, batches, *, link, lr, weight_decay, lr_activity, momentum, batch_size
):
    """The recipe in dense numpy: Adam after every batch, one momentum step after every epoch."""
    n_genes, m = network.n_genes, network.n_regulators
    w, b, z = start.weight.copy(), start.bias, start.activity.copy()
    b = None if b is None else b.copy()
    parameters = [w] if b is None else [w, b]
    moments = [(np.zeros_like(q), np.zeros_like(q)) for q in parameters]
    velocity, step, history = np.zeros_like(z), 0, []
    for epoch in batches:
        grad_z, loss = np.zeros_like(z), 0.0
        for rows in epoch:
            dense = np.zeros((n_genes, m))
            dense[network.gene, network.regulator] = w
            p = z[rows] @ dense.T + (0 if b is None else b)
            off = (np.maximum(p, 0) if link == "relu" else p) - x[rows]
            loss += (off**2).sum()
            grad_p = 2 * off * ((p > 0) if link == "relu" else 1) / batch_size
            grad_z[rows] += grad_p @ dense
            grads = [(grad_p.T @ z[rows])[network.gene, network.regulator], grad_p.sum(0)]
            step += 1
            for q, grad, (first, second) in zip(parameters, grads, moments, strict=False):
                grad = grad + weight_decay * q
                first += 0.1 * (grad - first)
                second += 0.001 * (grad**2 - second)
                q -= lr * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        velocity = momentum * velocity + grad_z
        z -= lr_activity * velocity
        history.append(loss / x.size)
    return Fit(w, b, z, history=history)


def assert_same(fit, expected, **close):
    for name in ("weight", "activity", "history"):
        np.testing.assert_allclose(
            getattr(fit, name), getattr(expected, name), err_msg=name, **close
        )
    if expected.bias is not None:
        np.testing.assert_allclose(fit.bias, expected.bias, err_msg="bias", **close)


def start_of(x, network, **settings):
    """What the recipe starts from: a fit at rates at which nothing moves."""
    still = {"epochs": 1, "lr": STILL, "lr_activity": STILL, "weight_decay": 0, "progress": False}
    fit = fit_gradient(x, network, **still, **settings)
    weight, activity = (np.where(np.abs(q) > 1e-200, q, 0) for q in (fit.weight, fit.activity))
    return replace(fit, weight=weight, activity=activity)


SETTINGS = {"lr": 0.02, "weight_decay": 0.1, "lr_activity": 0.3, "momentum": 0.7}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("link", ["relu", "identity"])
def test_epochs_by_hand(link, intercept, device):
    x, _, network, _ = simulate(9, 8, 3, offset=0.1, link=link)
    same = {"link": link, "intercept": intercept, "rng": 3, "device": device, "progress": False}
    start = start_of(x, network, link=link, intercept=intercept, rng=3)
    fit = fit_gradient(x, network, epochs=4, batch_size=16, **SETTINGS, **same)
    expected = by_hand(
        x, network, start, [[np.arange(9)]] * 4, link=link, batch_size=16, **SETTINGS
    )
    assert (fit.bias is None) != intercept
    assert_same(fit, expected, rtol=1e-6, atol=1e-9)
    assert np.abs(fit.activity - start.activity).max() > 1e-3


@pytest.mark.parametrize("link", ["relu", "identity"])
def test_batches_by_hand(link):
    """One of the orders of 5 cells in batches of 2, 2 and 1 gives the result, to rounding."""
    x, _, network, _ = simulate(5, 8, 3, link=link)
    start = start_of(x, network, link=link, rng=1)
    settings = {"link": link, "batch_size": 2, **SETTINGS}
    fit = fit_gradient(x, network, epochs=1, rng=1, progress=False, **settings)
    distance = []
    for order in map(list, permutations(range(5))):
        batches = [[order[:2], order[2:4], order[4:]]]
        expected = by_hand(x, network, start, batches, **settings)
        distance.append(
            np.abs(fit.weight - expected.weight).max()
            + np.abs(fit.activity - expected.activity).max()
        )
    assert np.min(distance) < 1e-9
    assert np.median(distance) > 1e-5  # so the order does matter, and the test can fail


def test_same_seed_same_result():
    x, _, network, _ = simulate(40)
    fits = [
        fit_gradient(x, network, epochs=3, rng=rng, progress=False)
        for rng in (5, 5, np.random.default_rng(5), 6)
    ]
    for same in fits[1:3]:
        np.testing.assert_array_equal(fits[0].weight, same.weight)
        np.testing.assert_array_equal(fits[0].activity, same.activity)
        assert fits[0].history == same.history
    assert not np.allclose(fits[0].activity, fits[3].activity)
    state = torch.get_rng_state()
    fit_gradient(x, network, epochs=1, progress=False)
    assert torch.equal(state, torch.get_rng_state())  # the global generator is left alone


@pytest.mark.parametrize("seed", range(2))
def test_learns_activities_and_signs_of_eq_6(seed):
    x, z, network, weight = simulate(150, seed=seed)
    fit = fit_gradient(x, network, rng=seed, epochs=150, progress=False)
    assert fit.history[-1] < 0.25 * np.mean(x**2) < fit.history[0]
    assert pearson(fit.activity, z).mean() > 0.95
    assert np.corrcoef(fit.weight, weight)[0, 1] > 0.6


def test_learns_with_identity_link():
    x, z, network, _ = simulate(150, link="identity")
    fit = fit_gradient(x, network, link="identity", epochs=150, progress=False)
    assert fit.history[-1] < 0.05 * np.mean(x**2)
    assert np.abs(pearson(fit.activity, z)).mean() > 0.9


@pytest.mark.parametrize(("link", "offset"), [("relu", 1.5), ("identity", -1)])
def test_intercept_takes_up_an_offset(link, offset):
    x, z, network, _ = simulate(150, offset=offset, link=link)
    with_it, without = (
        fit_gradient(x, network, link=link, intercept=intercept, epochs=150, progress=False)
        for intercept in (True, False)
    )
    assert with_it.bias.shape == (network.n_genes,)
    assert np.median(with_it.bias) * offset > 0
    assert with_it.history[-1] < 0.7 * without.history[-1]
    assert np.abs(pearson(with_it.activity, z)).mean() > 0.75


def test_weights_start_with_prior_sign():
    _, _, network, _ = simulate(2)
    sign = np.resize([1, -1, 0, 0], network.n_edges)
    signed = Network.from_edges(
        network.gene, network.regulator, sign, network.n_genes, network.n_regulators
    )
    x = np.ones((2, network.n_genes))
    start, free = (start_of(x, net).weight for net in (signed, network))
    known = sign != 0
    np.testing.assert_array_equal(np.sign(start[known]), sign[known])
    np.testing.assert_array_equal(np.abs(start), np.abs(free))
    np.testing.assert_array_equal(start[~known], free[~known])
    assert {-1, 1} == set(np.sign(start[~known]))
    given = np.linspace(-1, 1, network.n_edges)
    np.testing.assert_array_equal(start_of(x, signed, init_weight=given).weight, given)


def test_what_no_edge_explains():
    """A gene without regulators adds its own squares; a regulator without targets stays zero."""
    network = Network.from_edges([0, 1], [0, 0], [0, 0], n_genes=3, n_regulators=2)
    x = np.random.default_rng(0).gamma(1, size=(10, 3))
    fit = fit_gradient(x, network, epochs=5, progress=False)
    assert not fit.activity[:, 1].any()
    assert fit.activity[:, 0].any()
    assert fit.history[-1] > np.mean(x[:, 2] ** 2) / 3
    nothing = Network.from_edges([], [], [], n_genes=3, n_regulators=2)
    fit = fit_gradient(x, nothing, epochs=2, progress=False)
    assert fit.weight.shape == (0,)
    assert fit.history == pytest.approx([np.mean(x**2)] * 2)


def test_cells_without_expression_stay_finite():
    _, _, network, _ = simulate(2)
    fit = fit_gradient(np.zeros((40, network.n_genes)), network, epochs=50, progress=False)
    assert np.isfinite(fit.activity).all()
    assert np.isfinite(fit.weight).all()


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_matrix, sp.coo_array, np.asfortranarray])
def test_form_of_x_does_not_matter(form):
    x, _, network, _ = simulate(40)
    given = form(x)
    dense, other = (
        fit_gradient(values, network, epochs=2, progress=False) for values in (x, given)
    )
    np.testing.assert_array_equal(dense.activity, other.activity)
    np.testing.assert_array_equal(dense.weight, other.weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_dtype_of_x(dtype):
    x, _, network, _ = simulate(40)
    x = np.round(x)
    before = x.astype(dtype)
    fit = fit_gradient(before, network, epochs=5, intercept=True, progress=False)
    reference = fit_gradient(x, network, epochs=5, intercept=True, progress=False)
    assert fit.weight.dtype == fit.activity.dtype == fit.bias.dtype == np.float64
    assert_same(fit, reference, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(before, x)


def test_progress_can_be_silenced(capsys):
    x, _, network, _ = simulate(3)
    fit_gradient(x, network, epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")
    fit_gradient(x, network, epochs=2)
    assert "2/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1; found 0"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1; found 0"),
        ({"link": "softplus"}, "link must be one of .*relu.*identity.*; found 'softplus'"),
        ({"lr": 0}, "lr must be positive; found 0"),
        ({"lr": float("nan")}, "lr must be positive; found nan"),
        ({"lr_activity": -1}, "lr_activity must be positive; found -1"),
        ({"momentum": 1}, r"momentum must lie in \[0, 1\); found 1"),
        ({"weight_decay": -1}, "weight_decay must not be negative; found -1"),
        ({"init_weight": np.zeros(3)}, r"weight must have shape \(\d+,\); found \(3,\)"),
    ],
)
def test_refuses_bad_arguments(bad, message):
    x, _, network, _ = simulate(3)
    with pytest.raises(ValueError, match=message):
        fit_gradient(x, network, progress=False, **bad)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3)), r"x must have shape \(n_cells > 0, 120\); found \(2, 3\)"),
        (np.zeros((0, 120)), "x must have shape"),
        (np.zeros(120), "x must have shape"),
        (np.full((2, 120), np.nan), "x must be finite"),
        (sp.csr_array(np.full((2, 120), np.inf)), "x must be finite"),
    ],
)
def test_refuses_bad_data(x, message):
    network = simulate(2)[2]
    with pytest.raises(ValueError, match=message):
        fit_gradient(x, network, progress=False)


def test_says_that_the_error_rose(caplog):
    x, _, network, _ = simulate(40)
    fit_gradient(x, network, epochs=20, progress=False)
    assert caplog.text == ""
    fit = fit_gradient(x, network, lr_activity=100, epochs=20, progress=False)
    assert fit.history[-1] > fit.history[0]
    assert "the mean squared error rose from" in caplog.text


def test_says_that_it_diverged():
    x, _, network, _ = simulate(20)
    with pytest.raises(FloatingPointError, match="diverged; lower lr and lr_activity"):
        fit_gradient(x, network, link="identity", lr_activity=1e4, progress=False)
