"""Counts far below zero: numbers that processors are quick with, and limits that are right."""

import pytest
import torch

from grnrep.core.likelihoods import LIKELIHOODS

U = torch.linspace(-400, 400, 8001)  # p / τ


@pytest.mark.parametrize("name", ["poisson", "nb"])
@pytest.mark.parametrize("count", [0.0, 3.0])
def test_nothing_is_below_the_normal_range_and_slopes_stay(name, count):
    """Products with numbers below the normal range take some processors a hundred times as long."""
    x = torch.full((1, len(U)), count)
    like = LIKELIHOODS[name].of(x + (torch.arange(len(U)) % 5 == 0), None)
    block, p = like.block(x), U * like.softness
    slope, bend, mu = like.link(block, p)
    found = {"slope": slope, "mu": mu, "mu²": mu.square(), "curvature": mu * bend}
    found |= dict(zip(("r", "weight"), like.work(block, p), strict=True))
    tiny = torch.finfo(torch.float32).tiny
    for what, values in found.items():
        assert not ((values != 0) & (values.abs() < tiny)).any(), what
    far = U < -60
    torch.testing.assert_close(slope[0, far], (1 / like.softness[0]).expand(int(far.sum())))
    assert float(mu[0, far].max()) < 1e-16
    # deviance falls in a line towards minus infinity where there are counts, and is level where there are none
    loss = like.loss(block, p)[0, far].double()
    steps = torch.diff(loss) / torch.diff(U[far].double())
    torch.testing.assert_close(steps, torch.full_like(steps, -2 * count), atol=0.05, rtol=0.01)
