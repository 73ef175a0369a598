"""Representations of new cells under a frozen decoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.nn import fit_gradient, project_gradient

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def truth():
    """Activities of 20 cells, a network of 150 genes and 8 regulators, and its true decoder."""
    draw = np.random.default_rng(0)
    mask = draw.random((150, 8)) < 0.3
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), *mask.shape)
    decoder = Fit(draw.uniform(-1, 1, len(gene)), draw.normal(size=150), np.zeros((0, 8)))
    return draw.gamma(1, 1, (20, 8)), network, decoder


def expression(z, network, decoder, link):
    dense = np.zeros((network.n_genes, network.n_regulators))
    dense[network.gene, network.regulator] = decoder.weight
    p = z @ dense.T + (0 if decoder.bias is None else decoder.bias)
    return np.maximum(p, 0) if link == "relu" else p


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("link", ["relu", "identity"])
def test_finds_the_truth_under_the_true_decoder(truth, link, intercept, dtype, device):
    z, network, decoder = truth
    decoder = decoder if intercept else replace(decoder, bias=None)
    x = expression(z, network, decoder, link).astype(dtype)
    found = project_gradient(
        x, decoder, network, link=link, epochs=200, device=device, progress=False
    )
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, z, atol=1e-3)


def test_is_least_squares_with_identity_link(truth):
    z, network, decoder = truth
    x = expression(z, network, decoder, "identity") + np.random.default_rng(1).normal(
        size=(20, 150)
    )
    dense = expression(np.eye(8), network, replace(decoder, bias=None), "identity").T
    expected = np.linalg.lstsq(dense, (x - decoder.bias).T, rcond=None)[0].T
    found = project_gradient(x, decoder, network, link="identity", progress=False)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_steps_by_hand(truth):
    z, network, decoder = truth
    x = expression(z, network, decoder, "relu") * 2
    dense = expression(np.eye(8), network, replace(decoder, bias=None), "identity").T
    norm = np.linalg.norm(dense, axis=0)
    unit = dense / norm
    expected, velocity = np.zeros_like(z), 0
    for epoch in range(5):
        p = expected @ unit.T + decoder.bias
        off = np.where(x > 0, p - x, np.maximum(p, 0))
        if epoch >= 3:  # the second half
            off = np.where(p > 0, p - x, 0)
        velocity = 0.9 * velocity + 2 * off @ unit
        expected = expected - velocity / np.linalg.norm(np.abs(unit).T @ np.abs(unit), np.inf)
    found = project_gradient(x, decoder, network, epochs=5, progress=False)
    np.testing.assert_allclose(found, expected / norm, rtol=1e-9)


def test_training_cells_get_their_learned_activities(truth):
    draw = np.random.default_rng(2)
    _, network, decoder = truth
    x = expression(draw.gamma(1, 1, (150, 8)), network, replace(decoder, bias=None), "relu")
    fit = fit_gradient(x, network, epochs=300, progress=False)
    found = project_gradient(x, fit, network, progress=False)
    correlation = [np.corrcoef(*pair)[0, 1] for pair in zip(found.T, fit.activity.T, strict=True)]
    assert np.min(correlation) > 0.95
    learned, inferred = (
        np.mean((expression(z, network, fit, "relu") - x) ** 2) for z in (fit.activity, found)
    )
    assert inferred < learned  # which had one step per epoch, while the decoder moved


def test_cells_do_not_influence_each_other(truth):
    z, network, decoder = truth
    x = expression(z, network, decoder, "relu")
    options = {"epochs": 40, "progress": False}
    x += np.random.default_rng(1).random(x.shape)
    whole = project_gradient(x, decoder, network, **options)
    order = np.random.default_rng(2).permutation(len(x))
    close = {"rtol": 1e-9, "atol": 1e-12}
    shuffled = project_gradient(x[order], decoder, network, **options)
    np.testing.assert_allclose(shuffled, whole[order], **close)
    np.testing.assert_allclose(
        project_gradient(x[:1], decoder, network, **options), whole[:1], **close
    )
    in_batches = project_gradient(x, decoder, network, batch_size=3, **options)
    np.testing.assert_allclose(in_batches, whole, **close)
    as_sparse = project_gradient(sp.csr_array(x), decoder, network, **options)
    np.testing.assert_allclose(as_sparse, whole, **close)


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_follows_sign_and_scale_of_the_decoder(truth, size):
    z, network, decoder = truth
    x = expression(z, network, decoder, "relu") + np.random.default_rng(1).random((20, 150))
    scale = size * np.resize([1.0, -1.0, 0.1], 8)
    scaled = replace(decoder, weight=decoder.weight / scale[network.regulator])
    plain, found = (
        project_gradient(x, f, network, epochs=100, progress=False) for f in (decoder, scaled)
    )
    np.testing.assert_allclose(found, plain * scale, rtol=1e-5)


def test_rate_is_safe_whatever_the_weights():
    """Opposite weights cancel in sums over regulators; equal ones add up."""
    for weight in ([1, -1] * 30, [1, 1] * 30):
        network = Network.from_edges(np.repeat(np.arange(30), 2), [0, 1] * 30, [0] * 60, 30, 2)
        decoder = Fit(np.array(weight, dtype=float), None, np.zeros((0, 2)))
        x = np.random.default_rng(0).random((4, 30))
        found = project_gradient(x, decoder, network, link="identity", epochs=300, progress=False)
        dense = np.array(weight).reshape(30, 2)
        expected = x @ np.linalg.pinv(dense).T  # of least norm, as from a start at zero
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_nothing_is_known_without_targets(truth):
    network = Network.from_edges([0, 1], [0, 0], [0, 0], n_genes=2, n_regulators=2)
    decoder = Fit(np.ones(2), None, np.zeros((0, 2)))
    found = project_gradient(np.ones((3, 2)), decoder, network, epochs=400, progress=False)
    np.testing.assert_allclose(found, [[1, 0]] * 3, atol=1e-6)
    off = replace(decoder, weight=np.zeros(2))
    assert not project_gradient(np.ones((3, 2)), off, network, epochs=5, progress=False).any()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1; found 0"),
        ({"batch_size": -1}, "batch_size must be a whole number of at least 1; found -1"),
        ({"link": "log"}, "link must be one of .*; found 'log'"),
        ({"x": np.zeros((2, 3))}, r"x must have shape \(n_cells > 0, 150\); found \(2, 3\)"),
        ({"fit": Fit(np.zeros(2), None, np.zeros((0, 8)))}, r"fit.weight must have shape \(\d+,\)"),
    ],
)
def test_refuses_bad_arguments(truth, bad, message):
    z, network, decoder = truth
    arguments = {"x": expression(z, network, decoder, "relu"), "fit": decoder, **bad}
    with pytest.raises(ValueError, match=message):
        project_gradient(
            arguments.pop("x"), arguments.pop("fit"), network, progress=False, **arguments
        )
