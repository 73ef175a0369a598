"""How much of an inferred activity is the true one: what the genes of a cell tell, and what censored zeros do."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ndtri

from grnrep.core.design import full_network, prior_precision
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.normal_tail import below_and_above

_NODES = 61  # of the Gauss-Hermite rule over predictions: right to 2e-3 where they spread 5 times as much as noise


def information(u: np.ndarray) -> np.ndarray:
    r"""Fisher information of max(p + ε, 0) on p, ε ~ N(0, σ²), by that of p + ε: a share of 1 / σ².

    .. math:: \Phi(u) + \varphi(u) (h - u) = 1 - \Phi(-u) (1 - h (h - u)), \quad u = p / \sigma,

    with h = φ(u) / Φ(-u): what is lost is the probability of a zero times the variance of what it hides (Louis 1982).

    Parameters
    ----------
    u
        p / σ, of any shape.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.reliability import information
    >>> information(np.array([-10.0, 0.0, 10.0])).round(3).tolist()
    [0.0, 0.818, 1.0]
    """
    at = torch.as_tensor(u, dtype=torch.float64)
    log_zero, h = below_and_above(at)
    hidden = (1 - h * (h - at)).clamp(0, 1)
    return (1 - log_zero.exp() * hidden).clamp(0, 1).numpy()


def expected_information(share_zero: np.ndarray, spread: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Mean of :func:`information` over cells, for genes of which a share is zero, ``(n_genes,)``.

    Predictions are taken to be normal with sd ``spread`` and noise with sd ``sd``, about the mean that makes as many
    zeros: -Φ⁻¹(share) √(spread² + sd²).
    """
    out = np.where(share_zero < 1, 1.0, 0.0)
    some = (share_zero > 0) & (share_zero < 1)
    mean = -ndtri(share_zero[some]) * np.hypot(spread, sd)[some]
    nodes, mass = np.polynomial.hermite_e.hermegauss(_NODES)
    u = (mean[:, None] + spread[some, None] * nodes) / sd[some, None]
    out[some] = information(u) @ (mass / mass.sum())
    return out


def reliability(fit: Fit, network: Network, share_zero: np.ndarray) -> np.ndarray:
    r"""Squared correlation to be expected of inferred and true activities, if weights and noise are right.

    With genes of noise ψ and information ι (:func:`expected_information`), G = W' diag(ι/ψ) W and the precision P by
    which activities are inferred, :math:`\bar z = A z + e` with

    .. math:: S = (G + P)^{-1}, \quad A = S G, \quad \mathrm{Cov}(e) = N = A S

    (by the inflation of noise, of a fit that has one: what genes share beyond the network counts as signal). Were the
    prior covariance C certain, it would be :math:`(AC)_{jj}^2 / (C_{jj} (A C A^\top + N)_{jj})`. Learned from few or
    noisy values, C is too small, by orders of magnitude where single cells tell little, since means of weights and
    activities are shrunk each for what the other leaves open; its shape counts, its size does not. So noise is taken
    off the variance that activities are seen to have,

    .. math:: \Big(1 - \frac{N_{jj}}{\mathrm{Var} \bar z_j}\Big) \frac{(AC)_{jj}^2}{C_{jj} (A C A^\top)_{jj}},

    and the second factor is the share of the rest that is the regulator's own, not that of others. Both are the same
    where Var z̄ is A C A' + N.

    Parameters
    ----------
    fit
        By evidence, with the activities of cells.
    network
        Edges.
    share_zero
        Share of zeros of every gene, ``(n_genes,)``; they count under a ReLU.

    Returns
    -------
    ``(n_regulators,)``, from 0 to 1; 0 where activities do not vary.
    """
    m, n_free = network.n_regulators, network.n_regulators + fit.n_factors
    full, weight = full_network(network, fit)
    free = full.regulator < n_free
    w = np.zeros((full.n_genes, n_free))
    w[full.gene[free], full.regulator[free]] = weight[free]
    c = np.eye(n_free)
    c[:m, :m] = fit.covariance
    precision = 1 / fit.noise()
    if not fit.likelihood.zeros_are_values:
        spread = np.sqrt(((w @ c) * w).sum(1))
        sd = fit.likelihood.arrays()["noise_sd"]
        precision = precision * expected_information(share_zero, spread, sd)
    gram = (w * precision[:, None]).T @ w
    s = np.linalg.inv(gram + prior_precision(fit, network))
    a = s @ gram
    # noise scatters by its own variance, whatever fits inflate it to
    noise, own = (a @ s).diagonal()[:m] / fit.inflation, (a @ c).diagonal()[:m]
    signal = (a @ c @ a.T).diagonal()[:m]
    seen = fit.activity.var(0, ddof=1) if len(fit.activity) > 1 else np.zeros(m)
    tiny = np.finfo(np.float64).tiny
    beyond_noise = 1 - noise / np.maximum(seen, tiny)
    of_its_own = own**2 / np.maximum(c.diagonal()[:m] * signal, tiny)
    return np.where(seen > 0, np.clip(beyond_noise, 0, 1) * np.clip(of_its_own, 0, 1), 0.0)
