"""Repair of a prior network: drop the edges that the data reject, add those that they demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtr
from scipy.stats import false_discovery_control
from scipy.stats import t as student
from tqdm.auto import tqdm

from grnrep.core.als.fit import fit_decoder
from grnrep.core.network import Network
from grnrep.core.scores import EdgeScores, edge_scores

LEAST_LOAD = 2.0  # effective load below which additions explain the noise
_MAX_ROUNDS = 15
_ROUNDS_WITHOUT_ADDITIONS = 3  # the last ones, so that nothing new goes unchecked
_ADDITIONS_DONE = 0.02  # share of edges that change in a round, from which on edges are dropped too
_SETTLED = 1e-3  # share of edges that change in a round, at which the search ends
_MAX_ITER, _TOL, _RIDGE = 40, 3e-3, 1e-3  # of the fit of a round
_ADDED_A_ROUND = 5  # per gene: what one strong missing edge explains, others explain in part
_DOUBTFUL = 0.5  # probability of being false above which no edge is kept
_MEDIAN = 0.6744897501960817  # of the absolute value of a standard normal variable
# of the two groups of edges: share of false ones to start from and at most, smallest τ² as a share of the
# typical square, largest number of steps, and change of the share at which they end
_FALSE_SHARE, _MAX_FALSE_SHARE, _MIN_SPREAD = 0.3, 0.99, 1e-3
_EM_STEPS, _EM_TOL = 500, 1e-7
_UNDERFLOW = 1e-300  # below which a probability is not told from 0


@dataclass(frozen=True, eq=False)
class Repaired:
    """A network after repair, and what became of every edge of before or after.

    Parameters
    ----------
    network
        Edges kept and added; added ones have no sign.
    gene, regulator
        Edges of the prior network and added ones, sorted by gene, then regulator, ``(n,)``.
    prior, kept
        Which were in the prior network, and which are in ``network``, ``(n,)`` bool.
    weight, std_err
        In the scale of the last fit; of dropped edges what one step would give them. Standard errors are
        NaN where the gene is too rarely above zero to judge its edges, ``(n,)``.
    fdr
        Expected share of false edges among all prior ones kept, or all added, that are at least
        as convincing; NaN for dropped edges, ``(n,)``.
    start_weight
        Weights of ``network`` from which to go on, ``(n_edges,)``.
    """

    network: Network
    gene: np.ndarray
    regulator: np.ndarray
    prior: np.ndarray
    kept: np.ndarray
    weight: np.ndarray
    std_err: np.ndarray
    fdr: np.ndarray
    start_weight: np.ndarray


def repair_network(
    x: np.ndarray,
    network: Network,
    *,
    likelihood: str = "tobit",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    fdr: float = 0.05,
    rng: int = 0,
    device: str | None = None,
    progress: bool = False,
) -> Repaired:
    """Alternate short fits with additions and removals until the network stays as it is.

    Prior edges are dropped only once additions are mostly done: where edges are missing, activities
    are distorted, and true edges look weak.

    Edges are added where a score test demands them (:func:`grnrep.core.scores.edge_scores`; null
    distribution scaled to the bulk of all pairs, Benjamini-Hochberg), at most five a gene and round. They are
    dropped where the weight is more likely zero than drawn from that of the others, by the two groups of
    :func:`probability_false`; in a correct network that group is empty, and weak edges stay. Of the others
    the most doubtful go until the expected share of false ones is at most ``fdr``. An edge that cannot be
    judged is as doubtful as the prior network as a whole; of these, the largest weights stay.

    Both rates are those of noise that is independent between genes, and of one variance per gene. A factor
    outside the network looks like missing edges (with one, 156 of 309 additions were false); where noise
    grows with the mean, standard errors are wrong, and 30 to 118 of 540 true edges were dropped.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Prior edges.
    likelihood, intercept, covariates, rng, device
        As in :func:`grnrep.core.als.fit.fit_decoder`.
    fdr
        Share of false edges to accept among those added, and among those kept.
    progress
        Whether to show the rounds.
    """
    shape = (network.n_genes, network.n_regulators)
    prior, sign = np.zeros(shape, dtype=bool), np.zeros(shape)
    prior[network.gene, network.regulator] = True
    sign[network.gene, network.regulator] = network.sign
    current, start, dropping = network, None, False
    for n in tqdm(range(_MAX_ROUNDS), desc="repair", unit="round", disable=not progress):
        fit = fit_decoder(
            x,
            current,
            likelihood=likelihood,
            intercept=intercept,
            covariates=covariates,
            ridge=_RIDGE,
            max_iter=_MAX_ITER,
            tol=_TOL,
            rng=rng,
            device=device,
            start=start,
        )
        scores = edge_scores(x, fit, current, likelihood=likelihood)
        weight, std_err = _estimates(scores, current)
        error = _error_rates(weight, std_err, scores.dof, prior)
        inside = np.zeros(shape, dtype=bool)
        inside[current.gene, current.regulator] = True
        convincing = (error.false <= _DOUBTFUL) & (error.rate <= fdr)
        kept = inside & convincing
        chosen = kept if dropping else kept | (inside & prior)
        if n < _MAX_ROUNDS - _ROUNDS_WITHOUT_ADDITIONS:
            chosen = chosen | _strongest(~inside & convincing, np.abs(scores.add))
        changes = (chosen != inside).sum()
        if dropping and changes <= _SETTLED * inside.sum():
            break
        dropping |= changes <= _ADDITIONS_DONE * inside.sum() or n + 1 >= _MAX_ROUNDS // 3
        gene, regulator = np.nonzero(chosen)
        current = Network.from_edges(gene, regulator, sign[gene, regulator], *shape)
        start = np.where(inside, weight, 0.0)[gene, regulator]
    return _report(kept, prior, sign, weight, std_err, error.rate)


class _Errors(NamedTuple):
    """Per gene and regulator: probability that an edge inside the network is false, and error rates."""

    false: np.ndarray
    rate: np.ndarray


def _error_rates(
    weight: np.ndarray, std_err: np.ndarray, dof: np.ndarray, prior: np.ndarray
) -> _Errors:
    """Prior edges by two groups, all other pairs by their t statistics, whether in the network now or not."""
    t = np.divide(np.abs(weight), std_err, out=np.zeros(prior.shape), where=std_err > 0)
    dof = np.broadcast_to(dof[:, None], prior.shape)
    # most pairs are no edges: their median says how much wider than by theory the null distribution is
    others = t[~prior & (std_err > 0)]
    width = max(1.0, float(np.median(others)) / _MEDIAN) if others.size else 1.0
    false, rate = np.zeros(prior.shape), np.ones(prior.shape)

    # prior edges, in units of the typical weight of their regulator
    mean_square = (weight**2 * prior).sum(0) / np.maximum(1, prior.sum(0))
    typical = np.sqrt(np.where(mean_square > 0, mean_square, 1.0))
    size = np.broadcast_to(typical, prior.shape)[prior]
    uncertain = width * std_err[prior] * tail_factor(t[prior], dof[prior])
    false[prior] = p = probability_false(weight[prior] / size, uncertain / size)
    # expected share of false ones among all that are as convincing: the mean of their probabilities
    order, running = np.lexsort((-np.abs(weight[prior] / size), p)), np.empty(len(p))
    running[order] = np.cumsum(p[order]) / np.arange(1, len(p) + 1)
    rate[prior] = running

    if not prior.all():
        tail = 2 * student.sf(t[~prior] / width, dof[~prior])
        rate[~prior] = false_discovery_control(np.clip(tail, _UNDERFLOW, 1.0))
    return _Errors(false, rate)


def tail_factor(t: np.ndarray, dof: np.ndarray) -> np.ndarray:
    """How many times smaller than ``t``, of Student's distribution, the normal variable is that is as far out."""
    normal = -ndtri(np.maximum(stdtr(dof, -t), _UNDERFLOW))
    return np.divide(t, normal, out=np.ones(t.shape), where=normal > 1e-6)


def _estimates(scores: EdgeScores, network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Weight and standard error of every pair: as fitted, or what one step would give it."""
    weight, std_err = scores.weight.copy(), np.full(scores.add.shape, np.nan)
    np.divide(weight, scores.add, out=std_err, where=scores.add != 0)
    weight[network.gene, network.regulator] = scores.refined
    std_err[network.gene, network.regulator] = scores.std_err
    return weight, std_err


def probability_false(weight: np.ndarray, std_err: np.ndarray) -> np.ndarray:
    """Probability that the true weight of an edge is zero, from two groups of edges.

    Weights of false edges are N(0, se²), of true ones N(0, τ² + se²); the share of false ones
    and τ are shared by all, and found by expectation maximisation (after Efron 2008, Microarrays,
    empirical Bayes and the two-groups model). Where the network is right the share goes to
    zero, and weak edges stay.

    Parameters
    ----------
    weight, std_err
        Estimates, ``(n,)``. An edge without a standard error is as likely to be false as any other;
        where none has one, all are taken to be true.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.repair import probability_false
    >>> rng = np.random.default_rng(0)
    >>> true = np.r_[np.zeros(400), rng.normal(size=600)]
    >>> p = probability_false(true + 0.1 * rng.normal(size=1000), np.full(1000, 0.1))
    >>> bool(abs(p.mean() - 0.4) < 0.05)
    True
    """
    judged = np.isfinite(std_err) & (std_err > 0)
    if not judged.any():
        return np.zeros(len(weight))
    w2, se2 = weight[judged] ** 2, std_err[judged] ** 2
    precision = 1 / (w2 + se2)
    typical = float((w2 * precision).sum() / precision.sum()) or 1.0
    share, tau2 = _FALSE_SHARE, typical
    for _ in range(_EM_STEPS):
        # expectation: odds of N(w; 0, se²) against N(w; 0, τ² + se²), times those of the groups
        odds = np.sqrt((tau2 + se2) / se2) * np.exp(-w2 * tau2 / (2 * se2 * (tau2 + se2)))
        odds *= share / (1 - share)
        p, previous = odds / (1 + odds), share
        # maximisation: the expected square of a true weight is shrunk² w² + shrunk se²
        share = min(float(p.mean()), _MAX_FALSE_SHARE)
        n_true = max(float((1 - p).sum()), 1e-9)
        shrunk = tau2 / (tau2 + se2)
        squares = float(((1 - p) * shrunk * (shrunk * w2 + se2)).sum())
        tau2 = max(squares / n_true, _MIN_SPREAD * typical)
        if abs(share - previous) < _EM_TOL:
            break
    out = np.full(len(weight), share)
    out[judged] = p
    return out


def _strongest(candidate: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The candidates with the largest values of every row, as many as are added in a round."""
    value = np.where(candidate, value, 0.0)
    n = min(_ADDED_A_ROUND, value.shape[1])
    least = np.partition(value, -n, axis=1)[:, -n, None]
    return candidate & (value >= least)


def _report(
    kept: np.ndarray,
    prior: np.ndarray,
    sign: np.ndarray,
    weight: np.ndarray,
    std_err: np.ndarray,
    rate: np.ndarray,
) -> Repaired:
    """Edges before or after, from what is known of every pair, (n_genes, n_regulators) each."""
    after = np.nonzero(kept)
    network = Network.from_edges(after[0], after[1], sign[after], *kept.shape)
    edges = np.nonzero(prior | kept)
    return Repaired(
        network=network,
        gene=edges[0],
        regulator=edges[1],
        prior=prior[edges],
        kept=kept[edges],
        weight=weight[edges],
        std_err=std_err[edges],
        fdr=np.where(kept[edges], rate[edges], np.nan),
        start_weight=weight[after],
    )
