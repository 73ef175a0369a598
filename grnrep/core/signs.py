"""Scale and sign, which the product w · z leaves open: one convention for every solver."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import scipy.sparse as sp
import torch

from grnrep.core.fitted import Fit
from grnrep.core.linalg import inverse_spd
from grnrep.core.network import Network

F = TypeVar("F", bound=Fit)

# Log-odds that a sign is right, per unit of evidence. Prior signs: a logistic function with 1.7 is the normal
# distribution to within 0.01. Positive activities, and skewed ones: fitted on simulations other than those of
# benchmarks/signs.py.
_PRIOR_LOGIT, _POSITIVE_LOGIT, _SKEWNESS_LOGIT = 1.7, 8.5, 3.0
# mean square of the signed weights, by that of all, at which prior signs are worth half
_HALF_STRENGTH = 0.1
_SKEWNESS_SD = 0.25  # of the skewness of estimated activities, beyond what sampling adds
_HALF_NOISE = 0.1  # share of an activity that is error, at which its evidence is worth half
# Most that the data may say, as they rest on an assumption; beside priors less than one edge's worth.
_MAX_DATA_LOGIT, _MAX_DATA_LOGIT_BESIDE_PRIOR = 4.0, 1.5
_MAX_CELLS = 1000  # from which skewness is taken
_COLLAPSED = 1e-9  # share of the largest effect of a regulator below which an effect is rounding
_TIED = 0.5  # share of a cell's values above zero that are there before, from which they are logarithms of counts
_JITTER = 1e-6  # of the diagonal of W'W, against collinear regulators


def orient(fit: F, network: Network, *, skewness: bool = True) -> tuple[F, np.ndarray, np.ndarray]:
    """Fix the scale and the sign of every regulator.

    Scale: the weights of a regulator have root mean square 1, so that an activity has the units of expression: the
    size of its typical effect on a target. A fit by evidence keeps the scale of its priors, in which the unit of
    a gene does not matter: an activity of √(number of regulators of a target) is one spread of the target.

    Sign: the sum of two log-odds. Prior signs: how far learned weights agree with them.
    Data, which overrule prior signs only where these contradict each other or are on weak
    edges: activities of Eq. 6 are positive, and skewed to the right, which is what is left
    where intercepts open them to a shift. A regulator of a fit by evidence most of whose edges have a sign is left as
    the search, which began there, has it: one that shares its targets with a larger one may be left with weights
    against their signs, where it is still the regulator that the signs made it. Where nothing says anything, most of
    the weight is positive, as it is in prior networks (90 % of CollecTRI), and the confidence is 0.5.

    Parameters
    ----------
    fit
        From either solver.
    network
        Edges with prior signs, in the order of ``fit.weight``.
    skewness
        Whether skewness says anything; see :func:`are_log_counts`.

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
    prior = _prior_evidence(fit, network)
    positive, skewed = _data_evidence(fit, network)
    skewed = skewed if skewness else np.zeros_like(skewed)
    # what an activity has of error takes from its evidence; log-odds of independent evidence add up
    trust = 1 / (1 + _noise_share(fit, network) / _HALF_NOISE)
    limit = np.where(prior != 0, _MAX_DATA_LOGIT_BESIDE_PRIOR, _MAX_DATA_LOGIT)
    data = np.clip(trust * (positive + skewed), -limit, limit)
    evidence = prior + data
    if fit.covariance is not None:
        evidence = np.where(_mostly_signed(network), np.maximum(evidence, 0.0), evidence)
    confidence = 1 / (1 + np.exp(-np.abs(evidence)))
    source = np.where(np.abs(positive) >= np.abs(skewed), "positive", "skewness")
    source = np.where(np.abs(prior) >= np.abs(data), "prior", source)
    source = np.where(evidence == 0, "none", source)

    undecided = (evidence == 0) & ~_mostly_signed(network)
    direction = np.where(undecided, _sum(_relative(fit), network), evidence)
    size = _rms(fit.weight, network) if fit.covariance is None else np.ones(network.n_regulators)
    scale = np.where(size > 0, size, 1.0) * np.where(direction < 0, -1.0, 1.0)
    edge_size = np.abs(scale)[network.regulator]
    # w / s and z · s predict the same, and λ / s² of (z · s)² is the same penalty
    oriented = replace(
        fit,
        weight=fit.weight / scale[network.regulator],
        activity=fit.activity * scale,
        ridge=None if fit.ridge is None else fit.ridge / scale**2,
        covariance=None if fit.covariance is None else fit.covariance * np.outer(scale, scale),
        weight_sd=None if fit.weight_sd is None else fit.weight_sd / edge_size,
        anchor=None if fit.anchor is None else fit.anchor / scale[network.regulator],
        anchor_variance=None if fit.anchor_variance is None else fit.anchor_variance / edge_size**2,
    )
    return oriented, confidence, source


def orient_to_prior(fit: Fit, network: Network) -> Fit:
    """Fix scales as :func:`orient` does, and signs so that weights agree with prior signs, by Σ s w.

    Only activities and weights are turned: for predictions by prior signs, which regulators without any do not reach.
    """
    size = _rms(fit.weight, network)
    agree = _sum(network.sign * fit.weight, network)
    scale = np.where(size > 0, size, 1.0) * np.where(agree < 0, -1.0, 1.0)
    weight = fit.weight / scale[network.regulator]
    return replace(fit, weight=weight, activity=fit.activity * scale)


def are_log_counts(x: np.ndarray) -> bool:
    """Whether normalised expression (n_cells, n_genes) is of counts: most of a cell's values occur several times.

    There skewness is no guide to signs under a ReLU: sampling spreads low expression over zeros and the logarithm
    squeezes high expression, which skews activities to the left. In two sets of blood cells with CollecTRI without its
    signs 1 of 14 and 8 of 24 were right by it, at a stated .78 and .63; and 14 and 20 by the weight that is positive
    (`benchmarks/blood_signs.py`).

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.signs import are_log_counts
    >>> counts = np.random.default_rng(0).poisson(1.0, (20, 50))
    >>> are_log_counts(np.log1p(counts * 1.7)), are_log_counts(np.random.default_rng(0).random((20, 50)))
    (True, False)
    """
    values = np.sort(x[:: max(1, -(-len(x) // _MAX_CELLS))], axis=1)
    positive = values > 0
    tied = positive[:, 1:] & (values[:, 1:] == values[:, :-1])
    share = _ratio(tied.sum(1).astype(np.float64), positive.sum(1).astype(np.float64))
    return bool(len(x)) and bool(np.median(share) >= _TIED)


def _mostly_signed(network: Network) -> np.ndarray:
    """Regulators of whose edges at least half have a sign, ``(n_regulators,)`` bool."""
    return 2 * _sum(network.sign != 0, network) >= np.maximum(1, network.targets_per_regulator())


def _prior_evidence(fit: Fit, network: Network) -> np.ndarray:
    """Agreement with prior signs times the square root of the number of edges, by weight.

    Less where the signed edges are weak ones: hardly anything says which sign their weights have.
    """
    weight = _relative(fit)
    signed = np.abs(weight) * (network.sign != 0)  # |w| of signed edges
    agreement = _ratio(_sum(network.sign * weight, network), _sum(signed, network))
    # (Σ|w|)² / Σw²: edges, if all had the same weight (Kish's effective sample size)
    n_edges = _ratio(_sum(signed, network) ** 2, _sum(signed**2, network))
    # Σw² of signed edges, by what it were if they had the mean square of all
    typical = _sum(network.sign != 0, network) * _rms(weight, network) ** 2
    strength = _ratio(_sum(signed**2, network), typical)
    trust = strength / (strength + _HALF_STRENGTH)
    return _PRIOR_LOGIT * agreement * np.sqrt(n_edges) * trust


def _data_evidence(fit: Fit, network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Evidence from mean and skewness, mixed by how far activities have one sign: the mean of |Σz| / Σ|z|.

    At a load near 1 errors leave about 0.75 of it; the mean still tells most signs there, skewness fewer.
    The powers were chosen on simulations, as the factors above.
    """
    z = fit.activity
    # Σz / Σ|z|: 1 or -1 where all z of a regulator have one sign
    share = _ratio(z.sum(0), np.abs(z).sum(0))
    one_sided = np.abs(share).sum() / max(1, np.count_nonzero(share)) if fit.bias is None else 0.0
    # in standard deviations of a skewness that says nothing: 6 / N by sampling, the rest by estimation
    sd = np.sqrt(6 / max(1, len(z)) + _SKEWNESS_SD**2)
    skewed = np.tanh(_skewness(fit, network)) / sd
    return one_sided**3 * _POSITIVE_LOGIT * share, (1 - one_sided) ** 2 * _SKEWNESS_LOGIT * skewed


def _skewness(fit: Fit, network: Network) -> np.ndarray:
    """Skewness of activities, cells weighted by Σ w² over the targets that are not censored.

    What is hidden is extrapolated, with outliers that would decide: the low activities
    of an activator make it look skewed to the left.
    """
    rows = slice(None, None, max(1, -(-len(fit.activity) // _MAX_CELLS)))
    z, w = fit.activity[rows], network.matrix(fit.weight)
    seen = z @ w.T + fit.offset(rows) > 0
    seen |= fit.likelihood.zeros_are_values
    relative = network.matrix(_relative(fit))
    # Σ w² over a cell's seen targets, (n_cells, n_regulators)
    information = seen @ relative.power(2)
    share = _ratio(information, information.sum(0))
    centred = z - (share * z).sum(0)
    squares = share * centred * centred
    return _ratio((squares * centred).sum(0), squares.sum(0) ** 1.5)


def _noise_share(fit: Fit, network: Network) -> np.ndarray:
    """Variance of the error of an activity by its mean square: σ² (W'W + λ)⁻¹ / ⟨z²⟩; 0 if σ² is unknown."""
    w = network.matrix(fit.weight)
    if fit.covariance is not None:
        white = sp.diags_array(1 / np.sqrt(fit.noise())) @ w
        prior = 1 / np.maximum(fit.covariance.diagonal(), np.finfo(np.float64).tiny)
        gram, noise_variance = (white.T @ white).toarray(), 1.0
    elif fit.noise_variance is None:
        return np.zeros(network.n_regulators)
    else:
        prior = np.zeros(network.n_regulators) if fit.ridge is None else fit.ridge
        gram, noise_variance = (w.T @ w).toarray(), fit.noise_variance
    ridge = prior + _JITTER * gram.diagonal()
    # a regulator without weights gets a 1
    gram[np.diag_indices_from(gram)] += np.where(gram.diagonal() > 0, ridge, 1.0)
    inverse = inverse_spd(torch.from_numpy(gram), torch.float64)
    error = noise_variance * inverse.diagonal().numpy()
    return _ratio(error * len(fit.activity), _squares(fit.activity))


def _relative(fit: Fit) -> np.ndarray:
    """Weights, of a fit by evidence by the size that their priors expect, so that units of genes do not matter."""
    return fit.weight if fit.anchor_variance is None else fit.weight / np.sqrt(fit.anchor_variance)


def _sum(values: np.ndarray, network: Network) -> np.ndarray:
    """Sum over the edges of every regulator, ``(n_regulators,)``."""
    return np.bincount(network.regulator, weights=values, minlength=network.n_regulators)


def _rms(weight: np.ndarray, network: Network) -> np.ndarray:
    """Root mean square of the weights of every regulator, ``(n_regulators,)``."""
    return np.sqrt(_ratio(_sum(weight**2, network), network.targets_per_regulator()))


def _without_collapsed(fit: F, network: Network) -> F:
    """Set regulators to zero that the penalty has shrunk to nothing but rounding."""
    effect = _rms(_relative(fit), network) * np.sqrt(_squares(fit.activity))
    dead = effect <= _COLLAPSED * effect.max(initial=0.0)
    if not dead.any():
        return fit
    return replace(
        fit,
        weight=np.where(dead[network.regulator], 0.0, fit.weight),
        activity=np.where(dead, 0.0, fit.activity),
    )


def _squares(z: np.ndarray) -> np.ndarray:
    """Σ z² over cells of every regulator, ``(n_regulators,)``."""
    return np.einsum("kj,kj->j", z, z)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, 0 where the denominator is 0."""
    zero = denominator == 0
    return np.where(zero, 0.0, numerator / np.where(zero, 1, denominator))
