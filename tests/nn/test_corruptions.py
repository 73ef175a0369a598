"""Corruptions: their size, their randomness, and that they end with training."""

from __future__ import annotations

import pytest
import torch

from grnrep.nn import GaussianNoise, Masking

BOTH = pytest.mark.parametrize("corruption", [GaussianNoise(0.5), Masking(0.4)], ids=repr)


def seed(number):
    return torch.Generator().manual_seed(number)


def test_noise_has_the_size_asked_for():
    x = torch.full((200, 500), 3.0)
    added = GaussianNoise(0.5)(x, generator=seed(0)) - x
    # five standard errors over 100,000 entries
    assert abs(float(added.mean())) < 5 * 0.5 / 1e5**0.5
    assert abs(float(added.std()) / 0.5 - 1) < 5 / 2e5**0.5


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_masking_sets_a_share_to_zero(p):
    x = torch.arange(1.0, 100_001).reshape(200, 500)
    seen = Masking(p)(x, generator=seed(0))
    assert abs(float((seen == 0).float().mean()) - p) <= 5 * (p * (1 - p) / 1e5) ** 0.5
    assert torch.equal(seen[seen != 0], x[seen != 0])


@BOTH
def test_nothing_in_evaluation(corruption):
    x = torch.rand(4, 3, 2, generator=seed(0))
    assert torch.equal(corruption.eval()(x), x)
    assert not torch.equal(corruption.train()(x, generator=seed(0)), x)


@BOTH
def test_same_generator_same_result(corruption):
    x = torch.rand(4, 30, generator=seed(0))
    corruption.train()
    assert torch.equal(corruption(x, generator=seed(1)), corruption(x, generator=seed(1)))
    assert not torch.equal(corruption(x, generator=seed(1)), corruption(x, generator=seed(2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: GaussianNoise(-1), "sd must"), (lambda: Masking(1.5), "found 1.5")],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
