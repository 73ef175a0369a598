"""Scale and sign, which the product w · z leaves open: one convention for every solver."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.gaussian import Tobit
from grnrep.core.network import Network

# Log-odds that a sign is right, per unit of evidence. Priors: a logistic function with 1.7 is the normal
# distribution to within 0.01. Data: fitted on simulations other than those of benchmarks/signs.py.
_PRIOR, _POSITIVE, _SKEW = 1.7, 8.5, 3.0
# mean square of the signed weights, by that of all, at which prior signs are worth half
_WEAK = 0.1
_SKEW_SD = 0.25  # of the skewness of estimated activities, beyond what sampling adds
_NOISE = 0.1  # share of an activity that is error, at which its evidence is worth half
# Most that the data may say, as they rest on an assumption; beside priors less than one edge's worth.
_LIMIT, _LIMIT_BESIDE_PRIOR = 4.0, 1.5
_MAX_CELLS = 1000  # from which skewness is taken
_COLLAPSED = 1e-9  # share of the largest effect of a regulator below which an effect is rounding


def orient(fit: Fit, network: Network) -> tuple[Fit, np.ndarray, np.ndarray]:
    """Fix the scale and the sign of every regulator.

    Scale: the weights of a regulator have root mean square 1, so that an activity
    has the units of expression: the size of its typical effect on a target.

    Sign: the sum of two log-odds. Prior signs: how far learned weights agree with them.
    Data, which overrule prior signs only where these contradict each other or are on weak
    edges: activities of Eq. 6 are positive, and skewed to the right, which is what is left
    where intercepts open them to a shift.

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
        The strongest evidence: "prior", "positive", "skewness" or "none", ``(n_regulators,)``.
    """
    fit = _without_collapsed(fit, network)
    prior, trust = _prior(fit, network), 1 / (1 + _noise_share(fit, network) / _NOISE)
    positive, skewed = _data(fit, network)
    limit = np.where(prior != 0, _LIMIT_BESIDE_PRIOR, _LIMIT)
    evidence = prior + (data := np.clip(trust * (positive + skewed), -limit, limit))
    confidence = 1 / (1 + np.exp(-np.abs(evidence)))
    source = np.where(np.abs(positive) >= np.abs(skewed), "positive", "skewness")
    source = np.where(np.abs(prior) >= np.abs(data), "prior", source)
    source = np.where(evidence == 0, "none", source)

    size = _rms(fit.weight, network)
    scale = np.where(size > 0, size, 1.0) * np.where(evidence < 0, -1.0, 1.0)
    oriented = replace(
        fit,
        weight=fit.weight / scale[network.regulator],
        activity=fit.activity * scale,
        ridge=None if fit.ridge is None else fit.ridge / scale**2,
    )
    return oriented, confidence, source


def _prior(fit: Fit, network: Network) -> np.ndarray:
    """Agreement with prior signs times the square root of the number of edges, by weight.

    Less where the signed edges are weak ones: hardly anything says which sign their weights have.
    """
    signed = np.abs(fit.weight) * (network.sign != 0)
    agree = _ratio(_sum(network.sign * fit.weight, network), _sum(signed, network))
    n_edges = _ratio(_sum(signed, network) ** 2, _sum(signed**2, network))
    known = _sum(network.sign != 0, network) * _rms(fit.weight, network) ** 2
    strength = _ratio(_sum(signed**2, network), known)
    return _PRIOR * agree * np.sqrt(n_edges) * strength / (strength + _WEAK)


def _data(fit: Fit, network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Evidence from mean and skewness, mixed by how far activities have one sign: the mean of |Σz| / Σ|z|.

    At a load near 1 errors leave about 0.75 of it; the mean still tells most signs there, skewness fewer.
    The powers were chosen on simulations, as the factors above.
    """
    z = fit.activity
    share = _ratio(z.sum(0), np.abs(z).sum(0))
    one_sided = np.abs(share).sum() / max(1, np.count_nonzero(share)) if fit.bias is None else 0.0
    skewed = np.tanh(_skewness(fit, network)) / np.sqrt(6 / max(1, len(z)) + _SKEW_SD**2)
    return one_sided**3 * _POSITIVE * share, (1 - one_sided) ** 2 * _SKEW * skewed


def _skewness(fit: Fit, network: Network) -> np.ndarray:
    """Skewness of activities, cells weighted by Σ w² over the targets that are not censored.

    What is hidden is extrapolated, with outliers that would decide: the low activities
    of an activator make it look skewed to the left.
    """
    some = slice(None, None, max(1, -(-len(fit.activity) // _MAX_CELLS)))
    z, w = fit.activity[some], _matrix(fit, network)
    seen = z @ w.T + fit.offset(some) > 0
    seen |= not isinstance(fit.likelihood, Tobit)
    tells = seen @ w.power(2)
    tells = _ratio(tells, tells.sum(0))
    centred = z - (tells * z).sum(0)
    return _ratio((tells * centred**3).sum(0), (tells * centred**2).sum(0) ** 1.5)


def _noise_share(fit: Fit, network: Network) -> np.ndarray:
    """Variance of the error of an activity by its mean square: σ² (W'W + λ)⁻¹ / ⟨z²⟩; 0 if σ² is unknown."""
    if fit.noise_variance is None:
        return np.zeros(network.n_regulators)
    gram = ((w := _matrix(fit, network)).T @ w).toarray()
    ridge = (0.0 if fit.ridge is None else fit.ridge) + 1e-6 * gram.diagonal()
    gram[np.diag_indices_from(gram)] += np.where(gram.diagonal() > 0, ridge, 1.0)
    error = fit.noise_variance * np.linalg.inv(gram).diagonal()
    return _ratio(error * len(fit.activity), np.square(fit.activity).sum(0))


def _matrix(fit: Fit, network: Network) -> sp.csr_array:
    """Weights, ``(n_genes, n_regulators)``."""
    place = (network.gene, network.regulator)
    return sp.csr_array((fit.weight, place), shape=(network.n_genes, network.n_regulators))


def _sum(values: np.ndarray, network: Network) -> np.ndarray:
    """Sum over the edges of every regulator, ``(n_regulators,)``."""
    return np.bincount(network.regulator, weights=values, minlength=network.n_regulators)


def _rms(weight: np.ndarray, network: Network) -> np.ndarray:
    """Root mean square of the weights of every regulator, ``(n_regulators,)``."""
    return np.sqrt(_ratio(_sum(weight**2, network), network.targets_per_regulator()))


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
