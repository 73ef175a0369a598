"""Every regulator by itself: the genes of a cell regressed on one regulator's weights and a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.special import stdtr

_ROUNDING = 1e-12  # of a sum of squares: what is left below this share is no spread


@dataclass(frozen=True, eq=False)
class Marginal:
    """Of every cell and regulator, (n_cells, n_regulators); NaN where weights do not differ between genes.

    Parameters
    ----------
    score
        Slope over the standard error that it has in a cell whose genes vary as they do over all cells.
    slope
        Of ordinary least squares, in the units of an activity.
    std_err
        Its standard error, from the scatter of the cell's own genes; NaN where these are two or fewer.
    dof
        Degrees of freedom of ``std_err``.
    """

    score: np.ndarray
    slope: np.ndarray
    std_err: np.ndarray
    dof: int

    def pvalue(self) -> np.ndarray:
        """Two-sided p-value of every slope, by the t distribution, (n_cells, n_regulators) float64."""
        with np.errstate(divide="ignore", invalid="ignore"):  # cells of no scatter
            t = self.slope.astype(np.float64) / self.std_err
        return 2 * stdtr(max(self.dof, 1), -np.abs(t))


def marginal(
    x: np.ndarray | sp.csr_matrix,
    mean: np.ndarray,
    sd: np.ndarray,
    weights: sp.csr_array,
) -> Marginal:
    """Regress the scaled genes of every cell on the scaled weights of every regulator by itself.

    With y_ki = (x_ki - mean_i) / sd_i and a_ij = w_ij / sd_i, which is 0 where there is no edge, the slope is
    Σ_i (a_ij - ā_j) y_ki / S_j, where S_j = Σ_i (a_ij - ā_j)², and the score slope √S_j. Sparse expression
    stays sparse: sums over y are sums over x less what the means give. The cost is edges times cells.

    Parameters
    ----------
    x
        Expression (n_cells, n_genes), dense or sparse without entries that are there twice.
    mean, sd
        Of every gene over the cells of the fit, ``(n_genes,)``; genes whose ``sd`` is 0 are left out.
    weights
        (n_genes, n_regulators).
    """
    varies = sd > 0
    n_genes = int(varies.sum())
    inverse = np.divide(1.0, sd, out=np.zeros(len(sd)), where=varies)
    if sp.issparse(x):
        x = x.astype(np.float64)
    else:  # centred at once, which rounds less
        x, mean = np.asarray(x, dtype=np.float64) - mean, np.zeros(len(mean))
    a = sp.csr_array(weights.multiply(inverse[:, None]))
    total_a, squares_a = _column_sums(a), _column_sums(a.multiply(a))
    spread = squares_a - total_a**2 / max(n_genes, 1)  # S_j
    spread = np.where(spread > _ROUNDING * squares_a, spread, np.nan)

    # Σ_i a_ij y_ki = Σ_i a_ij x_ki / sd_i - Σ_i a_ij mean_i / sd_i, less ā_j Σ_i y_ki
    products = x @ sp.csr_array(a.multiply(inverse[:, None]))
    products = products.toarray() if sp.issparse(products) else products
    products = products - a.T @ (mean * inverse)
    total_y = x @ inverse - mean @ inverse
    products = products - total_y[:, None] * (total_a / max(n_genes, 1))
    squares_y = (x * x if isinstance(x, np.ndarray) else x.multiply(x)) @ inverse**2
    squares_y = squares_y - 2 * (x @ (mean * inverse**2)) + np.sum((mean * inverse) ** 2)
    scatter = squares_y - total_y**2 / max(n_genes, 1)  # Σ_i (y_ki - ȳ_k)²

    score = products / np.sqrt(spread)  # its square is what the regression explains of the scatter
    dof = n_genes - 2
    residual = np.maximum(scatter[:, None] - score**2, 0.0) / (dof if dof > 0 else np.nan)
    return Marginal(score, products / spread, np.sqrt(residual / spread), dof)


def _column_sums(a: sp.sparray) -> np.ndarray:
    return np.asarray(a.sum(axis=0), dtype=np.float64).ravel()
