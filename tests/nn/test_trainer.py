"""The trainer beside a hand-written one, its seed, its checkpoint and its early end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from grnrep.nn import (
    KL,
    Bfloat16,
    GaussianNoise,
    Model,
    Representation,
    SquaredError,
    Trainer,
    Variational,
    mlp,
)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


X = uniform(10, 5)
QUIET = Trainer(epochs=4, batch_size=4, lr=0.01, progress=False, rng=3)


def decoder_alone(n=10):
    return Model(Representation(n, 2, init=uniform(n, 2, seed=2)), mlp((2, 5)), loss=SquaredError())


def autoencoder():
    return Model(
        mlp((5, 4)),
        mlp((2, 5), rng=1),
        loss=SquaredError(),
        bottleneck=Variational(),
        corruption=GaussianNoise(0.1),
        penalties=(KL(beta=0.1),),
    )


MODELS = pytest.mark.parametrize("make", [decoder_alone, autoencoder])


def assert_same(a, b):
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q), name


def adam(parameter, gradient, state, step, lr, weight_decay):
    gradient = gradient + weight_decay * parameter
    state[0] = 0.9 * state[0] + 0.1 * gradient
    state[1] = 0.999 * state[1] + 0.001 * gradient**2
    return parameter - lr * (state[0] / (1 - 0.9**step)) / (
        np.sqrt(state[1] / (1 - 0.999**step)) + 1e-8
    )


def test_decoder_and_representations_by_hand():
    """Adam after every batch of 4, 4 and 2; one momentum step of the representations after an epoch."""
    model = decoder_alone().double()
    x = X.double()
    z, w, b = (
        p.detach().numpy().copy()
        for p in (model.source.table, model.decoder[0].weight, model.decoder[0].bias)
    )
    trainer = replace(QUIET, weight_decay=0.1, lr_representation=0.2, momentum=0.7)
    history = trainer.fit(model, x)

    generator = torch.Generator().manual_seed(3)
    states, velocity, step, losses = {"w": [0, 0], "b": [0, 0]}, np.zeros_like(z), 0, []
    for _ in range(4):
        gradient_z, loss = np.zeros_like(z), 0.0
        for rows in torch.randperm(10, generator=generator).split(4):
            rows = rows.numpy()
            off = z[rows] @ w.T + b - x.numpy()[rows]
            loss += (off**2).sum()
            gradient_z[rows] += 2 * off @ w / 4
            gradients, step = {"w": 2 * off.T @ z[rows] / 4, "b": 2 * off.sum(0) / 4}, step + 1
            w = adam(w, gradients["w"], states["w"], step, 0.01, 0.1)
            b = adam(b, gradients["b"], states["b"], step, 0.01, 0.1)
        velocity = 0.7 * velocity + gradient_z
        z = z - 0.2 * velocity
        losses.append(loss / 10)
    np.testing.assert_allclose(model.source.table.detach().numpy(), z, rtol=1e-9)
    np.testing.assert_allclose(model.decoder[0].weight.detach().numpy(), w, rtol=1e-9)
    np.testing.assert_allclose(model.decoder[0].bias.detach().numpy(), b, rtol=1e-9)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-9)
    np.testing.assert_allclose(history["reconstruction"], losses, rtol=1e-9)
    assert history.index.tolist() == [1, 2, 3, 4]


@MODELS
def test_same_seed_same_result(make):
    first, again, other = make(), make(), make()
    torch.manual_seed(1)
    histories = [QUIET.fit(first, X)]
    torch.manual_seed(2)
    histories += [QUIET.fit(again, X), replace(QUIET, rng=4).fit(other, X)]
    assert_same(first, again)
    assert histories[0].equals(histories[1])
    assert not histories[0].equals(histories[2])


@MODELS
def test_interrupted_training_goes_on_to_the_same_result(make, tmp_path):
    trainer = replace(QUIET, checkpoint=tmp_path / "training.pt")
    straight, first, second = make(), make(), make()
    history = QUIET.fit(straight, X)

    def stop(epoch, _):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(first, X, on_epoch=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["training.pt"]
    resumed = trainer.fit(second, X)
    assert_same(straight, second)
    assert resumed.equals(history)
    assert not list(tmp_path.iterdir())


def test_checkpoint_of_another_training(tmp_path):
    trainer = replace(QUIET, checkpoint=tmp_path / "training.pt")

    def stop(epoch, _):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(autoencoder(), X, on_epoch=stop)
    with pytest.raises(ValueError, match="another training: lr differ"):
        replace(trainer, lr=0.02).fit(autoencoder(), X)
    other = autoencoder()
    other.decoder = Bfloat16(other.decoder)
    with pytest.raises(ValueError, match="another model, or to one of other precision; remove it"):
        trainer.fit(other, X)
    (tmp_path / "training.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="cannot be read"):
        trainer.fit(autoencoder(), X)


def test_early_end_keeps_the_best_epoch():
    """Four samples are soon learned by heart, and others are then predicted worse and worse."""
    train, validation = uniform(4, 5), uniform(30, 5, seed=7)

    def make():
        return Model(mlp((5, 30, 4)), mlp((4, 30, 5), rng=1), loss=SquaredError())

    trainer = Trainer(epochs=300, lr=0.01, progress=False)
    whole = trainer.fit(make(), train, validation=validation)["validation"]
    best = int(whole.idxmin())
    assert best + 5 < 300
    model = make()
    history = replace(trainer, patience=5).fit(model, train, validation=validation)["validation"]
    first = next(
        e for e in whole.index[5:] if whole[: e - 5].min() <= whole[e - 4 : e].min()
    )  # no better in five epochs
    assert len(history) == first
    assert history.tolist() == whole[:first].tolist()
    found = (model(validation) - validation).square().sum(1).mean().item()
    assert found == pytest.approx(history.min(), rel=1e-5)


def test_what_needs_no_gradient_stays():
    model = autoencoder()
    model.decoder.requires_grad_(False)
    before = model.decoder[0].weight.clone()
    started = model.source[0].weight.detach().clone()
    QUIET.fit(model, X)
    assert torch.equal(model.decoder[0].weight, before)
    assert not torch.equal(model.source[0].weight, started)


def test_target():
    """A linear encoder to given representations is their regression on the data."""
    x = torch.randn(50, 5, generator=torch.Generator().manual_seed(1))
    target = x @ uniform(5, 2, seed=5) + 1
    model = Model(mlp((5, 2)), nn.Identity(), loss=SquaredError())
    Trainer(epochs=500, batch_size=50, lr=0.02, progress=False).fit(model, x, target=target)
    torch.testing.assert_close(model(x), target, atol=1e-3, rtol=0)


def test_every_epoch_is_announced():
    seen = []
    model = autoencoder()
    QUIET.fit(model, X, on_epoch=lambda epoch, m: seen.append((epoch, m is model, m.training)))
    assert [s[:2] for s in seen] == [(epoch, True) for epoch in range(1, 5)]
    assert not model.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must"),
        ({"batch_size": 1.5}, "batch_size must"),
        ({"patience": 0}, "patience must"),
        ({"lr": 0}, "lr must"),
        ({"lr_representation": -1}, "lr_representation must"),
        ({"momentum": 1}, "momentum must"),
        ({"weight_decay": -1}, "weight_decay must"),
    ],
)
def test_refuses_settings(change, message):
    with pytest.raises(ValueError, match=message):
        Trainer(**change)


@pytest.mark.parametrize(
    ("x", "other", "message"),
    [
        (X * torch.nan, {}, "x must be finite"),
        (X[:0], {}, "no samples"),
        (X, {"target": X[:5]}, "found 5"),
        (X, {"validation": X / 0}, "validation must be finite"),
        (X[:5], {}, "a row for each of 5 samples; found 10"),
    ],
)
def test_refuses_data(x, other, message):
    model = decoder_alone()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        QUIET.fit(model, x, **other)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_refuses_patience_without_validation():
    with pytest.raises(ValueError, match="validation=None"):
        replace(QUIET, patience=2).fit(autoencoder(), X)


def test_refuses_a_model_without_parameters():
    with pytest.raises(ValueError, match="no parameter"):
        QUIET.fit(Model(nn.Identity(), nn.Identity(), loss=SquaredError()), X)


def test_divergence_is_an_error():
    with pytest.raises(FloatingPointError, match="lower lr"):
        replace(QUIET, epochs=100, lr_representation=1e6).fit(decoder_alone(), X)
