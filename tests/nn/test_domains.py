"""Domains side by side: what has been seen counts, and codes carry over from one to the other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grnrep.nn import (
    Adversarial,
    Bernoulli,
    DomainCodes,
    DomainDecoder,
    DomainEncoder,
    DomainLoss,
    Model,
    Representation,
    SquaredError,
    Trainer,
    linear,
    reconstruct,
    seen_domains,
)
from tests.nn.test_penalties import batch_of, normal

SIZES = (4, 3)


def sample(n=6):
    """Two rows seen in both, two in the first, two in the second."""
    x = normal(n, 7).abs() + 0.1
    x[2:4, 4:] = 0
    x[4:, :4] = 0
    return x


def test_what_was_seen():
    expected = [[True, True]] * 2 + [[True, False]] * 2 + [[False, True]] * 2
    assert seen_domains(sample(), SIZES).tolist() == expected


def test_loss_of_what_was_seen_alone():
    x, p = sample(), normal(6, 7, seed=1)
    off = (x - p).square()
    first, second = off[:, :4].sum(1), off[:, 4:].sum(1)
    expected = torch.cat([(first + second)[:2], first[2:4], second[4:]])
    torch.testing.assert_close(DomainLoss(SquaredError(), SIZES)(p, x), expected)
    assert DomainLoss(Bernoulli(), SIZES).support == (0, 1)


def test_codes_are_means_over_what_was_seen():
    encoders, x = [linear(4, 2).double(), linear(3, 2, rng=1).double()], sample()
    a, b = encoders[0](x[:, :4]), encoders[1](x[:, 4:])
    expected = torch.cat([(a + b)[:2] / 2, a[2:4], b[4:]])
    torch.testing.assert_close(DomainEncoder(encoders, SIZES)(x), expected)
    first = DomainEncoder(encoders[:1], SIZES)(x)  # the second is explained only
    torch.testing.assert_close(first[:4], a[:4])
    assert not first[4:].any()


def test_compared_are_samples_of_one_domain():
    z = normal(6, 2)
    first, second = DomainCodes(SIZES)(batch_of(z, x=sample()))
    assert torch.equal(first, z[2:4])
    assert torch.equal(second, z[4:])


@pytest.fixture(scope="module")
def linear_domains():
    """Two domains that are linear in three factors, a third of the samples seen in both."""
    z = normal(400, 3, dtype=torch.float32)
    maps = [normal(3, size, seed=size, dtype=torch.float32) for size in (8, 6)]
    whole = torch.cat([z @ one for one in maps], dim=1)
    seen = whole[:300].clone()
    seen[100:200, 8:] = 0
    seen[200:, :8] = 0
    return seen, whole[300:]


def test_translation_without_encoders(linear_domains):
    seen, test = linear_domains
    decoder = DomainDecoder([linear(3, 8, rng=1), linear(3, 6, rng=2)])
    start = 0.1 * normal(300, 3, dtype=torch.float32)
    model = Model(
        Representation(300, 3, init=start), decoder, loss=DomainLoss(SquaredError(), (8, 6))
    )
    trainer = Trainer(epochs=300, batch_size=50, lr=1e-2, lr_representation=1.0, progress=False)
    trainer.fit(model, seen)
    for known, other in ((slice(0, 8), slice(8, 14)), (slice(8, 14), slice(0, 8))):
        given = torch.zeros_like(test)
        given[:, known] = test[:, known]
        made = reconstruct(model, trainer.infer(model, given).z)[:, other]
        assert (made - test[:, other]).square().mean() < 0.01 * test[:, other].square().mean()


def test_translation_with_encoders(linear_domains):
    seen, test = linear_domains
    both = seen[:100]
    inputs = torch.cat([both, both])
    inputs[:100, 8:], inputs[100:, :8] = 0, 0
    encoder = DomainEncoder([linear(8, 3, rng=3), linear(6, 3, rng=4)], (8, 6))
    decoder = DomainDecoder([linear(3, 8, rng=1), linear(3, 6, rng=2)])
    model = Model(encoder, decoder, loss=DomainLoss(SquaredError(), (8, 6)))
    trainer = Trainer(epochs=300, batch_size=50, lr=1e-2, progress=False)
    trainer.fit(model, inputs, target=torch.cat([both, both]))
    given = torch.cat([test[:, :8], torch.zeros_like(test[:, 8:])], dim=1)
    made = reconstruct(model, trainer.infer(model, given).z)[:, 8:]
    assert (made - test[:, 8:]).square().mean() < 0.01 * test[:, 8:].square().mean()


def test_codes_of_two_domains_become_alike():
    """Encoders that differ by a shift: with a critic of their codes, the means meet."""
    x = normal(400, 2, dtype=torch.float32)
    seen = torch.zeros(400, 4)
    seen[:200, :2], seen[200:, 2:] = x[:200], x[200:] + 3

    def distance(penalties):
        encoder = DomainEncoder([linear(2, 2, rng=1), linear(2, 2, rng=1)], (2, 2))
        decoder = DomainDecoder([linear(2, 2, rng=2), linear(2, 2, rng=2)])
        loss = DomainLoss(SquaredError(), (2, 2))
        model = Model(encoder, decoder, loss=loss, penalties=penalties)
        Trainer(epochs=40, batch_size=50, lr=1e-2, progress=False).fit(model, seen)
        z = model.encode(seen).z.detach()
        return float((z[:200].mean(0) - z[200:].mean(0)).norm() / z.std())

    critic = nn.Sequential(*linear(2, 16, activation="leaky_relu"), *linear(16, 1, rng=1))
    assert distance([Adversarial(critic, sets=DomainCodes((2, 2)))]) < 0.25 * distance([])
