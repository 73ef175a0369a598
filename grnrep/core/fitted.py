"""What a solver returns, whichever solver it was."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Fit:
    """Decoder and representations after fitting; arrays in the order of the `Network`.

    Parameters
    ----------
    weight
        Learned strength of every edge, ``(n_edges,)`` float64.
    bias
        Intercept of every gene, ``(n_genes,)`` float64, or None.
    activity
        Representations, ``(n_cells, n_regulators)`` float64.
    ridge
        Penalty λ_j on the square of every regulator's activity, ``(n_regulators,)``;
        None where the solver had none.
    squared_error
        Σ residual² over all entries, at the decoder returned; NaN where not computed.
    noise_variance
        squared_error by the degrees of freedom that it has left (:mod:`grnrep.core.posterior.freedom`);
        None where not computed, and where it has none.
    censored
        Whether zeros were censored.
    effects
        Effect of every covariate on every gene, (n_genes, n_covariates), or None.
    covariates
        Covariates of the cells of ``activity``, (n_cells, n_covariates), or None.
    history
        Objective after every iteration (exact) or epoch (gradient).
    converged
        Whether the stopping rule was met before the limit of iterations.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    activity: np.ndarray
    ridge: np.ndarray | None = None
    squared_error: float = float("nan")
    noise_variance: float | None = None
    censored: bool = True
    history: list[float] = field(default_factory=list)
    converged: bool = True
    effects: np.ndarray | None = None
    covariates: np.ndarray | None = None

    def offset(self, cells: slice = slice(None)) -> np.ndarray:
        """What the prediction has beside W z: intercepts and covariates, (n_cells or 1, n_genes or 1)."""
        out = np.zeros((1, 1)) if self.bias is None else self.bias[None, :]
        return out if self.effects is None else out + self.covariates[cells] @ self.effects.T
