"""What is expected below zeros that are censored.

A table of -2 log Φ(-u) and its slope 2 h, with h = φ(u) / Φ(-u); in between by cubics, beyond by what they tend to.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import log_ndtr

from grnrep.core.kernels.kept import compiled, inlined

_LOG_TWO_PI: Final = float(np.log(2 * np.pi))
_TABLE_END, _PER_UNIT = 8, 32  # where the table ends, both ways; its places a unit
_U: Final = np.arange(-_TABLE_END * _PER_UNIT, _TABLE_END * _PER_UNIT + 2) / _PER_UNIT
LOSS: Final = -2.0 * log_ndtr(-_U)
MEAN: Final = np.exp(-0.5 * _U**2 - 0.5 * np.log(2 * np.pi) + 0.5 * LOSS)  # h


def expect_below(x: np.ndarray, sd: np.ndarray, r: np.ndarray, sums: np.ndarray) -> None:
    """Turn residuals into those of expected expression, in place; and sum what genes say of it.

    Parameters
    ----------
    x
        Expression, (n_genes, n_cells); what is not above zero is censored.
    sd
        Noise of every gene, σ, ``(n_genes,)``.
    r
        x - p, (n_genes, n_cells). At a zero it becomes -σ h, with u = p / σ and h = φ(u) / Φ(-u).
    sums
        To which is added, (2, n_genes) float64: Σ (r / σ)², at zeros -2 log Φ(-u); and at zeros the variance of what
        is below, Σ σ² (1 - h (h - u)).
    """
    expect_by_table(x, sd, LOSS, MEAN, r, sums)


@compiled
def expect_by_table(
    x: np.ndarray,
    sd: np.ndarray,
    loss_at: np.ndarray,
    mean_at: np.ndarray,
    r: np.ndarray,
    sums: np.ndarray,
) -> None:
    """:func:`expect_below`, given the tables."""
    step = 1.0 / _PER_UNIT
    for i in range(len(r)):
        s = float(sd[i])
        per_s, loss, hidden = 1.0 / s, 0.0, 0.0
        for k in range(r.shape[1]):
            u = -r[i, k] * per_s
            if x[i, k] > 0:
                loss += u * u
                continue
            if u >= _TABLE_END:  # φ(u) / Φ(-u) = u + 1 / (u + 2 / (u + ...))
                h = u + 1.0 / (u + 2.0 / (u + 3.0 / (u + 4.0 / (u + 5.0 / (u + 6.0 / u)))))
                loss += u * u + 2.0 * np.log(h) + _LOG_TWO_PI
            elif u <= -_TABLE_END:
                h = 0.0
            else:
                place = (u + _TABLE_END) * _PER_UNIT
                j = int(place)
                a, b, f = mean_at[j], mean_at[j + 1], place - j
                u_j = j * step - _TABLE_END
                # cubics with the slopes at both ends: h' = h (h - u), and (-2 log Φ(-u))' = 2 h
                slope_a, slope_b = step * a * (a - u_j), step * b * (b - u_j - step)
                h = _cubic(f, a, b, slope_a, slope_b)
                loss += _cubic(f, loss_at[j], loss_at[j + 1], 2.0 * step * a, 2.0 * step * b)
            hidden += max(0.0, 1.0 - h * (h - u))
            r[i, k] = -s * h
        sums[0, i] += loss
        sums[1, i] += hidden * s * s


@inlined
def _cubic(f: float, a: float, b: float, slope_a: float, slope_b: float) -> float:
    """Value at the share f from a to b of a cubic with these values and slopes at its ends (Hermite)."""
    rise = b - a
    return a + f * (
        slope_a + f * (3 * rise - 2 * slope_a - slope_b + f * (slope_a + slope_b - 2 * rise))
    )
