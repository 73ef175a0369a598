"""Linear systems of the solver: those that may be singular, and many small ones by conjugate gradients.

Collinear regulators, and a ridge of zero or near it, make normal equations singular.
Rounding decides whether a Cholesky factorisation of a singular matrix succeeds. Where it does, what it gives
is noise, divided by rounding. Steps are corrections, so they can be damped instead: with (A + μD)⁻¹ for A⁻¹,
D the diagonal of A, they minimise what they did plus μ times the squared length of the step. That still
lies above the objective and touches it: the objective cannot rise, and steps end where they ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Share of a column that the others do not explain, below which it is rounding. An inverse in float32 is off
# by 6e-8 of its largest eigenvalue; steps with it contract where condition numbers are well below 1 / 6e-8.
_TELLABLE = {torch.float32: 1e-6, torch.float64: 1e-9}
_ATTEMPTS = 7  # at damping, each with ten times as much


def inverse_spd(system: Tensor, precision: torch.dtype) -> Tensor:
    """Inverse of a symmetric positive semi-definite matrix (k, k), damped if it is singular to rounding.

    Parameters
    ----------
    system
        Matrix, float64 or in ``precision``.
    precision
        Of the data that it was computed from, and of the products with the inverse.
    """
    return torch.cholesky_inverse(_factor(system[None], precision)[0])


def solve_spd(system: Tensor, rhs: Tensor, precision: torch.dtype) -> Tensor:
    """Solve a batch of systems, (b, k, k) and (b, k, 1), damped where they are singular to rounding."""
    return torch.cholesky_solve(rhs, _factor(system, precision))


def _factor(system: Tensor, precision: torch.dtype) -> Tensor:
    """Cholesky factors (b, k, k) of systems, or of systems damped as little as makes every pivot sound."""
    least = _TELLABLE[precision]
    factor, info = torch.linalg.cholesky_ex(system)
    for damping in (0.0, *(2 * least * 10**k for k in range(_ATTEMPTS))):
        diagonal = system.diagonal(dim1=1, dim2=2)
        # l_ii² / a_ii is the share of column i that the columns before it do not explain
        pivot = factor.diagonal(dim1=1, dim2=2).square()
        bad = (info != 0) | ~(pivot > least * diagonal).all(1)
        if not bool(bad.any()):
            break
        # columns of zeros, whose right sides are zero too, get any pivot
        more = torch.where(diagonal[bad] > 0, damping * diagonal[bad], 1.0)
        factor[bad], info[bad] = torch.linalg.cholesky_ex(system[bad] + torch.diag_embed(more))
    return factor


def conjugate_gradients(
    residual: Tensor,
    apply: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Solve a system in every column, all at once, from zero; solutions and residuals after every iteration.

    Parameters
    ----------
    residual
        Right sides, (k, n): one system a column.
    apply, precondition
        What the systems, and approximate inverses of them, make of columns.
    """
    y = precondition(residual)
    x, direction, slope = torch.zeros_like(residual), y, (residual * y).sum(0)
    while True:
        product = apply(direction)
        length = _ratio(slope, (direction * product).sum(0))
        x = x + length * direction
        residual = residual - length * product
        yield x, residual
        y = precondition(residual)
        following = (residual * y).sum(0)
        direction = y + _ratio(following, slope) * direction
        slope = following


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Quotient, or 0 where rounding has left nothing to divide by: a system that is solved stays as it is."""
    ratio = a / b
    return torch.where((b > 0) & ratio.isfinite(), ratio, 0.0)
