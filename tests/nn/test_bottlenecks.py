"""Bottlenecks: which units stay, and how draws are distributed."""

from __future__ import annotations

import pytest
import torch

from grnrep.nn import KSparse, Model, SquaredError, Variational


def normal(*shape, seed=0, **kind):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **kind)


def test_without_a_bottleneck_nothing_changes():
    h = normal(5, 3)
    code = Model(torch.nn.Identity(), torch.nn.Identity(), loss=SquaredError()).encode(h)
    assert torch.equal(code.z, h)
    assert code.mean is None
    assert code.log_variance is None


@pytest.mark.parametrize(("alpha", "n_eval"), [(1.0, 4), (2.0, 8), (0.5, 2), (1.6, 6), (10.0, 12)])
def test_ksparse_keeps_the_largest(alpha, n_eval):
    h = normal(20, 12)
    bottleneck = KSparse(4, alpha=alpha)
    for mode, n_kept in ((True, 4), (False, n_eval)):
        z = bottleneck.train(mode)(h).z
        expected = torch.zeros_like(h)
        for row in range(len(h)):
            for unit in sorted(range(12), key=lambda j, row=row: -float(h[row, j]))[:n_kept]:
                expected[row, unit] = h[row, unit]
        assert torch.equal(z, expected)
        assert ((z != 0).sum(1) == n_kept).all()


def test_ksparse_keeps_exactly_k_of_equal_units():
    assert (KSparse(2)(torch.ones(3, 5)).z.sum(1) == 2).all()


def test_ksparse_gradients_pass_through_kept_units_alone():
    h = normal(6, 5).requires_grad_()
    z = KSparse(2)(h).z
    z.sum().backward()
    assert torch.equal(h.grad, (z != 0).float())


def test_variational_draws_from_what_the_source_gives():
    mean, log_variance = torch.tensor([0.5, -2.0]), torch.tensor([0.0, -3.0])
    h = torch.cat([mean, log_variance]).expand(20_000, 4)
    code = Variational()(h, generator=torch.Generator().manual_seed(0))
    assert torch.equal(code.mean, h[:, :2])
    assert torch.equal(code.log_variance, h[:, 2:])
    sd = (0.5 * log_variance).exp()
    # five standard errors of a mean, and of a standard deviation, over 20,000 draws
    assert ((code.z.mean(0) - mean).abs() < 5 * sd / 20_000**0.5).all()
    assert ((code.z.std(0) / sd - 1).abs() < 5 / 40_000**0.5).all()
    assert abs(float(torch.corrcoef(code.z.T)[0, 1])) < 5 / 20_000**0.5


def test_variational_gradients_reach_mean_and_variance():
    h = normal(4, 6, dtype=torch.float64).requires_grad_()

    def draw(h):
        return Variational()(h, generator=torch.Generator().manual_seed(3)).z

    assert torch.autograd.gradcheck(draw, h)


def test_variational_is_its_mean_in_evaluation():
    h = normal(4, 6)
    bottleneck = Variational().eval()
    assert torch.equal(bottleneck(h).z, h[:, :3])


def test_same_generator_same_draw():
    h = normal(4, 6)
    first, again, other = (
        Variational()(h, generator=torch.Generator().manual_seed(seed)).z for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KSparse(0), "k must be"),
        (lambda: KSparse(1.5), "1.5"),
        (lambda: KSparse(2, alpha=0.1), "alpha must"),
        (lambda: KSparse(6)(torch.zeros(2, 5)), "k=6"),
        (lambda: Variational()(torch.zeros(2, 5)), "found 5"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
