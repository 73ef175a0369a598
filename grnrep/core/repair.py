"""Repair of a prior network: drop the edges that the data reject, add those that they demand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from grnrep.core.als.learn import fit_evidence
from grnrep.core.choose.assumptions import MOST_FACTORS, least_assumed
from grnrep.core.error_rates import error_rates
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.progress import progress_bar
from grnrep.core.scores import edge_scores

LEAST_LOAD = 2.0  # effective load below which additions explain the noise
_MAX_ROUNDS = 15
_ROUNDS_WITHOUT_ADDITIONS = 3  # the last ones, so that nothing new goes unchecked
_ADDITIONS_DONE = 0.02  # share of edges that change in a round, from which on edges are dropped too
_SETTLED = 1e-3  # share of edges that change in a round, at which the search ends
_MAX_ITER, _TOL = 40, 1e-4  # of the fit of a round
_ADDED_A_ROUND = 5  # per gene: what one strong missing edge explains, others explain in part
_DOUBTFUL = 0.5  # probability of being false above which no edge is kept


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
    covariates: np.ndarray | None = None,
    fdr: float = 0.05,
    rng: int = 0,
    device: str | None = None,
    progress: bool = False,
) -> Repaired:
    """Alternate short fits with additions and removals until the network stays as it is.

    Fits are those by evidence, with noise of every gene, and free factors, which take what moves many genes together
    and is not in the network, and with intercepts, since what a missing edge adds to the mean of a gene any regulator
    would explain. Prior edges are dropped only once additions are mostly done: where edges are missing,
    activities are distorted, and true edges look weak.

    Edges are added where a test demands them (:func:`grnrep.core.scores.edge_scores`) beyond the null distribution of
    their regulator (:func:`grnrep.core.error_rates.null_widths`; Benjamini-Hochberg), at most five a gene and round.
    They are dropped where the weight is more likely zero than drawn from those of the others, by
    :func:`grnrep.core.error_rates.probability_false`; in a correct network none is, and weak edges stay. Of the
    others the most doubtful go until the expected share of false ones is at most ``fdr``. An edge that cannot be
    judged is as doubtful as the prior network as a whole; of these, the largest weights stay.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Prior edges.
    likelihood, covariates, rng, device
        As in :func:`grnrep.core.als.learn.fit_evidence`.
    fdr
        Share of false edges to accept among those added, and among those kept.
    progress
        Whether to show the rounds.
    """
    shape = (network.n_genes, network.n_regulators)
    prior, sign, magnitude = np.zeros(shape, dtype=bool), np.zeros(shape), np.ones(shape)
    prior[network.gene, network.regulator] = True
    sign[network.gene, network.regulator] = network.sign
    magnitude[network.gene, network.regulator] = network.magnitude

    def network_of(chosen: np.ndarray) -> Network:
        """The edges chosen of all pairs; added ones have no sign."""
        gene, regulator = edges = np.nonzero(chosen)
        return Network.from_edges(gene, regulator, sign[edges], *shape, magnitude=magnitude[edges])

    assumed = least_assumed(len(x), network, n_factors=MOST_FACTORS)
    current, start, dropping, look = network, None, False, True
    for n in progress_bar(progress, range(_MAX_ROUNDS), desc="repair", unit="round"):
        if start is not None and not look:
            assumed = replace(assumed, n_factors=start.n_factors)  # fewer, where edges explain them
        fit = fit_evidence(
            x,
            current,
            likelihood=likelihood,
            covariates=covariates,
            assumptions=assumed,
            max_iter=_MAX_ITER,
            tol=_TOL,
            rng=rng,
            device=device,
            start=start,
        )
        scores = edge_scores(x, fit, current)
        inside = np.zeros(shape, dtype=bool)
        inside[current.gene, current.regulator] = True
        error = error_rates(scores, prior, inside)
        convincing = (error.false <= _DOUBTFUL) & (error.rate <= fdr)
        kept = inside & convincing
        chosen = kept if dropping else kept | (inside & prior)
        if n < _MAX_ROUNDS - _ROUNDS_WITHOUT_ADDITIONS:
            chosen = chosen | _strongest(~inside & convincing, np.abs(scores.t()))
        changes = (chosen != inside).sum()
        if dropping and changes <= _SETTLED * inside.sum():
            break
        settling = changes <= _ADDITIONS_DONE * inside.sum() or n + 1 >= _MAX_ROUNDS // 3
        # missing edges are programmes too, and hide others: factors are looked for again without them
        look, dropping = settling and not dropping, dropping or settling
        assumed = replace(assumed, n_factors=MOST_FACTORS) if look else assumed
        following = network_of(chosen)
        current, start = following, _carried(fit, current, following, scores.weight)
    return _report(network_of(kept), kept, prior, scores.weight, scores.std_err, error.rate)


def _carried(fit: Fit, network: Network, following: Network, weight: np.ndarray) -> Fit:
    """A fit to go on from with the edges of ``following``; weights of those that are new from ``weight``."""
    start = weight.copy()
    start[network.gene, network.regulator] = fit.weight
    edges = following.gene, following.regulator
    return replace(fit, weight=start[edges], weight_sd=np.zeros(following.n_edges))


def _strongest(candidate: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The candidates with the largest values of every row, as many as are added in a round."""
    value = np.where(candidate, value, 0.0)
    n = min(_ADDED_A_ROUND, value.shape[1])
    least = np.partition(value, -n, axis=1)[:, -n, None]
    return candidate & (value >= least)


def _report(
    network: Network,
    kept: np.ndarray,
    prior: np.ndarray,
    weight: np.ndarray,
    std_err: np.ndarray,
    rate: np.ndarray,
) -> Repaired:
    """Edges before or after, from what is known of every pair, (n_genes, n_regulators) each."""
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
        start_weight=weight[network.gene, network.regulator],
    )
