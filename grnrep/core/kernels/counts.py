"""What counts say at a prediction: the link, the deviance, and its slope and curvature.

Equations and names are those of `grnrep.core.likelihoods.counts`, where they are explained.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from grnrep.core.kernels.exponentials import exp, log, log_of_one_plus
from grnrep.core.kernels.kept import part
from grnrep.core.kernels.vectors import (
    add,
    divide,
    maximum,
    minimum,
    multiply,
    multiply_add,
    splat,
    splat_like,
    subtract,
    where_positive,
)

FAR: Final = 15.0  # p / τ below minus which log f is p / τ, to single precision
# whose exponential is next to nothing, and with its square a normal number, which processors are quick with
LEAST_EXPONENT: Final = -40.0


class CountGenes(NamedTuple):
    """Parameters of counts, ``(n_genes,)`` each: τ of the smooth ReLU f, and the dispersion φ, 0 of Poisson counts."""

    softness: np.ndarray
    dispersion: np.ndarray


@part
def link(p: Any, softness: Any) -> tuple[Any, Any, Any, Any]:
    """The smooth ReLU f / τ = log(1 + exp u) at u = p / τ; u; and σ(u) and 1 - σ(u)."""
    zero = subtract(p, p)
    u = divide(p, softness)
    e = exp(maximum(minimum(u, subtract(zero, u)), splat_like(p, LEAST_EXPONENT)))
    one = splat_like(p, 1.0)
    share = divide(one, add(one, e))
    low = multiply(e, share)
    soft = add(maximum(u, zero), log_of_one_plus(e))
    return soft, u, where_positive(u, share, low), where_positive(u, low, share)


@part
def half_loss(c: Any, soft: Any, u: Any, mu: Any, dispersion: Any) -> Any:
    """Half the deviance of counts with the mean μ, up to what counts alone say."""
    far = add(u, splat_like(u, FAR))
    log_soft = where_positive(far, log(maximum(soft, splat_like(soft, 1e-30))), u)
    explained = multiply(c, log_soft)
    if dispersion == 0:
        return subtract(mu, explained)
    one, phi = splat_like(u, 1.0), splat(dispersion)
    weight = add(c, divide(one, phi))
    return subtract(multiply(weight, log(multiply_add(phi, mu, one))), explained)


@part
def work(
    c: Any, p: Any, size: Any, near: Any, kept: Any, softness: Any, dispersion: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Minus half the slope of the deviance, half its curvature; and f / τ, p / τ, and the mean μ."""
    zero, one = subtract(p, p), splat_like(p, 1.0)
    soft, u, up, down = link(p, softness)
    rate = multiply(soft, softness)
    mu, slope = multiply(rate, size), divide(up, rate)  # f' / f
    bend = multiply(slope, divide(down, softness))  # f'' / f
    square = multiply(slope, slope)
    excess = subtract(mu, c)
    r = subtract(zero, multiply(excess, slope))
    of_count = multiply(c, multiply_add(kept, square, maximum(subtract(square, bend), zero)))
    curvature = multiply_add(mu, bend, of_count)
    if dispersion != 0:
        of_mean = multiply(splat(dispersion), mu)
        damp = divide(one, add(one, of_mean))
        # of the loss itself: f''/f (μ - c) + (f'/f)² (c + φμ (2c - μ)) / (1 + φμ)
        beyond = multiply_add(of_mean, subtract(c, excess), c)
        itself = multiply_add(multiply(square, beyond), damp, multiply(bend, excess))
        itself = multiply_add(multiply(kept, square), c, itself)
        curvature = multiply_add(near, subtract(itself, curvature), curvature)
        r, curvature = multiply(r, damp), multiply(curvature, damp)
    return r, curvature, soft, u, mu
