"""A critic and what it judges: their losses, whom each gradient reaches, and that distributions become alike."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from grnrep.nn import (
    Adversarial,
    Bernoulli,
    Model,
    Prior,
    SquaredError,
    Trainer,
    Unpaired,
    Variational,
    linear,
    mlp,
)
from tests.nn.test_penalties import batch_of, normal


def sets_of(first, second):
    return lambda batch: (first, second)


def test_losses_are_those_of_a_classifier():
    """With labels 1 and 0, and exchanged for what deceives; the slope of a linear critic is its weight."""
    critic, a, b = mlp((3, 4, 1), activation="tanh").double(), normal(5, 3), normal(7, 3, seed=1)
    one, zero = torch.ones(5, 1).double(), torch.zeros(7, 1).double()
    entropy = functional.binary_cross_entropy_with_logits
    judged = entropy(critic(a), one) + entropy(critic(b), zero)
    deceived = entropy(critic(b), 1 - zero)
    found = Adversarial(critic, sets=sets_of(a, b), weight=0.5, flatness=0)(batch_of(a))
    torch.testing.assert_close(found, judged + 0.5 * deceived)
    both = Adversarial(critic, sets=sets_of(a.requires_grad_(), b), weight=0.5, flatness=0)
    torch.testing.assert_close(both(batch_of(a)), found + 0.5 * entropy(critic(a), 1 - one))
    slope = nn.Linear(3, 1).double()
    steep, flat = (
        Adversarial(slope, sets=sets_of(a, b), flatness=f)(batch_of(a)) for f in (2.0, 0.0)
    )
    torch.testing.assert_close(steep - flat, slope.weight.square().sum())


def test_every_gradient_reaches_its_own():
    """The critic learns from the judgement alone, what is judged from the deception alone."""
    critic, b = linear(3, 1).double(), normal(7, 3, seed=1).requires_grad_()
    penalty = Adversarial(critic, sets=sets_of(normal(5, 3), b), weight=0.5, flatness=0)
    penalty(batch_of(b)).backward()
    of_critic, of_judged = critic[0].weight.grad.clone(), b.grad.clone()
    entropy = functional.binary_cross_entropy_with_logits
    judgement = entropy(critic(normal(5, 3)), torch.ones(5, 1).double()) + entropy(
        critic(b.detach()), torch.zeros(7, 1).double()
    )
    torch.testing.assert_close(of_critic, torch.autograd.grad(judgement, critic[0].weight)[0])
    deception = 0.5 * entropy(critic(b), torch.ones(7, 1).double())
    torch.testing.assert_close(of_judged, torch.autograd.grad(deception, b)[0])


def test_a_set_without_rows_says_nothing():
    z = normal(4, 3).requires_grad_()
    value = Adversarial(linear(3, 1).double(), sets=sets_of(z, z[:0]))(batch_of(z))
    value.backward()
    assert value.item() == 0
    assert not z.grad.any()


def test_a_generator_learns_mean_and_covariance():
    """A linear generator of normal data has one solution up to rotation: the factors of their covariance."""
    factor = torch.tensor([[1.0, 0.0], [0.8, 0.3]])
    x = normal(2000, 2, dtype=torch.float32) @ factor.T + torch.tensor([2.0, -1.0])
    critic = mlp((2, 32, 1), activation="leaky_relu", rng=1)
    generator = linear(2, 2, rng=2)
    model = Model(
        Prior(2),
        generator,
        loss=Unpaired(SquaredError()),
        bottleneck=Variational(),
        penalties=[Adversarial(critic)],
    )
    before = sum(p.numel() for p in model.weights)
    history = Trainer(epochs=60, batch_size=100, lr=5e-3, progress=False).fit(model, x)
    weight, bias = generator[0].weight.detach(), generator[0].bias.detach()
    torch.testing.assert_close(bias, x.mean(0), atol=0.15, rtol=0)
    torch.testing.assert_close(weight @ weight.T, x.T.cov(), atol=0.25, rtol=0)
    assert not history["reconstruction"].any()
    assert before == 2 * 32 + 32 + 32 + 1 + 6  # the critic is trained with the rest


def test_unpaired_has_the_range_of_the_other():
    loss = Unpaired(Bernoulli())
    assert loss.support == (0, 1)


@pytest.mark.parametrize("name", ["weight", "flatness"])
def test_refuses(name):
    with pytest.raises(ValueError, match=f"{name} must not be negative"):
        Adversarial(linear(2, 1), **{name: -1})
