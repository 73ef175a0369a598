"""A model is its parts: what each of them is given, and how losses add up."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grnrep.nn import (
    KL,
    GaussianNoise,
    KSparse,
    Masking,
    Model,
    Representation,
    SquaredError,
    Variational,
    mlp,
)


def seed(number):
    return torch.Generator().manual_seed(number)


X = torch.rand(6, 5, generator=seed(0))


class Spy(nn.Module):
    """A penalty that keeps what it was given."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, batch):
        self.batch = batch
        return torch.tensor(self.value)


def test_losses_add_up():
    model = Model(
        mlp((5, 2)), mlp((2, 5), rng=1), loss=SquaredError(), penalties=(Spy(2.0), Spy(0.25))
    )
    total, reconstruction = model.objective(X)
    expected = (model.decoder(model.source(X)) - X).square().sum(1).mean()
    torch.testing.assert_close(reconstruction, expected)
    torch.testing.assert_close(total, expected + 2.25)


def test_without_penalties_the_loss_is_the_reconstruction():
    total, reconstruction = Model(mlp((5, 2)), mlp((2, 5)), loss=SquaredError()).objective(X)
    assert torch.equal(total, reconstruction)


def test_target_is_what_is_predicted():
    target = torch.rand(6, 3, generator=seed(1))
    model = Model(mlp((5, 3)), nn.Identity(), loss=SquaredError())
    found = model.objective(X, target=target)[1]
    torch.testing.assert_close(found, (model.source(X) - target).square().sum(1).mean())


def test_an_encoder_sees_corrupted_data_and_predicts_the_clean_ones():
    spy = Spy(0.0)
    model = Model(
        mlp((5, 2)), mlp((2, 5)), loss=SquaredError(), corruption=Masking(0.5), penalties=(spy,)
    )
    found = model.objective(X, generator=seed(3))[1]
    seen = Masking(0.5)(X, generator=seed(3))
    assert torch.equal(spy.batch.seen, seen)
    assert torch.equal(spy.batch.x, X)
    assert not torch.equal(seen, X)
    torch.testing.assert_close(
        found, (model.decoder(model.source(seen)) - X).square().sum(1).mean()
    )
    model.eval()
    model.objective(X, generator=seed(3))
    assert torch.equal(spy.batch.seen, X)


def test_a_penalty_is_given_every_stage():
    spy, generator = Spy(0.0), seed(4)
    encoder = mlp((5, 4))
    model = Model(
        encoder, mlp((2, 5)), loss=SquaredError(), bottleneck=Variational(), penalties=(spy,)
    )
    model.objective(X, generator=generator)
    assert spy.batch.source is encoder
    assert spy.batch.generator is generator
    torch.testing.assert_close(spy.batch.hidden, encoder(X))
    torch.testing.assert_close(spy.batch.code.mean, encoder(X)[:, :2])
    torch.testing.assert_close(spy.batch.code.z, Variational()(encoder(X), generator=seed(4)).z)


def test_representations_are_looked_up():
    table = torch.rand(9, 2, generator=seed(1))
    spy, rows = Spy(0.0), torch.tensor([7, 0, 3, 3, 1, 8])
    model = Model(
        Representation(9, 2, init=table), mlp((2, 5)), loss=SquaredError(), penalties=(spy,)
    )
    model.objective(X, rows)
    assert not model.has_encoder
    assert spy.batch.seen is None
    assert torch.equal(model.encode(rows=rows).z, table[rows])
    torch.testing.assert_close(model(rows=rows), model.decoder(table[rows]))


def test_representations_pass_the_bottleneck():
    model = Model(Representation(9, 4), mlp((4, 5)), loss=SquaredError(), bottleneck=KSparse(1))
    assert ((model.encode(rows=torch.arange(9)).z != 0).sum(1) == 1).all()


def test_prediction_is_in_units_of_the_data():
    model = Model(mlp((5, 2)), mlp((2, 5)), loss=SquaredError(link="sigmoid"))
    torch.testing.assert_close(model(X), torch.sigmoid(model.decoder(model.source(X))))


def test_randomness_comes_from_the_generator():
    parts = {"corruption": GaussianNoise(1.0), "bottleneck": Variational(), "penalties": (KL(),)}
    model = Model(mlp((5, 4)), mlp((2, 5)), loss=SquaredError(), **parts)
    state = torch.random.get_rng_state()
    first, again, other = (model.objective(X, generator=seed(number))[0] for number in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_corruption_without_an_encoder():
    with pytest.raises(ValueError, match="corruption needs an encoder"):
        Model(Representation(6, 2), mlp((2, 5)), loss=SquaredError(), corruption=Masking(0.1))
