"""Representations of new data: least squares where the decoder is linear, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from grnrep.nn import (
    Bernoulli,
    KSparse,
    Model,
    Representation,
    SquaredError,
    Variational,
    errors,
    infer,
    mlp,
    reconstruct,
)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def decoder_alone(decoder, d=2, **parts):
    return Model(Representation(7, d), decoder, loss=SquaredError(), **parts)


X = uniform(12, 6, seed=1)
DESCENT = {"epochs": 400, "lr": 0.2, "batch_size": 1}


def test_linear_decoder_gives_least_squares():
    model = decoder_alone(mlp((2, 6)))
    layer = model.decoder[0]
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    expected = np.linalg.lstsq(weight, (X.double().numpy() - bias).T, rcond=None)[0].T
    np.testing.assert_allclose(infer(model, X, **DESCENT).z.numpy(), expected, atol=1e-4)


def test_one_step_by_hand():
    """From the mean of the learned representations, against the gradient of the loss over batch_size."""
    model = decoder_alone(mlp((2, 6)))
    weight, bias = (p.detach() for p in (model.decoder[0].weight, model.decoder[0].bias))
    start = model.source.table.detach().mean(0)
    gradient = 2 * (start @ weight.T + bias - X) @ weight / 4
    velocity = gradient
    first = start - 0.1 * velocity
    velocity = 0.5 * velocity + 2 * (first @ weight.T + bias - X) @ weight / 4
    settings = {"lr": 0.1, "momentum": 0.5, "batch_size": 4}
    torch.testing.assert_close(infer(model, X, epochs=1, **settings).z, first)
    torch.testing.assert_close(infer(model, X, epochs=2, **settings).z, first - 0.1 * velocity)


@pytest.mark.parametrize(
    "bottleneck", [None, KSparse(1), Variational()], ids=["none", "sparse", "variational"]
)
def test_samples_do_not_influence_each_other(bottleneck):
    d = 4 if isinstance(bottleneck, Variational) else 2
    model = decoder_alone(mlp((2, 6)), d=d, bottleneck=bottleneck)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    z = infer(model, X, epochs=20, lr=0.1).z
    torch.testing.assert_close(infer(model, X[order], epochs=20, lr=0.1).z, z[order])
    torch.testing.assert_close(infer(model, X[3:4], epochs=20, lr=0.1).z, z[3:4])


def test_nothing_but_new_representations_changes():
    model = decoder_alone(nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6)))
    model.decoder[0].bias.requires_grad_(False)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    infer(model, X, epochs=5)
    assert model.training
    assert model.decoder.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    needed = {name: p.requires_grad for name, p in model.named_parameters()}
    assert not needed.pop("decoder.0.bias")
    assert all(needed.values())
    assert all(p.grad is None for p in model.decoder.parameters())


def test_encoder_gives_representations_at_once():
    model = Model(
        nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)),
        mlp((2, 6)),
        loss=SquaredError(),
        bottleneck=Variational(),
    )
    code = infer(model, X, batch_size=5)
    model.eval()
    torch.testing.assert_close(code.z, model.source(X)[:, :2])
    torch.testing.assert_close(code.log_variance, model.source(X)[:, 2:])
    assert not code.z.requires_grad


def test_reconstruction_and_errors_are_those_of_the_loss():
    model = Model(mlp((6, 2)), mlp((2, 6)), loss=Bernoulli())
    code = infer(model, X)
    p = model.decoder(code.z).detach()
    torch.testing.assert_close(reconstruct(model, code.z, batch_size=5), torch.sigmoid(p))
    torch.testing.assert_close(errors(model, X, code, batch_size=5), Bernoulli()(p, X))


def test_descent_lowers_the_loss_of_a_deep_decoder():
    model = decoder_alone(mlp((2, 16, 6), activation="tanh"))
    start, end = (
        errors(model, X, infer(model, X, epochs=n, lr=0.1, batch_size=1)) for n in (1, 200)
    )
    assert (end < start).all()
