"""Tails of the normal distribution against scipy, far beyond where erfc is zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special, stats

from grnrep.core.normal_tail import log_below, mean_above


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
