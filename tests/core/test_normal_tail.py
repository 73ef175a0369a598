"""Tails of the normal distribution against scipy, far beyond where erfc is zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special, stats

from grnrep.core.normal_tail import below_and_above, log_below, mean_above, quantile_below


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float32, 1e-6), (torch.float64, 1e-9)])
def test_tails_agree_with_scipy(dtype, rel):
    u = torch.linspace(-12, 60, 20001, dtype=dtype).reshape(-1, 3)
    v = u.double().numpy()
    log = special.log_ndtr(-v)
    assert np.allclose(log_below(u).double().numpy(), log, rtol=rel, atol=rel)
    mean = np.exp(stats.norm.logpdf(v) - log)
    assert np.allclose(mean_above(u).double().numpy(), mean, rtol=20 * rel, atol=rel)


def test_the_argument_stays_as_it_is():
    u = torch.tensor([-1.0, 5.0, 3.9])
    log_below(u), mean_above(u)
    assert u.tolist() == pytest.approx([-1.0, 5.0, 3.9])
    assert len(log_below(torch.empty(0))) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bound", [-40.0, -12.0, -6.0, -4.5, -4.0, -3.5, -1.0, 0.0, 2.0, 5.0])
def test_quantiles_below_a_bound_are_those_of_a_truncated_normal(bound, dtype):
    """Their mean and variance too, over shares in even steps; and draws by random ones."""
    n = 100_000
    share = ((torch.arange(n, dtype=torch.float64) + 0.5) / n).to(dtype)
    y = quantile_below(torch.full_like(share, bound), share)
    assert y.dtype == dtype
    assert y.max() <= bound
    y = y.double().numpy()
    log_share = special.log_ndtr(y) - special.log_ndtr(bound)
    np.testing.assert_allclose(
        np.exp(log_share), share.double(), atol=5e-4 if dtype == torch.float32 else 1e-5
    )
    truth = stats.truncnorm(-np.inf, bound)
    assert y.mean() - bound == pytest.approx(truth.mean() - bound, rel=1e-3)
    assert y.var() == pytest.approx(truth.var(), rel=5e-3)
    shares = torch.rand(5000, generator=torch.Generator().manual_seed(1), dtype=dtype)
    drawn = quantile_below(torch.full_like(shares, bound), 1 - shares).double().numpy()
    assert (
        stats.kstest(np.exp(special.log_ndtr(drawn) - special.log_ndtr(bound)), "uniform").pvalue
        > 1e-3
    )


def test_quantiles_of_every_bound_in_one_array():
    bound = torch.tensor([[-30.0, 1.0], [-5.0, -200.0]])
    y = quantile_below(bound, torch.ones(2, 2))
    np.testing.assert_allclose(y, bound, rtol=1e-6)
    y = quantile_below(bound, torch.full((2, 2), 2.0**-24))
    wanted = special.ndtri_exp(special.log_ndtr(bound.double().numpy()) + np.log(2.0**-24))
    np.testing.assert_allclose(y, wanted, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_in_one_are_the_same(dtype):
    u = torch.linspace(-12, 3000, 999, dtype=dtype).reshape(-1, 3)
    log, mean = below_and_above(u)
    assert torch.equal(log, log_below(u))
    assert torch.equal(mean, mean_above(u))
    v = u.double().numpy()
    np.testing.assert_allclose(log.double(), special.log_ndtr(-v), rtol=1e-6, atol=1e-6)
    # erfcx carries the factor exp(u² / 2) that both are without
    wanted = np.sqrt(2 / np.pi) / special.erfcx(v / np.sqrt(2))
    np.testing.assert_allclose(mean.double(), wanted, rtol=2e-5)
