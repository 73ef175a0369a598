"""What a fit by evidence takes for given, where the data say more of it than the evidence does."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from grnrep.core.als.assumed import Assumptions, units
from grnrep.core.als.learn import fit_evidence
from grnrep.core.choose.held_out import (
    Score,
    draw_held_out,
    has_signs,
    is_signed,
    of_genes,
    predict_by_signs,
    shares_of,
)
from grnrep.core.design import known_columns, without_known
from grnrep.core.load import constraints_of, effective_load
from grnrep.core.network import Network
from grnrep.core.progress import progress_bar
from grnrep.core.threads import side_by_side

TAU2 = (0.03, 0.3)  # variances of weights about prior signs that are tried
INFLATION = 3.0  # of noise that is tried beside none
MOST_FACTORS = 20  # free factors that are looked for
_TRIED_FACTORS = 10  # at most in the fits that are compared: enough to see whether any help
_CELLS_PER_REGULATOR = 10  # from which correlations of regulators are learned
_ITERATIONS, _TOL = 10, 1e-4  # of the fits that are compared: enough to rank them
_FEWEST_GENES = 40  # with fewer, programmes are not looked for
_MOST_CELLS = 1000  # to compare on: a prior that is right for few cells is too strong for many
_HELD_OUT = 200  # genes to predict, if there are as many
_HELD_OUT_OF_FACTORS = 60  # by fits with free factors, which take longest and differ most
_GAIN = 0.05  # rise of the correlation, as a share, that free factors have to bring
_GAIN_OF_INFLATION = 0.05  # and that an inflation of noise has to bring
_LOAD = 1.1  # effective load from which a fit is by evidence
_LOAD_WITH_SIGNS = 0.6  # where signs are given
_PER_WEIGHT = {"gaussian": 3, "tobit": 10}  # values that constrain, for every weight


class Chosen(NamedTuple):
    """Assumptions; ``signs_predict`` is False where prior signs were found to predict no better than chance."""

    assumptions: Assumptions
    signs_predict: bool = True


def is_determined(x: np.ndarray, network: Network, *, likelihood: str) -> bool:
    """Whether values constrain all parameters, so that the evidence can tell them from noise.

    Below an effective load of 1.1 variational posteriors take what is not determined for noise; with prior signs, which
    settle much of the activities, below 0.6. The noise of a gene asks for several values for every weight of it, and
    under a ReLU for ten, as what is below zeros is expected to have that noise too.
    """
    n_constraints = constraints_of(x, likelihood=likelihood)
    load = effective_load(
        n_constraints, len(x), n_regulators=network.n_regulators, n_edges=network.n_edges
    )
    enough = _LOAD_WITH_SIGNS if has_signs(network) else _LOAD
    return bool(load >= enough and n_constraints >= _PER_WEIGHT[likelihood] * network.n_edges)


def least_assumed(n_cells: int, network: Network, n_factors: int) -> Assumptions:
    """Those that take the least for given, with so many free factors at most."""
    # without signs, correlations of either sign fit noise
    many, signed = n_cells >= _CELLS_PER_REGULATOR * network.n_regulators, is_signed(network)
    return Assumptions(TAU2[-1] if signed else None, many and signed, n_factors=n_factors)


def choose_assumptions(
    x: np.ndarray,
    network: Network,
    *,
    likelihood: str = "gaussian",
    covariates: np.ndarray | None = None,
    n_factors: int | None = None,
    rng: int = 0,
    progress: bool = False,
) -> Chosen:
    """Choose what :func:`grnrep.core.als.learn.fit_evidence` takes for given.

    Where at least half of the edges have a sign, genes are held out, activities are learned from the others, and the
    held-out genes are predicted from the activities of their regulators with the prior signs as weights
    (:func:`grnrep.core.choose.held_out.held_out_score`). The weaker of two priors of weights is taken, unless the
    other one raises the correlation by more than two standard errors, gene by gene. Noise is inflated, with the prior
    of weights that is best then, if that raises it by more than 5 %: where genes share noise that no factor explains,
    activities follow it, as each gene counts for independent. Free factors are taken if they raise it by more than
    5 %: on real data they explain much of what regulators would, and activities are then worse. Without signs the
    evidence decides: those factors are kept that rise above chance, reach many genes and are determined by the data.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges.
    likelihood, covariates
        As in the fit.
    n_factors
        Number of free factors, if it is settled.
    rng
        Source of the choice of cells and genes, and of the fits' start.
    progress
        Whether to show a progress bar, of the fits that are compared.
    """
    signed = is_signed(network)
    # few genes say too little to choose by: there signs are most of what is known
    tau2s = TAU2 if has_signs(network) else TAU2[:1]
    settled = replace(least_assumed(len(x), network, n_factors or 0), exactly=n_factors is not None)
    most = MOST_FACTORS if n_factors is None and network.n_genes >= _FEWEST_GENES else 0
    if not signed or network.n_genes < _FEWEST_GENES:
        return Chosen(replace(settled, n_factors=most) if most else settled)
    cells, fold = draw_held_out(len(x), network, rng=rng, most=_MOST_CELLS)
    drawn = x[cells]
    of_cells = None if covariates is None else covariates[cells]
    plain = [replace(settled, tau2=tau2) for tau2 in tau2s]
    # the prior of weights that predicts best is another one where noise is inflated
    inflated = [replace(one, inflation=INFLATION) for one in plain] if has_signs(network) else []
    richer = replace(plain[-1], n_factors=min(most, _TRIED_FACTORS))
    n_folds = {one: _folds_for(_HELD_OUT, fold) for one in plain + inflated}
    if most:
        n_folds = {richer: _folds_for(_HELD_OUT_OF_FACTORS, fold)} | n_folds  # the longest first

    def in_fold(assumed: Assumptions, f: int) -> _Products:
        return _held_out(drawn, network, fold == f, assumed, likelihood, of_cells, rng)

    parts: dict[Assumptions, list[_Products]] = {one: [] for one in n_folds}
    tried = [(one, f) for one, n in n_folds.items() for f in range(n)]
    with (
        side_by_side(2) as each,
        progress_bar(progress, desc="choice", total=len(tried), unit="fit") as bar,
    ):
        for (one, _), part in zip(tried, each(in_fold, *zip(*tried, strict=True)), strict=True):
            parts[one].append(part)
            bar.update()
    shares = {one: _shares_of(of_one) for one, of_one in parts.items()}
    scores = {one: Score.of(of_one) for one, of_one in shares.items()}
    best = _weakest(plain, shares)
    if inflated and scores[best].above_chance:
        other = _weakest(inflated, shares)
        if scores[other].correlation > (1 + _GAIN_OF_INFLATION) * scores[best].correlation:
            best = other
    if most:
        same = (_shares_of(parts[one][: n_folds[richer]]) for one in plain + inflated)
        highest = max(Score.of(of_one).correlation for of_one in same)
        if scores[richer].correlation > (1 + _GAIN) * max(highest, 0.0):
            return Chosen(replace(richer, n_factors=most), scores[richer].above_chance)
    return Chosen(best, scores[best].above_chance)


def _folds_for(n_genes: int, fold: np.ndarray) -> int:
    """Folds that hold so many genes, or all."""
    n_folds = int(fold.max()) + 1
    return min(n_folds, -(-n_genes * n_folds // len(fold)))


def _weakest(tried: list[Assumptions], shares: dict[Assumptions, np.ndarray]) -> Assumptions:
    """The last, weakest prior, unless the strongest predicts the same genes better by more than chance."""
    gain = Score.of(shares[tried[0]] - shares[tried[-1]])
    return tried[0] if gain.above_chance else tried[-1]


class _Products(NamedTuple):
    """Σ_cells a b of every held-out gene, with predictions a and expression b; and Σ a² and Σ b² of all."""

    products: np.ndarray
    squares: np.ndarray


def _shares_of(folds: list[_Products]) -> np.ndarray:
    return shares_of([part.products for part in folds], np.sum([p.squares for p in folds], axis=0))


def _held_out(
    x: np.ndarray,
    network: Network,
    held_out: np.ndarray,
    assumed: Assumptions,
    likelihood: str,
    covariates: np.ndarray | None,
    rng: int,
) -> _Products:
    """Products of genes ``held_out`` (n_genes,) with their prediction, each in units of its spread."""
    known = torch.as_tensor(known_columns(len(x), intercept=True, covariates=covariates))
    others, test = of_genes(network, ~held_out), of_genes(network, held_out)
    fit = fit_evidence(
        x[:, ~held_out],
        others,
        likelihood=likelihood,
        covariates=covariates,
        assumptions=assumed,
        max_iter=_ITERATIONS,
        tol=_TOL,
        rng=rng,
        looks=1,
        settled=False,
    )
    values = torch.as_tensor(x[:, held_out].astype(np.float64))
    scaled = (values / units(values, centred=True)).numpy()
    predicted = predict_by_signs(fit.activity, test, scaled, likelihood=likelihood)
    a, b = (without_known(torch.as_tensor(part), known).numpy() for part in (predicted, scaled))
    return _Products((a * b).sum(0), np.array([(a * a).sum(), (b * b).sum()]))
