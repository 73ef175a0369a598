"""Noise models beside the densities of scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special, stats

from grnrep.nn import Bernoulli, NegativeBinomial, Poisson, SquaredError

DRAW = np.random.default_rng(0)
P = DRAW.normal(size=(6, 4))
LINKS = {"identity": lambda p: p, "sigmoid": special.expit, "relu": lambda p: np.maximum(p, 0)}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def counts():
    return DRAW.poisson(3.0, size=P.shape).astype(float)


@pytest.mark.parametrize("link", LINKS)
def test_squared_error_is_the_normal_density(link):
    x = DRAW.normal(size=P.shape)
    loss = SquaredError(link=link)
    mean = LINKS[link](P)
    np.testing.assert_allclose(loss.mean(tensor(P)).numpy(), mean)
    # variance ½ makes -log N the squared error, up to the constant ½ log π of every value
    expected = -stats.norm.logpdf(x, mean, 0.5**0.5).sum(1) - 4 * 0.5 * np.log(np.pi)
    np.testing.assert_allclose(loss(tensor(P), tensor(x)).numpy(), expected)


def test_bernoulli():
    x = DRAW.integers(0, 2, size=P.shape).astype(float)
    loss = Bernoulli()
    np.testing.assert_allclose(loss.mean(tensor(P)).numpy(), special.expit(P))
    expected = -stats.bernoulli.logpmf(x, special.expit(P)).sum(1)
    np.testing.assert_allclose(loss(tensor(P), tensor(x)).numpy(), expected)


def test_bernoulli_of_grey_values_is_the_cross_entropy():
    x, p = DRAW.uniform(size=P.shape), special.expit(P)
    expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1)
    np.testing.assert_allclose(Bernoulli()(tensor(P), tensor(x)).numpy(), expected)


def test_poisson():
    x = counts()
    loss = Poisson()
    np.testing.assert_allclose(loss.mean(tensor(P)).numpy(), np.exp(P))
    expected = -(stats.poisson.logpmf(x, np.exp(P)) + special.gammaln(x + 1)).sum(1)
    np.testing.assert_allclose(loss(tensor(P), tensor(x)).numpy(), expected)


def test_negative_binomial():
    x, dispersion = counts(), np.array([0.1, 0.5, 1.0, 4.0])
    loss = NegativeBinomial(4).double()
    loss.log_dispersion.data.copy_(tensor(np.log(dispersion)))
    mean = np.exp(P)
    np.testing.assert_allclose(loss.mean(tensor(P)).numpy(), mean)
    model = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    np.testing.assert_allclose(model.var(), mean + dispersion * mean**2)
    np.testing.assert_allclose(loss(tensor(P), tensor(x)).detach().numpy(), -model.logpmf(x).sum(1))


def test_negative_binomial_learns_its_dispersion():
    x = tensor(
        stats.nbinom.rvs(2.0, 2.0 / (2.0 + 5.0), size=(1000, 1), random_state=0).astype(float)
    )
    loss, p = NegativeBinomial(1).double(), x.mean().log().expand(1000, 1)
    descent = torch.optim.LBFGS(loss.parameters(), max_iter=50)

    def closure():
        descent.zero_grad()
        value = loss(p, x).mean()
        value.backward()
        return value

    descent.step(closure)
    assert loss.log_dispersion.exp().item() == pytest.approx(0.5, rel=0.25)  # 4 standard errors


@pytest.mark.parametrize("loss", [SquaredError(link="sigmoid"), Bernoulli()], ids=repr)
def test_images_are_summed_over_all_their_pixels(loss):
    p, x = torch.randn(3, 2, 5, 4), torch.rand(3, 2, 5, 4)
    torch.testing.assert_close(loss(p, x), loss(p.flatten(1), x.flatten(1)))
    assert loss(p, x).shape == (3,)


@pytest.mark.parametrize(
    ("loss", "low"),
    [(SquaredError(), -1.0), (Bernoulli(), 0.0), (Poisson(), 0.0), (NegativeBinomial(4), 0.0)],
)
def test_gradient(loss, low):
    x = tensor(np.maximum(np.round(DRAW.uniform(size=P.shape)), low))
    assert torch.autograd.gradcheck(lambda p: loss.double()(p, x), tensor(P).requires_grad_())


BEYOND = {
    "bernoulli": (Bernoulli(), [0.0, 1.0], [-0.2, 1.2]),
    "poisson": (Poisson(), [0.0, 3.0], [-0.2]),
    "negative binomial": (NegativeBinomial(1), [0.0, 3.0], []),  # -0.2 has no likelihood at all
    "relu": (SquaredError(link="relu"), [0.0, 3.0], []),
    "sigmoid": (SquaredError(link="sigmoid"), [0.0, 1.0], []),
    "identity": (SquaredError(), [-3.0, 3.0], []),
}


@pytest.mark.parametrize("name", BEYOND)
def test_support_is_where_the_loss_is_bounded(name):
    """Along all p, the loss of a value of the support ends somewhere; beyond, it may fall for ever."""
    loss, inside, outside = BEYOND[name]
    p = tensor([[-400.0], [-300.0], [300.0], [400.0]])
    low, high = loss.support
    for value in inside:
        assert low <= value <= high
        ends = loss.double()(p, tensor([[value]]).expand(4, 1))
        assert ends.min() > -1
    for value in outside:
        assert not low <= value <= high
        far = loss.double()(p, tensor([[value]]).expand(4, 1))
        assert min(far[0] - far[1], far[3] - far[2]) < -10


def test_unknown_link():
    with pytest.raises(ValueError, match="identity, sigmoid, relu; found 'exp'"):
        SquaredError(link="exp")
