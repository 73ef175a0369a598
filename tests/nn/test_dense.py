"""Dense layers, pretraining and freezing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grnrep.nn import Bernoulli, Model, SquaredError, Tied, Trainer, freeze, linear, mlp, pretrain


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_mlp_by_hand():
    net, x = mlp((5, 4, 3), activation="leaky_relu", last="sigmoid"), uniform(6, 5) - 0.5
    h = x @ net[0].weight.T + net[0].bias
    h = torch.where(h > 0, h, 0.1 * h) @ net[2].weight.T + net[2].bias
    torch.testing.assert_close(net(x), 1 / (1 + (-h).exp()))


def test_linear_is_one_layer():
    net, x = linear(5, 2, activation="leaky_relu", rng=4), -uniform(6, 5)
    assert torch.equal(net(x), mlp((5, 2), last="leaky_relu", rng=4)(x))
    assert [type(layer) for layer in linear(5, 2)] == [nn.Linear, nn.Identity]


def test_start_values_follow_the_seed_alone():
    torch.manual_seed(1)
    first, drawn = mlp((5, 3), rng=7), torch.rand(1)
    torch.manual_seed(1)
    drawn_without = torch.rand(1)
    torch.manual_seed(2)
    assert torch.equal(first[0].weight, mlp((5, 3), rng=7)[0].weight)
    assert not torch.equal(first[0].weight, mlp((5, 3), rng=8)[0].weight)
    assert torch.equal(drawn, drawn_without)  # the global generator is left as it was
    assert float(first[0].weight.detach().abs().max()) <= 5**-0.5


def test_tied_weights_are_one_parameter():
    encoder = linear(5, 2)
    model = Model(encoder, Tied(encoder[0]), loss=SquaredError())
    assert sum(p.numel() for p in model.parameters()) == 10 + 2 + 5
    x = uniform(4, 5)
    model.objective(x)[0].backward()
    w = encoder[0].weight.detach().clone().requires_grad_()
    z = x @ w.T + encoder[0].bias.detach()
    ((z @ w - x).square().sum(1).mean()).backward()
    torch.testing.assert_close(encoder[0].weight.grad, w.grad)


def test_pretrain_trains_pair_by_pair():
    """The same as to train the outer pair, then the inner pair on its hidden units, by hand."""
    x = uniform(40, 6)
    trainer = Trainer(epochs=3, batch_size=8, lr=0.01, progress=False)
    encoder, decoder = mlp((6, 4, 2), activation="tanh"), mlp((2, 4, 6), activation="tanh", rng=1)
    pretrain(encoder, decoder, x, trainer=trainer, loss=Bernoulli())

    down, up = mlp((6, 4, 2), activation="tanh"), mlp((2, 4, 6), activation="tanh", rng=1)
    trainer.fit(Model(nn.Sequential(down[0], nn.Tanh()), up[2], loss=Bernoulli()), x)
    h = torch.tanh(down[0](x)).detach()
    trainer.fit(Model(down[2], nn.Sequential(up[0], nn.Tanh()), loss=SquaredError()), h)
    for found, expected in ((encoder, down), (decoder, up)):
        for a, b in zip(found.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(a, b)


def test_frozen_is_a_copy_that_nothing_changes():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    frozen = freeze(module)
    encoder, x = linear(4, 3), uniform(20, 4) + 2
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    model = Model(encoder, frozen, loss=SquaredError())
    started = encoder[0].weight.detach().clone()
    Trainer(epochs=3, progress=False).fit(model, x)
    assert not torch.equal(encoder[0].weight, started)
    for name, value in frozen.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.requires_grad for p in module.parameters())
    assert module.training
    with torch.no_grad():
        module[0].weight.add_(1)
    assert torch.equal(frozen.state_dict()["module.0.weight"], before["module.0.weight"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlp((3,)), "sizes must"),
        (lambda: mlp((3, 0)), r"\(3, 0\)"),
        (lambda: mlp((3, 2), activation="swish"), "activation must be one of identity, relu"),
        (lambda: linear(3, 2, activation="swish"), "swish"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "decoder",
    [mlp((2, 5, 6)), mlp((2, 6)), nn.Sequential(nn.ReLU(), nn.Linear(2, 6))],
    ids=["width", "depth", "first"],
)
def test_pretrain_refuses_what_does_not_mirror(decoder):
    encoder = mlp((6, 4, 2))
    before = encoder[0].weight.detach().clone()
    with pytest.raises(ValueError, match=r"mirror|begin with a Linear"):
        pretrain(
            encoder,
            decoder,
            uniform(9, 6),
            trainer=Trainer(epochs=1, progress=False),
            loss=SquaredError(),
        )
    assert torch.equal(encoder[0].weight, before)
