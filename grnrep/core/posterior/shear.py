"""What data say nothing of: the share that activities have of dense columns, free factors and known ones.

z + a u' and b - W a predict the same for any a, with u a column's values and b its effects on all genes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from grnrep.core.design import share_of_known, with_effects
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network


def shear(
    pattern: Pattern,
    weight: Tensor,
    variance: Tensor,
    z: Tensor,
    precision: Tensor,
    normal: Callable[[tuple[int, ...], Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Draw activities z + a u' and loadings b - W a of every free factor u, which predict the same for any a.

    Only priors say which a: it is normal, with precision u'u Λ + W'V⁻¹W. Steps of activities given loadings, and of
    loadings given activities, come no further along a than errors of either.

    Parameters
    ----------
    pattern
        Of all edges.
    weight, variance
        Weights of all edges, and variances of their priors, ``(n_edges,)``.
    z
        Activities less the means of their prior, then free factors, (m, n_cells).
    precision
        Λ, of the prior of activities, (n_regulators, n_regulators).
    normal
        Draws from N(0, 1), of a shape, like a tensor.

    Returns
    -------
    weight
    change
        Of activities, (n_regulators, n_cells).
    """
    r, n_columns = len(precision), pattern.shape[1]
    free, matrix = weight.clone(), pattern.matrix(weight)
    before, factors = z[:r], z[r:]
    after = before
    for k, u in enumerate(factors):
        own = pattern.regulator == r + k
        b, v = weight[own], variance[own]  # of all genes, in order
        # -½ ‖Λ^½ (z + a u')‖² - ½ Σ_i (b_i - (W a)_i)² / v_i
        system = _system(pattern, weight, v, u, precision)
        slope = (pattern.matrix_t(weight) @ (b / v))[:r] - precision @ (after @ u)
        factor = torch.linalg.cholesky(system)
        a = torch.cholesky_solve(slope[:, None], factor)
        a += torch.linalg.solve_triangular(factor.mT, normal(a.shape, a), upper=True)
        after = torch.addmm(after, a, u[None])
        free[own] = b - (matrix @ pad(a, (0, 0, 0, n_columns - r)))[:, 0]
    return free, after - before


def without_known_share(
    z: Tensor, weight: Tensor, pattern: Pattern, full: Network, m: int
) -> tuple[Tensor, Tensor]:
    """Representations (m + q, n_cells), of which no share is of known columns, and all weights with that."""
    if len(z) == m:
        return z, weight
    on = share_of_known(z @ z.mT, m).mT
    z = torch.cat([z[:m] - on @ z[m:], z[m:]])
    return z, with_effects(weight, pattern.matrix(weight), on, full, m)


def share_variance(
    pattern: Pattern, weight: Tensor, variance: Tensor, factors: Tensor, precision: Tensor
) -> Tensor:
    """Variance of a of every free factor, (n_factors, n_regulators); parameters as of :func:`shear`."""
    r, out = len(precision), []
    for k, u in enumerate(factors):
        v = variance[pattern.regulator == r + k]
        factor = torch.linalg.cholesky(_system(pattern, weight, v, u, precision))
        out.append(torch.cholesky_inverse(factor).diagonal())
    return torch.stack(out) if out else precision.new_zeros(0, r)


def _system(
    pattern: Pattern, weight: Tensor, variance: Tensor, u: Tensor, precision: Tensor
) -> Tensor:
    """Precision u'u Λ + W'V⁻¹W of a share, with the prior variances of loadings of every gene."""
    r = len(precision)
    return u @ u * precision + pattern.gram(weight / variance.sqrt()[pattern.gene])[:r, :r]
