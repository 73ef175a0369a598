"""Variances that are learned together: each from its own values, and from how much all are alike."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import digamma, zeta
from torch import Tensor

_ALIKE = 1e-8  # variance of logarithms beyond chance, below which variances are the same
_TINY = 1e-300


def pooled(variance: Tensor, n: int) -> Tensor:
    """Variances from n values each, drawn to one another.

    With the prior σ_i² ~ s² d / χ²_d the estimate is (n σ̂_i² + d s²) / (n + d) (Smyth 2004, Stat. Appl. Genet. Mol.
    Biol. 3:3). Logarithms of estimates spread by trigamma(n / 2) by chance, and by trigamma(d / 2) beyond, which
    says d; their mean says s².

    Parameters
    ----------
    variance
        Estimates, ``(k,)`` float64; those of 0 are drawn to the others, but say nothing themselves.
    n
        How many values each is from.
    """
    values = variance.cpu().numpy()
    usable = values > _TINY
    if usable.sum() < 2:
        return variance
    log = np.log(values[usable]) - digamma(n / 2) + np.log(n / 2)
    beyond = float(log.var(ddof=1) - zeta(2, n / 2))
    if beyond <= _ALIKE:
        return torch.full_like(variance, float(np.exp(log.mean())))
    d = 2 * inverse_trigamma(beyond)
    scale = float(np.exp(log.mean() + digamma(d / 2) - np.log(d / 2)))
    return torch.as_tensor((n * values + d * scale) / (n + d)).to(variance)


def inverse_trigamma(y: float) -> float:
    """Solve trigamma(x) = y for x, by Newton's method for 1 / trigamma, which is nearly straight (Smyth 2004).

    Trigamma is Hurwitz's ζ(2, x), and its slope -2 ζ(3, x).
    """
    x = 0.5 + 1 / y
    for _ in range(50):
        at = float(zeta(2, x))
        change = at * (1 - at / y) / (-2 * float(zeta(3, x)))
        x += change
        if abs(change) < 1e-10 * x:
            break
    return x
