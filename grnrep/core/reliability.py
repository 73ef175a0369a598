"""How much of an inferred activity is the true one: what the genes of a cell tell, and what censored zeros do."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.learn import fit_evidence
from grnrep.core.als.project import project
from grnrep.core.design import full_network, prior_precision
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.linalg import inverse_spd
from grnrep.core.network import Network
from grnrep.core.normal_tail import below_and_above

_NODES = 61  # of the Gauss-Hermite rule over predictions: right to 2e-3 where they spread 5 times as much as noise
_SHARE = 5  # one cell in so many is held out, to be told as new cells are
# in which a decoder forgets them: first some, then more where they keep less than this share
_ITERATIONS, _ALL = (5, 15), 0.98


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
    out[some] = (information(u) * (mass / mass.sum())).sum(1)
    return out


class _Told(NamedTuple):
    """What a decoder tells of the activity of every regulator, ``(m,)`` each.

    Parameters
    ----------
    noise
        Variance that noise gives inferred activities.
    own
        Share of the rest of their variance that is the regulator's own, not that of others.
    """

    noise: np.ndarray
    own: np.ndarray


def reliability(
    fit: Fit, network: Network, share_zero: np.ndarray, *, kept: float = 1.0
) -> np.ndarray:
    r"""Squared correlation to be expected of inferred and true activities, if weights and noise are right.

    With genes of noise ψ and information ι (:func:`expected_information`), G = W' diag(ι/ψ) W and the precision P by
    which activities are inferred, :math:`\bar z = A z + e` with

    .. math:: S = (G + P)^{-1}, \quad A = S G, \quad \mathrm{Cov}(e) = N = A S

    (by the inflation of noise, of a fit that has one: what genes share beyond the network counts as signal). Were the
    prior covariance C certain, it would be :math:`(AC)_{jj}^2 / (C_{jj} (A C A^\top + N)_{jj})`. Learned from few or
    noisy values, C is too small, by orders of magnitude where single cells tell little, since means of weights and
    activities are shrunk each for what the other leaves open; its shape counts, its size does not. So noise is taken
    off the variance that activities are seen to have,

    .. math:: \Big(1 - \frac{N_{jj}}{q\, \mathrm{Var} \bar z_j}\Big)
        \frac{(AC)_{jj}^2}{C_{jj} (A C A^\top)_{jj}},

    and the second factor is the share of the rest that is the regulator's own, not that of others. Both are the same
    where q Var z̄ is A C A' + N. The share q of their variance, in units of noise, is what activities would keep if
    weights had not followed the noise of these very cells (:func:`kept_by_new_cells`).

    Parameters
    ----------
    fit
        By evidence, with the activities of cells.
    network
        Edges.
    share_zero
        Share of zeros of every gene, ``(n_genes,)``; they count under a ReLU.
    kept
        q; 1 where the decoder was not learned from these cells.

    Returns
    -------
    ``(n_regulators,)``, from 0 to 1; 0 where activities do not vary.
    """
    noise, own = _told(fit, network, _informed(fit, network, share_zero))
    seen = kept * _variance(fit.activity)
    beyond_noise = 1 - noise / np.maximum(seen, np.finfo(np.float64).tiny)
    return np.where(seen > 0, np.clip(beyond_noise, 0, 1) * own, 0.0)


def kept_by_new_cells(
    fit: Fit,
    x: np.ndarray,
    network: Network,
    assumptions: Assumptions,
    *,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> float:
    """Share of Var z̄ / N that cells keep which the decoder was not learned from; at most 1.

    Weights follow the noise of the cells that they are learned from, and activities of these cells vary the more for
    it. So a fifth of the cells is held out, the decoder goes on to learn from the others until it has forgotten them,
    and they are inferred as new cells are: the median over regulators, beside the same cells under the decoder that
    knew them, whose truth varies as much.

    Parameters
    ----------
    fit
        By evidence, of the cells ``x``.
    x
        Expression, (n_cells, n_genes).
    network, assumptions
        As in the fit.
    device
        Where to compute; the CPU by default.
    progress
        Whether to show a progress bar.

    Returns
    -------
    1 where there are too few cells to hold any out.

    Raises
    ------
    KeyboardInterrupt
        At Ctrl-C.
    """
    # by their size, so that cells in another order, or genes in other units, are the same
    order = np.argsort(np.square(fit.activity).sum(1), kind="stable")
    held_out = np.zeros(len(x), dtype=bool)
    held_out[order[_SHARE // 2 :: _SHARE]] = True
    if held_out.sum() < 2:
        return 1.0
    others, new = _of_cells(fit, ~held_out), _of_cells(fit, held_out)
    informed = _informed(fit, network, (x == 0).mean(0))  # hardly another one with a few cells less
    before = _seen_by_noise(new, network, informed)
    learned, kept = others, 1.0
    for n_iterations in _ITERATIONS:
        try:
            learned = fit_evidence(
                x[~held_out],
                network,
                likelihood=fit.likelihood.name,
                intercept=fit.bias is not None,
                covariates=others.covariates,
                # the free factors are those of the start
                assumptions=replace(assumptions, n_factors=0, exactly=True),
                max_iter=n_iterations,
                tol=0.0,
                device=device,
                progress=progress,
                start=learned,
                settled=False,
            )
        except Interrupted as stop:  # with a decoder of other cells
            raise KeyboardInterrupt from stop
        activity = project(x[held_out], learned, network, covariates=new.covariates, device=device)
        after = _seen_by_noise(replace(learned, activity=activity), network, informed)
        varies = (before > 0) & (after > 0)
        if varies.any():
            kept = float(np.clip(np.median(after[varies] / before[varies]), 0, 1))
        if kept >= _ALL:
            break
    return kept


def _seen_by_noise(fit: Fit, network: Network, informed: np.ndarray) -> np.ndarray:
    """Var z̄ / N of every regulator, ``(m,)``; 0 where noise gives no variance."""
    noise = _told(fit, network, informed).noise
    return np.divide(_variance(fit.activity), noise, out=np.zeros_like(noise), where=noise > 0)


def _of_cells(fit: Fit, some: np.ndarray) -> Fit:
    """The fit with some of its cells."""
    factors, covariates = fit.factors, fit.covariates
    return replace(
        fit,
        activity=fit.activity[some],
        factors=None if factors is None else factors[some],
        covariates=None if covariates is None else covariates[some],
    )


def _variance(activity: np.ndarray) -> np.ndarray:
    """Of every regulator over cells, ``(m,)``."""
    return activity.var(0, ddof=1) if len(activity) > 1 else np.zeros(activity.shape[1])


def _informed(fit: Fit, network: Network, share_zero: np.ndarray) -> np.ndarray:
    """ι of every gene, ``(n_genes,)``."""
    if fit.likelihood.zeros_are_values:
        return np.ones(network.n_genes)
    w, c = _weights_and_covariance(fit, network)
    spread = ((w @ c) * w).sum(1).sqrt().numpy()
    return expected_information(share_zero, spread, fit.likelihood.arrays()["noise_sd"])


def _told(fit: Fit, network: Network, informed: np.ndarray) -> _Told:
    """N_jj and the regulator's own share, as in :func:`reliability`, with ι of every gene."""
    m, (w, c) = network.n_regulators, _weights_and_covariance(fit, network)
    gram = (w * torch.as_tensor(informed / fit.noise())[:, None]).mT @ w
    s = inverse_spd(gram + prior_precision(fit, network), torch.float64)
    a = s @ gram
    # noise scatters by its own variance, whatever fits inflate it to
    noise = ((a @ s).diagonal()[:m] / fit.inflation).numpy()
    own = (a @ c).diagonal()[:m].numpy()
    signal = (a @ c @ a.mT).diagonal()[:m]
    of_all = (c.diagonal()[:m] * signal).clamp(min=np.finfo(np.float64).tiny).numpy()
    return _Told(noise, np.clip(own**2 / of_all, 0, 1))


def _weights_and_covariance(fit: Fit, network: Network) -> tuple[Tensor, Tensor]:
    """W (n_genes, m) and C (m, m) of regulators and free factors, in float64."""
    m, n_free = network.n_regulators, network.n_regulators + fit.n_factors
    full, weight = full_network(network, fit)
    free = full.regulator < n_free
    w = np.zeros((full.n_genes, n_free))
    w[full.gene[free], full.regulator[free]] = weight[free]
    c = torch.eye(n_free, dtype=torch.float64)
    c[:m, :m] = torch.as_tensor(fit.covariance)
    return torch.from_numpy(w), c
