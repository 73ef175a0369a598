"""Scale and sign, which the product w · z leaves open: one convention for every solver."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from grnrep.core.fitted import Fit
from grnrep.core.network import Network

# Log-odds that a sign is right per unit of evidence. For priors, the logistic
# function with 1.7 is the normal distribution function to within 0.01. For the
# data, fitted on simulated activities (Gamma, shapes 1 to 5; 15 to 1,000 cells;
# noise 0.2 to 1; with and without intercepts).
_PRIOR, _POSITIVE, _SKEW = 1.7, 0.6, 0.5
# Share of the largest effect of a regulator below which an effect is rounding.
_COLLAPSED = 1e-9


def orient(fit: Fit, network: Network) -> tuple[Fit, np.ndarray, np.ndarray]:
    """Fix the scale and the sign of every regulator.

    Scale: the weights of a regulator have root mean square 1, so that an activity
    has the units of expression: the size of its typical effect on a target.

    Sign: where a regulator has edges with a prior sign, the sign under which the
    learned weights agree with them, by weight. Else from the data: activities of
    Eq. 6 are not negative, and with an intercept, which leaves an activity open
    to a shift, they are skewed to the right.

    Parameters
    ----------
    fit
        From either solver.
    network
        Edges with prior signs, in the order of ``fit.weight``.

    Returns
    -------
    fit
        The same predictions in the convention above.
    confidence
        Probability that the sign of a regulator is right, ``(n_regulators,)`` in [0.5, 1].
    source
        What decided: "prior", "positive", "skewness" or "none", ``(n_regulators,)``.
    """
    m = network.n_regulators
    reg = network.regulator
    fit = _without_collapsed(fit, network)

    def per_regulator(values: np.ndarray) -> np.ndarray:
        return np.bincount(reg, weights=values, minlength=m)

    signed = np.abs(fit.weight) * (network.sign != 0)
    agree = _ratio(per_regulator(network.sign * fit.weight), per_regulator(signed))
    n_edges = _ratio(per_regulator(signed) ** 2, per_regulator(signed**2))
    prior = _PRIOR * agree * np.sqrt(n_edges)

    z, n_cells = fit.activity, len(fit.activity)
    if fit.bias is None:
        name, evidence = "positive", _POSITIVE * _ratio(z.sum(0), np.abs(z).sum(0)) * np.sqrt(n_cells)
    else:
        centred = z - z.mean(0) if n_cells else z
        skewness = _ratio(n_cells**0.5 * (centred**3).sum(0), (centred**2).sum(0) ** 1.5)
        name, evidence = "skewness", _SKEW * skewness * np.sqrt(n_cells)

    by_prior = agree != 0
    evidence = np.where(by_prior, prior, evidence)
    source = np.where(by_prior, "prior", np.where(evidence != 0, name, "none"))
    confidence = 1 / (1 + np.exp(-np.abs(evidence)))

    size = _rms(fit.weight, network)
    scale = np.where(size > 0, size, 1.0) * np.where(evidence < 0, -1.0, 1.0)
    oriented = replace(
        fit,
        weight=fit.weight / scale[reg],
        activity=z * scale,
        ridge=None if fit.ridge is None else fit.ridge / scale**2,
    )
    return oriented, confidence, source


def _rms(weight: np.ndarray, network: Network) -> np.ndarray:
    """Root mean square of the weights of every regulator, ``(n_regulators,)``."""
    squares = np.bincount(network.regulator, weights=weight**2, minlength=network.n_regulators)
    return np.sqrt(_ratio(squares, network.targets_per_regulator()))


def _without_collapsed(fit: Fit, network: Network) -> Fit:
    """Set regulators to zero that the penalty has shrunk to nothing but rounding."""
    size = _rms(fit.weight, network) * np.sqrt(np.square(fit.activity).sum(0))
    dead = size <= _COLLAPSED * size.max(initial=0.0)
    return replace(
        fit,
        weight=np.where(dead[network.regulator], 0.0, fit.weight),
        activity=np.where(dead, 0.0, fit.activity),
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, 0 where the denominator is 0."""
    zero = denominator == 0
    return np.where(zero, 0.0, numerator / np.where(zero, 1, denominator))
