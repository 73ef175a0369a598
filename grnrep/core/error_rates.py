"""Which edges are false: of those not in a network by the null of their regulator, of those in it by two groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtri, stdtr

from grnrep.core.als.variances import pooled
from grnrep.core.scores import EdgeScores

_MEDIAN = 0.6744897501960817  # of the absolute value of a standard normal variable
# of a median of absolute values of normal variables, beside their root mean square
_EFFICIENCY = 0.37
# between centres of true weights, in typical weights, and how many there are
_STEP, _N_STEPS = 0.25, 16
_FALSE_SHARE = 0.05  # share of false edges that the groups start from
_EM_STEPS, _EM_TOL = 500, 1e-6  # and change of that share at which they end
_UNDERFLOW = 1e-300  # below which a probability is not told from 0


class ErrorRates(NamedTuple):
    """Of every gene and regulator, (n_genes, n_regulators).

    Parameters
    ----------
    false
        Probability that a prior edge is false; 0 elsewhere.
    rate
        Expected share of false ones among all prior edges, or all other pairs, that are at least as convincing.
    """

    false: np.ndarray
    rate: np.ndarray


def error_rates(scores: EdgeScores, prior: np.ndarray, inside: np.ndarray) -> ErrorRates:
    """Judge prior edges by two groups, and all other pairs by the null distribution of their regulator.

    Parameters
    ----------
    scores
        Weights and standard errors of every pair.
    prior, inside
        Which pairs are edges of the prior network, and of the one of the fit, (n_genes, n_regulators) bool.
    """
    t, std_err = np.abs(scores.t()), scores.std_err
    judged, dof = std_err > 0, np.broadcast_to(scores.dof[:, None], prior.shape)
    width = null_widths(t, judged & ~prior & ~inside)
    false, rate = np.zeros(prior.shape), np.ones(prior.shape)

    # prior edges, in units of the typical weight of their regulator
    # those that cannot be judged may be of any size
    known = judged & prior
    mean_square = (np.where(known, scores.weight, 0.0) ** 2).sum(0) / np.maximum(1, known.sum(0))
    typical = np.sqrt(np.where(mean_square > 0, mean_square, 1.0))
    size = np.broadcast_to(typical, prior.shape)[prior]
    uncertain = (width * std_err)[prior] * tail_factor(t[prior], dof[prior])
    weight = scores.weight[prior] / size
    false[prior] = p = probability_false(weight, uncertain / size)
    # expected share of false ones among all that are as convincing: the mean of their probabilities
    order = np.lexsort((-np.abs(weight), p))
    running = np.cumsum(p[order]) / np.arange(1, len(p) + 1)
    # equals, which no data tell apart, share the rate of all of them: whatever the order of genes and regulators
    _, alike = np.unique(np.stack([p, -np.abs(weight)]), axis=1, return_inverse=True)
    rate[prior] = running[np.bincount(alike).cumsum() - 1][alike]

    others = judged & ~prior
    if others.any():
        from scipy.stats import false_discovery_control  # half a second, for repairs alone

        tail = 2 * stdtr(dof[others], -(t / width)[others])
        rate[others] = false_discovery_control(np.clip(tail, _UNDERFLOW, 1.0))
    return ErrorRates(false, rate)


def null_widths(t: np.ndarray, null: np.ndarray) -> np.ndarray:
    """How much wider than by theory the t statistics of every regulator are where it has no edge, ``(m,)``.

    What a regulator is taken for can correlate with something that no fit knows, and then all genes seem to ask for
    it a little. Most of its pairs are no edges: the median of their |t| says how wide the null distribution is
    (Efron 2004, J. Am. Stat. Assoc. 99:96), drawn to that of others as far as they are alike; at least 1.

    Parameters
    ----------
    t
        Absolute values, (n_genes, m).
    null
        Which pairs to look at, same shape.
    """
    n = null.sum(0)
    if not n.any():
        return np.ones(t.shape[1])
    looked_at = np.ma.masked_array(t, ~null)
    median = np.ma.median(looked_at, axis=0).filled(0.0)
    n_pairs = max(1, int(_EFFICIENCY * np.median(n[n > 0])))
    width = pooled(torch.as_tensor((median / _MEDIAN) ** 2), n_pairs).sqrt().numpy()
    return np.maximum(1.0, width)


def tail_factor(t: np.ndarray, dof: np.ndarray) -> np.ndarray:
    """How many times smaller than ``t``, of Student's distribution, the normal variable is that is as far out."""
    normal = -ndtri(np.maximum(stdtr(dof, -t), _UNDERFLOW))
    return np.divide(t, normal, out=np.ones(t.shape), where=normal > 1e-6)


def probability_false(weight: np.ndarray, std_err: np.ndarray) -> np.ndarray:
    """Probability that the true weight of an edge is zero, from two groups of edges.

    Estimates of false edges are N(0, se²). True weights are ± N(μ, δ²) with μ = δ, 2 δ, ...: any distribution that
    is smooth, with either sign as likely, and without a peak at zero that is narrower than δ, a quarter of a typical
    weight. The shares of all are found by expectation maximisation (Efron 2008, Microarrays, empirical Bayes and the
    two-groups model; Kiefer & Wolfowitz 1956). Where the network is right the share of false ones goes to zero, and
    weak edges stay.

    Parameters
    ----------
    weight, std_err
        Estimates, in units of a typical weight, ``(n,)``. An edge without a standard error is as likely to be false
        as any other; where none has one, all are taken to be true.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.error_rates import probability_false
    >>> rng = np.random.default_rng(0)
    >>> true = np.r_[np.zeros(400), rng.normal(size=600)]
    >>> p = probability_false(true + 0.1 * rng.normal(size=1000), np.full(1000, 0.1))
    >>> bool(abs(p.mean() - 0.4) < 0.05)
    True
    """
    judged = np.isfinite(std_err) & (std_err > 0)
    if not judged.any():
        return np.zeros(len(weight))
    w, se2 = np.abs(weight[judged, None]), std_err[judged, None] ** 2
    centre = _STEP * np.arange(1, _N_STEPS + 1)
    variance = _STEP**2 + se2
    # of either sign, up to a constant; relative to the largest of an edge, so that none underflows
    log = np.concatenate(
        [
            -0.5 * (np.log(se2) + w**2 / se2),
            -0.5 * (np.log(variance) + (w - centre) ** 2 / variance)
            + np.log1p(np.exp(-2 * w * centre / variance)) - np.log(2),
        ],
        axis=1,
    )  # fmt: skip
    density = np.exp(log - log.max(axis=1, keepdims=True))
    share = np.append(_FALSE_SHARE, np.full(_N_STEPS, (1 - _FALSE_SHARE) / _N_STEPS))
    for _ in range(_EM_STEPS):
        of_group = density * share
        of_group /= of_group.sum(axis=1, keepdims=True)
        previous, share = share, of_group.mean(axis=0)
        if abs(share[0] - previous[0]) < _EM_TOL:
            break
    out = np.full(len(weight), share[0])
    out[judged] = of_group[:, 0]
    return out
