"""Which likelihood the values of a data set ask for."""

from __future__ import annotations

import numpy as np

from grnrep.core.als.fit import fit_decoder
from grnrep.core.network import Network

_MAX_CELLS = 500
_ITERATIONS, _RIDGE = 3, 1e-3
# median dispersion from which the negative binomial recovers more than Poisson
_OVERDISPERSED = 0.3
_WHOLE = 2**24  # from which all numbers of 32 bits are whole
_SPREAD = 1e-3  # coefficient of variation of totals, below which they are no sequencing depths


def choose_likelihood(
    x: np.ndarray,
    network: Network,
    *,
    intercept: bool = False,
    size_factors: np.ndarray | None = None,
    rng: int = 0,
) -> tuple[str, str]:
    """Choose "gaussian", "poisson" or "nb", and say why.

    Counts are whole numbers of at least 0, not only 0 and 1, whose totals differ between cells,
    and most of them below 2^24, from where 32 bits hold no fractions.
    They are called overdispersed by what a short Poisson fit to a part of the cells leaves
    unexplained: differences between cells that the network explains do not count. In
    simulations Poisson recovers activities as well as the negative binomial up to a dispersion of 0.2.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges.
    intercept
        As in :func:`grnrep.core.als.fit.fit_decoder`.
    size_factors
        Of all cells, those of the fit, which differ where totals do; by default totals over these genes.
    rng
        Source of the choice of cells and of the fit's start.

    Returns
    -------
    likelihood, reason
    """
    reason = _not_counts(
        x, x.sum(1, dtype=np.float64) if size_factors is None else np.asarray(size_factors)
    )
    if reason is not None:
        return "gaussian", reason
    some = np.sort(np.random.default_rng(rng).permutation(len(x))[:_MAX_CELLS])
    s = None if size_factors is None else np.asarray(size_factors)[some]
    phi = typical_dispersion(x[some], network, intercept=intercept, size_factors=s, rng=rng)
    if phi >= _OVERDISPERSED:
        return (
            "nb",
            f"values are counts, overdispersed: variance μ + {phi:.2g} μ² beyond the network's part",
        )
    return "poisson", f"values are counts with little more than Poisson variance: μ + {phi:.2g} μ²"


def typical_dispersion(
    counts: np.ndarray,
    network: Network,
    *,
    intercept: bool = False,
    size_factors: np.ndarray | None = None,
    rng: int = 0,
) -> float:
    """Median over the genes with a regulator of the dispersion that a short fit leaves."""
    fit = fit_decoder(
        counts,
        network,
        likelihood="nb",
        intercept=intercept,
        size_factors=size_factors,
        ridge=_RIDGE,
        max_iter=_ITERATIONS,
        rng=rng,
    )
    parameters = fit.likelihood.arrays()
    of = (network.regulators_per_gene() > 0) & (parameters["mean"] > 0)
    return float(np.median(parameters["dispersion"][of])) if of.any() else 0.0


def _not_counts(x: np.ndarray, totals: np.ndarray) -> str | None:
    """Why values (n_cells, n_genes) cannot be counts, or None; ``totals`` (n_cells,) have any unit."""
    if x.size == 0:
        return "there are no values"
    if np.any(x < 0):
        return "some values are negative"
    if np.any(x != np.floor(x)):
        return "some values are not whole numbers"
    if x.max() <= 1:
        return "all values are 0 or 1"
    if np.median(x[x > 0]) >= _WHOLE:
        return f"most values are above {_WHOLE:,}, where 32 bits hold no fractions and any value looks whole"
    if len(x) > 1 and totals.std() <= _SPREAD * totals.mean():
        return "values are whole numbers, but the totals of all cells are the same"
    return None
