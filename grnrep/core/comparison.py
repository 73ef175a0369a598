"""Two sides compared column by column, over units that may be on both: differences, errors and tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr

# bounds of the correlation within a unit, values of it that are tried first, and steps between two of them
_MOST_CORRELATED, _N_GRID, _N_STEPS = 0.999, 81, 30
_GOLDEN = (np.sqrt(5) - 1) / 2
_ROUNDING = 1e-12  # of a mean square: below this share nothing varies

# what is independent in the two values x and y of a unit: x - y and (x + y) / 2 of those on both sides, x or y
# alone of the others. Rows: share of the means of both sides, and of the variances α and β
_MEANS = np.array([[1.0, -1.0], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
_VARIANCES = np.array([[2.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 0.5]])


@dataclass(frozen=True, eq=False)
class Comparison:
    """Of every column, ``(m,)`` float64; NaN where nothing varies or anything is unknown.

    Parameters
    ----------
    difference
        Of the mean of the first side from that of the second.
    std_err
        Its standard error.
    dof
        Degrees of freedom of ``std_err``.
    test
        "welch", "paired" or "mixed".
    """

    difference: np.ndarray
    std_err: np.ndarray
    dof: np.ndarray
    test: str

    def t(self) -> np.ndarray:
        """Difference over its standard error."""
        return self.difference / self.std_err

    def pvalue(self) -> np.ndarray:
        """Two-sided, by the t distribution."""
        return 2 * stdtr(self.dof, -np.abs(self.t()))


@dataclass(frozen=True, eq=False)
class Moments:
    """Number of values, their means ``(m,)``, and sums of squares around these ``(m,)``."""

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """Those of the columns of ``values`` (n, m)."""
        mean = values.mean(axis=0, dtype=np.float64)
        return cls(len(values), mean, np.square(values - mean).sum(axis=0))

    def __add__(self, other: Moments) -> Moments:
        """Those of both together."""
        n, off = self.n + other.n, other.mean - self.mean
        scatter = self.scatter + other.scatter + off**2 * (self.n * other.n / n)
        return Moments(n, self.mean + off * (other.n / n), scatter)

    def rms(self) -> np.ndarray:
        """Root mean squares of the values."""
        return np.sqrt(self.mean**2 + self.scatter / self.n)

    def sd(self) -> np.ndarray:
        """Standard deviations of the values (their own, not an estimate of others)."""
        return np.sqrt(self.scatter / self.n)

    def variance_of_mean(self) -> np.ndarray:
        """Squared standard errors of the means."""
        return self.scatter / (self.n - 1) / self.n


def welch(x: Moments, y: Moments) -> Comparison:
    """Compare two sides of different units, by their moments; at least two each."""
    squares = x.variance_of_mean(), y.variance_of_mean()
    std_err = np.sqrt(squares[0] + squares[1])
    with np.errstate(invalid="ignore", divide="ignore"):  # where nothing varies
        dof = std_err**4 / (squares[0] ** 2 / (x.n - 1) + squares[1] ** 2 / (y.n - 1))
    return _tested(Comparison(x.mean - y.mean, std_err, dof, "welch"), x, y)


def compare(x: np.ndarray, y: np.ndarray, shared: np.ndarray) -> Comparison:
    """Compare the columns of ``x`` with those of ``y``, of which some rows may be of the same units.

    No unit on both sides: Welch's t-test. All on both: the paired t-test. Else :func:`mixed`.

    Parameters
    ----------
    x, y
        Values (n_x, m) and (n_y, m), a row for every unit, at least two each.
    shared
        Row of ``y`` of the same unit as every row of ``x``, ``(n_x,)``; -1 where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.comparison import compare
    >>> x, y = np.array([[1.0], [2.0], [4.0]]), np.array([[0.0], [2.0], [2.0]])
    >>> [round(float(compare(x, y, np.array(of_y)).pvalue()[0]), 3) for of_y in ([-1, -1, -1], [0, 1, 2])]
    [0.411, 0.225]
    """
    sides, both = (Moments.of(x), Moments.of(y)), shared >= 0
    if not both.any():
        return welch(*sides)
    if both.all() and len(x) == len(y):
        d = Moments.of(x - y[shared])
        dof = np.full(len(d.mean), d.n - 1.0)
        return _tested(Comparison(d.mean, np.sqrt(d.variance_of_mean()), dof, "paired"), *sides)
    return _tested(mixed(x, y, shared), *sides)


def _tested(comparison: Comparison, x: Moments, y: Moments) -> Comparison:
    """Without errors of what varies by no more than rounding."""
    tested = comparison.std_err > _ROUNDING * np.maximum(x.rms(), y.rms())
    std_err, dof = (
        np.where(tested, value, np.nan) for value in (comparison.std_err, comparison.dof)
    )
    return replace(comparison, std_err=std_err, dof=dof)


def mixed(x: np.ndarray, y: np.ndarray, shared: np.ndarray) -> Comparison:
    r"""Compare two sides that share some of their units, by generalised least squares.

    Both values of a unit are correlated, by ρ. With :math:`α = σ² (1 - ρ)` and :math:`β = σ² (1 + ρ)` the difference
    of the two has the variance 2 α, their mean β / 2, and a value without a partner (α + β) / 2, all independent. So
    the means are weighted least squares given ρ, which is that of restricted maximum likelihood, and may be negative.
    Standard errors have the correction for a variance that is estimated, and its degrees of freedom
    (Kenward & Roger 1997, Biometrics 53:983).

    Parameters
    ----------
    x, y, shared
        As in :func:`compare`.
    """
    both, alone = shared >= 0, np.setdiff1d(np.arange(len(y)), shared)
    pairs = x[both], y[shared[both]]
    kinds = [pairs[0] - pairs[1], (pairs[0] + pairs[1]) / 2, x[~both], y[alone]]
    n = np.array([len(kind) for kind in kinds], dtype=np.float64)
    # sums suffice: (4, m)
    mean = np.stack([kind.sum(0) / max(len(kind), 1) for kind in kinds])
    scatter = np.stack([((kind - m) ** 2).sum(0) for kind, m in zip(kinds, mean, strict=True)])

    rho = _correlation(n, mean, scatter)
    variance, phi, means = _least_squares(rho, n, mean)
    sigma2 = _residual(variance, means, n, mean, scatter) / (n.sum() - 2)
    square, dof = _kenward_roger(variance, phi, n)
    return Comparison(means[:, 0] - means[:, 1], np.sqrt(sigma2 * square), dof, "mixed")


def _least_squares(
    rho: np.ndarray, n: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variances of the four kinds (4, m) for σ² = 1, covariance (m, 2, 2) of both means, and the means (m, 2).

    One ``rho`` for all, (1,), is worked with once.
    """
    variance = _VARIANCES @ np.stack([1 - rho, 1 + rho])
    weight = n[:, None] / variance
    phi = np.linalg.inv(np.einsum("km,ki,kj->mij", weight, _MEANS, _MEANS))
    return variance, phi, (phi @ (_MEANS.T @ (weight * mean)).T[..., None])[..., 0]


def _residual(
    variance: np.ndarray, means: np.ndarray, n: np.ndarray, mean: np.ndarray, scatter: np.ndarray
) -> np.ndarray:
    """Weighted sum of squares around the means, ``(m,)``."""
    off = mean - _MEANS @ means.T
    return ((scatter + n[:, None] * off**2) / variance).sum(0)


def _correlation(n: np.ndarray, mean: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Correlation within a unit by restricted maximum likelihood, ``(m,)``: a grid, then golden sections."""

    def deviance(rho: np.ndarray) -> np.ndarray:
        variance, phi, means = _least_squares(rho, n, mean)
        residual = _residual(variance, means, n, mean, scatter)
        with np.errstate(divide="ignore"):  # where nothing varies
            fit = (n.sum() - 2) * np.log(residual)
        return n @ np.log(variance) + fit - np.linalg.slogdet(phi)[1]

    grid = np.linspace(-_MOST_CORRELATED, _MOST_CORRELATED, _N_GRID)
    best = np.argmin([deviance(rho) for rho in grid[:, None]], axis=0)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, _N_GRID - 1)]
    for _ in range(_N_STEPS):
        step = _GOLDEN * (high - low)
        left = deviance(high - step) < deviance(low + step)
        low, high = np.where(left, low, high - step), np.where(left, low + step, high)
    return (low + high) / 2


def _kenward_roger(
    variance: np.ndarray, phi: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Squared standard error of the difference of means, and its degrees of freedom, both ``(m,)``.

    ``variance`` (4, m) and ``phi`` (m, 2, 2) are those of :func:`_least_squares`, and so is the result, for σ² = 1.
    Variances are linear in α and β, so that derivatives of second order vanish.
    """
    outer = np.einsum("k,ki,kj->kij", n, _MEANS, _MEANS)
    g, contrast = _VARIANCES, np.array([1.0, -1.0])
    h = np.einsum("ki,mij,lj->mkl", _MEANS, phi, _MEANS)  # of fitted values
    v = variance.T  # (m, 4)
    # ½ tr(P V_a P V_b), with P = V⁻¹ - V⁻¹ X Φ Xᵀ V⁻¹: information on α and β
    own = n * (1 / v**2 - 2 * np.einsum("mkk->mk", h) / v**3)
    across = n[:, None] * n * h**2 / (v**2)[:, :, None] / (v**2)[:, None, :]
    information = np.einsum("mk,ka,kb->mab", own, g, g) + np.einsum("mkl,ka,lb->mab", across, g, g)
    uncertain = np.linalg.pinv(information / 2)  # covariance of the estimates of α and β
    first = -np.einsum("kij,ka,mk->maij", outer, g, v**-2)  # P_a of Kenward & Roger
    second = np.einsum("kij,ka,kb,mk->mabij", outer, g, g, v**-3)  # Q_ab
    lost = second - np.einsum("maij,mjk,mbkl->mabil", first, phi, first)
    side = phi @ contrast
    square = side @ contrast
    correction = 2 * np.einsum("mab,mi,mabij,mj->m", uncertain, side, lost, side)
    slope = -np.einsum("mi,maij,mj->ma", side, first, side)  # of the square in α and β
    spread = np.einsum("ma,mab,mb->m", slope, uncertain, slope)
    return square + correction, 2 * square**2 / spread


def adjusted(pvalue: np.ndarray) -> np.ndarray:
    """False discovery rates of those tests that there are (Benjamini & Hochberg), NaN of the others."""
    from scipy.stats import false_discovery_control  # half a second, for comparisons alone

    tested, out = np.isfinite(pvalue), np.full(len(pvalue), np.nan)
    out[tested] = false_discovery_control(pvalue[tested])
    return out
