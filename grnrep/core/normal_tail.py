"""Tails of the normal distribution, in operations that run on vectors: what a censored zero says."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_FAR = 4.0  # from here on Φ(-u) comes from its continued fraction
_LEVELS = 12  # of the continued fraction: right to 1e-9 from _FAR on
# Newton steps for a quantile beyond _FAR, and levels there: its probability is right to 1e-5
_NEWTON_STEPS, _QUANTILE_LEVELS = 2, 5
_HALF_LOG = 0.5 * math.log(2 * math.pi)  # -log φ(0)
_HALF_ROOT = math.sqrt(0.5)


def log_below(u: Tensor) -> Tensor:
    """Logarithm of Φ(-u), in the precision of ``u``; several times as fast as ``torch.special.log_ndtr``."""
    out = _log_near(u.clamp(max=_FAR).mul_(_HALF_ROOT))
    far, v = _far(u)
    if len(far):
        out.view(-1)[far] = _log_far(v, _mean_far(v))
    return out


def mean_above(u: Tensor) -> Tensor:
    """Mean of a standard normal above u: φ(u) / Φ(-u)."""
    return below_and_above(u)[1]


def below_and_above(u: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`log_below` and :func:`mean_above` in one."""
    near = u.clamp(max=_FAR)
    log = _log_near(near * _HALF_ROOT)
    mean = torch.exp(-0.5 * near.square() - _HALF_LOG - log)
    far, v = _far(u)
    if len(far):
        # not the exponential of a difference: both of its terms are large there
        of_far = _mean_far(v)
        mean.view(-1)[far], log.view(-1)[far] = of_far, _log_far(v, of_far)
    return log, mean


def quantile_below(bound: Tensor, share: Tensor) -> Tensor:
    """Quantile of a standard normal that is known to be below a bound: y with Φ(y) = share · Φ(bound).

    Uniform shares make draws of it. Far below zero Φ underflows, and its inverse loses all digits before:
    y = -(a + d) with a = -bound is there found from the logarithm of the tail,

        -log(Φ(-a - d) / Φ(-a)) = d (a + d/2) + log(h(a + d) / h(a)) = -log share,

    with h = φ / Φ(-·) the mean above, which is also the derivative by d: Newton's method.

    Parameters
    ----------
    bound, share
        Of the same shape and precision; shares above 0 and up to 1.
    """
    precision = torch.finfo(share.dtype)
    mass = share * torch.special.ndtr(bound.clamp(min=-_FAR))
    out = torch.minimum(torch.special.ndtri(mass.clamp_(precision.tiny, 1 - precision.eps)), bound)
    far, a = _far(-bound)
    if len(far):
        wanted, at_bound = -share.reshape(-1)[far].log(), _mean_far(a, _QUANTILE_LEVELS)
        # start: d (a + d/2) = wanted, as if h were the same everywhere, written without cancellation
        d = 2 * wanted / ((a.square() + 2 * wanted).sqrt() + a)
        for _ in range(_NEWTON_STEPS):
            h = _mean_far(a + d, _QUANTILE_LEVELS)
            d = d - (d * (a + d / 2) + (h / at_bound).log() - wanted) / h
        out.view(-1)[far] = -(a + d.clamp(min=0))
    return out


def _log_near(scaled: Tensor) -> Tensor:
    """Logarithm of Φ(-u) up to ``_FAR``, from u / √2."""
    return torch.erfc(scaled).mul_(0.5).log_()


def _log_far(v: Tensor, mean: Tensor) -> Tensor:
    """Logarithm of Φ(-v) = φ(v) / mean above v."""
    return -0.5 * v.square() - _HALF_LOG - mean.log()


def _far(u: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of values beyond ``_FAR``, and the values."""
    flat = u.reshape(-1)
    far = torch.nonzero(flat > _FAR)[:, 0]
    return far, flat[far]


def _mean_far(v: Tensor, levels: int = _LEVELS) -> Tensor:
    """φ(v) / Φ(-v) = v + 1 / (v + 2 / (v + 3 / ...)), Abramowitz & Stegun 26.2.14."""
    out = v
    for level in range(levels, 0, -1):
        out = v + level / out
    return out
