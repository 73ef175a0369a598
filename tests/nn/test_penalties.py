"""Penalties beside closed forms, direct sums and full Jacobians."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from grnrep.nn import KL, MMD, Batch, Code, Contractive, Representation, mlp


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def batch_of(z, *, code=None, x=None, source=None, seed=0):
    return Batch(
        x=z if x is None else x,
        seen=z if x is None else x,
        hidden=z,
        code=Code(z) if code is None else code,
        made=z if x is None else x,
        source=nn.Identity() if source is None else source,
        generator=torch.Generator().manual_seed(seed),
    )


def test_kl_is_the_closed_form():
    mean, log_variance = normal(7, 3), normal(7, 3, seed=1)
    expected = (
        kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1).mean()
    )
    found = KL(beta=2.5)(batch_of(mean, code=Code(mean, mean, log_variance)))
    torch.testing.assert_close(found, 2.5 * expected)


def test_kl_is_what_sampling_gives():
    mean, log_variance = normal(1, 2), normal(1, 2, seed=1)
    q = Normal(mean, (0.5 * log_variance).exp())
    draws = mean + (0.5 * log_variance).exp() * normal(200_000, 2, seed=2)
    ratio = (q.log_prob(draws) - Normal(0.0, 1.0).log_prob(draws)).sum(1)
    found = KL()(batch_of(mean, code=Code(mean, mean, log_variance)))
    assert abs(float(found - ratio.mean())) < 5 * float(ratio.std()) / 200_000**0.5


def kernel_of(kind, bandwidth):
    def kernel(a, b):
        distance = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        return (
            math.exp(-distance / bandwidth) if kind == "rbf" else bandwidth / (bandwidth + distance)
        )

    return kernel


@pytest.mark.parametrize("bandwidth", [None, 0.7])
@pytest.mark.parametrize("kind", ["rbf", "imq"])
def test_mmd_is_the_double_sum(kind, bandwidth):
    z = normal(9, 3)
    # the draws are the next of the same generator
    e = torch.randn(9, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64).tolist()
    kernel = kernel_of(kind, 6.0 if bandwidth is None else bandwidth)
    expected = 0.0
    for k in range(9):
        for other in range(9):
            if k != other:
                expected += (kernel(z[k].tolist(), z[other].tolist()) + kernel(e[k], e[other])) / 72
            expected -= 2 * kernel(z[k].tolist(), e[other]) / 81
    found = MMD(weight=3.0, kernel=kind, bandwidth=bandwidth)(batch_of(z, seed=5))
    assert float(found) == pytest.approx(3 * expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["rbf", "imq"])
def test_mmd_of_normal_codes_is_zero_on_average(kind):
    values = np.array(
        [float(MMD(kernel=kind)(batch_of(normal(20, 4, seed=s), seed=s + 999))) for s in range(400)]
    )
    assert abs(values.mean()) < 4 * values.std() / 20
    shifted = np.array(
        [
            float(MMD(kernel=kind)(batch_of(normal(20, 4, seed=s) * 0.2, seed=s + 999)))
            for s in range(50)
        ]
    )
    assert shifted.mean() > 5 * shifted.std() / 50**0.5


def test_mmd_of_one_sample_is_zero_with_a_gradient():
    z = normal(1, 3).requires_grad_()
    value = MMD()(batch_of(z))
    value.backward()
    assert value.item() == 0
    assert not z.grad.any()


@pytest.mark.parametrize("kind", ["rbf", "imq"])
def test_mmd_gradient(kind):
    z = normal(5, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: MMD(kernel=kind)(batch_of(z, seed=1)), z)


ENCODERS = {
    "one sigmoid layer": lambda: mlp((6, 4), last="sigmoid"),
    "one linear layer": lambda: mlp((6, 4)),
    "one leaky layer": lambda: mlp((6, 4), last="leaky_relu"),
    "three layers": lambda: mlp((6, 5, 4, 3), activation="tanh"),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.Sigmoid(), nn.Flatten()
    ),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_contractive_is_the_norm_of_the_full_jacobian(name):
    torch.manual_seed(0)
    encoder, x = ENCODERS[name]().double(), normal(7, 6)
    found = Contractive(weight=0.5)(batch_of(encoder(x), x=x, source=encoder))
    expected = [
        torch.autograd.functional.jacobian(lambda one: encoder(one[None])[0], sample).square().sum()
        for sample in x
    ]
    torch.testing.assert_close(found, 0.5 * sum(expected) / 7)


def test_contractive_closed_form_of_a_sigmoid_layer():
    encoder, x = mlp((6, 4), last="sigmoid").double(), normal(7, 6)
    h = encoder(x)
    expected = ((h * (1 - h)).square() * encoder[0].weight.square().sum(1)).sum(1).mean()
    torch.testing.assert_close(Contractive()(batch_of(h, x=x, source=encoder)), expected)


@pytest.mark.parametrize("sizes", [(4, 2), (4, 3, 2)])
def test_contractive_gradient_reaches_the_encoder(sizes):
    encoder, x = mlp(sizes, activation="tanh", last="tanh").double(), normal(5, 4)
    weight = encoder[0].weight

    def value(w):
        return torch.func.functional_call(_Penalised(encoder), {"encoder.0.weight": w}, x)

    assert torch.autograd.gradcheck(value, weight.detach().clone().requires_grad_())


class _Penalised(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        return Contractive()(batch_of(self.encoder(x), x=x, source=self.encoder))


def test_contractive_leaves_the_data_alone():
    encoder, x = mlp((4, 2)), normal(5, 4, dtype=torch.float32)
    Contractive()(batch_of(encoder(x), x=x, source=encoder)).backward()
    assert not x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KL(beta=-1), "beta must"),
        (lambda: KL()(batch_of(normal(2, 2))), "Variational"),
        (lambda: MMD(weight=math.inf), "weight must"),
        (lambda: MMD(kernel="cosine"), "rbf, imq; found 'cosine'"),
        (lambda: MMD(bandwidth=0), "bandwidth must"),
        (lambda: Contractive(weight=-1), "weight must"),
        (
            lambda: Contractive()(batch_of(normal(2, 2), source=Representation(2, 2))),
            "Representation",
        ),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
