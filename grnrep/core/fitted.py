"""What a solver returns, whichever solver it was, and what it leaves when it is stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grnrep.core.likelihoods.base import Likelihood
from grnrep.core.likelihoods.gaussian import Tobit


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
    likelihood
        How expression scatters about W z, with the parameters of every gene.
    depth
        Total counts of a cell with size factor 1; NaN where size factors were given, or cells have none.
    ridge
        Penalty λ_j on the square of every regulator's activity, ``(n_regulators,)``;
        None where the solver had none.
    covariance
        Of the normal prior of activities, (n_regulators, n_regulators), where noise and priors were learned; there
        is no ``ridge`` then.
    weight_sd
        Standard deviation that every weight was left with, ``(n_edges,)``, or None.
    anchor, anchor_variance
        Mean and variance of the prior of every weight, ``(n_edges,)``, or None.
    inflation
        How many genes that share their noise count for one; see
        :class:`grnrep.core.als.assumed.Assumptions`.
    factors, loadings
        Free factors, programmes that the network does not know: representations of variance 1, (n_cells, n_factors),
        and their effects on genes, (n_genes, n_factors). None where there are none.
    squared_error
        Σ residual² over all entries, at the decoder returned; NaN where not computed.
    noise_variance
        squared_error by the degrees of freedom that it has left (:mod:`grnrep.core.posterior.freedom` at low load);
        None where not computed, and where it has none.
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
    likelihood: Likelihood = field(default_factory=Tobit)
    depth: float = float("nan")
    ridge: np.ndarray | None = None
    squared_error: float = float("nan")
    noise_variance: float | None = None
    history: list[float] = field(default_factory=list)
    converged: bool = True
    covariance: np.ndarray | None = None
    weight_sd: np.ndarray | None = None
    anchor: np.ndarray | None = None
    anchor_variance: np.ndarray | None = None
    inflation: float = 1.0
    factors: np.ndarray | None = None
    loadings: np.ndarray | None = None
    effects: np.ndarray | None = None
    covariates: np.ndarray | None = None

    @property
    def n_factors(self) -> int:
        """Number of free factors."""
        return 0 if self.loadings is None else self.loadings.shape[1]

    def noise(self) -> np.ndarray:
        """ψ of every gene as representations and weights take it, inflated, ``(n_genes,)``; of fits by evidence."""
        return self.inflation * np.square(self.likelihood.arrays()["noise_sd"])

    def representation(self) -> np.ndarray:
        """Activities, then free factors, (n_cells, m)."""
        if self.factors is None:
            return self.activity
        return np.concatenate([self.activity, self.factors], axis=1)

    def offset(self, cells: slice = slice(None)) -> np.ndarray:
        """What the prediction has beside W z: intercepts and covariates, (n_cells or 1, n_genes or 1)."""
        out = np.zeros((1, 1)) if self.bias is None else self.bias[None, :]
        if self.effects is None or self.covariates is None:
            return out
        return out + self.covariates[cells] @ self.effects.T


class Interrupted(KeyboardInterrupt):
    """An interruption that brings what there was so far.

    Parameters
    ----------
    so_far
        A state of the alternation, or a fit, or a model; whoever catches it makes the next of it.
    """

    def __init__(self, so_far: Any):
        super().__init__()
        self.so_far = so_far
