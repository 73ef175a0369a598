"""Alternating closed-form solver: cells given decoder, decoder given cells, accelerated.

Minimises, over edge weights w, intercepts b and representations z,

    Σ_k Σ_i residual(x_ki, p_ki)² + λ_z ‖z‖² + λ_w ‖w - s‖²,   p = W z + b,

where the residual of a censored zero is max(p, 0) (see :mod:`grnrep.core.likelihoods.gaussian`) and
s is the prior sign of an edge if weights are to be shrunk to it, else 0.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from grnrep.core.als.cells import project_cells
from grnrep.core.als.loop import Problem, State, alternate, check_finite
from grnrep.core.als.penalty import Penalty
from grnrep.core.als.project import cuts, projector
from grnrep.core.als.start import start_weights
from grnrep.core.design import (
    known_columns,
    regress,
    split_rows,
    split_weights,
    unconfound,
    without_known,
)
from grnrep.core.fitted import Fit
from grnrep.core.interrupted import Interrupted
from grnrep.core.likelihoods.gaussian import Observed, check_link, squared_sum
from grnrep.core.network import Network, with_known_columns
from grnrep.core.posterior.freedom import noise_variance
from grnrep.core.threads import side_by_side

_LOW_LOAD = 1.5  # effective load below which shrinkage is graduated
# ridges of the stages, each with so many iterations and this tolerance:
_STAGES = (0.1, 0.01, 1e-3)
_STAGE = {"max_iter": 30, "tol": 1e-2}


def fit_exact(
    x: np.ndarray,
    network: Network,
    *,
    link: str = "relu",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    ridge: float = 1e-4,
    prior: float = 0.0,
    shared: bool = False,
    max_iter: int = 1000,
    tol: float = 1e-3,
    rng: int | np.random.Generator = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
    start: np.ndarray | None = None,
    without: np.ndarray | None = None,
) -> Fit:
    """Learn decoder and representations together by accelerated alternation.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes). Its precision is that of the products;
        the systems are always solved in float64.
    network
        Edges. Known signs are where the search starts.
    link
        "relu" (zeros are censored) or "identity".
    intercept
        Whether every gene has an intercept.
    covariates
        Known columns of the representation, (n_cells, n_covariates), with a free weight on every
        gene. What they can explain of an activity counts as theirs (:func:`grnrep.core.design.unconfound`).
    ridge
        λ_z as a share of the typical diagonal of W'W. Of regulators that are not
        shrunk to prior signs also λ_w, as a share of the same diagonal of Z'Z.
    prior
        λ_w of regulators with prior signs, as a share of the typical ‖z_j‖²: at 0
        weights are free, at 1 the prior ±1 counts as much as the data. This fixes
        the scale of these regulators too.
    shared
        Whether a gene's regulators share its variance: weights are then drawn to ±1 / sqrt(number of
        regulators of the gene).
    max_iter
        Limit of iterations.
    tol
        Stop when the objective fell by less than this share over the last 10 iterations. At the
        default, correlations with the truth are within 0.0005 of their limit.
    rng
        Source of the draws that the start is made from.
    device
        Where to compute; the CPU by default.
    progress
        Whether to show a progress bar.
    start
        Start weights, ``(n_edges,)``; by default those of :func:`grnrep.core.als.start.start_weights`,
        and where the effective load is below 1.5 and weights are free, those of fits with
        stronger ridges, one from the other. Without these, one fit in ten or so near load 1
        ends in a worse optimum, with regulators in each other's place.
    without
        Values to leave out, (n_cells, n_genes) bool; what they are sets the unit of the
        penalties, and where the search starts, but nothing else.

    Returns
    -------
    Fit
        With ‖w_j‖ = ‖z_j‖ for every regulator that was not shrunk to prior signs, and
        arbitrary signs where no priors led; see :func:`grnrep.core.signs.orient`.

    Raises
    ------
    Interrupted
        At Ctrl-C, with the fit so far.
    """
    check_link(link)
    x = torch.as_tensor(x, device=device)
    m = network.n_regulators
    known = torch.as_tensor(
        known_columns(len(x), intercept=intercept, covariates=covariates), device=x.device
    )
    full = with_known_columns(network, known.shape[1])
    free = full.regulator < m
    with side_by_side(len(cuts(x))) as each:
        sum_squares = float(squared_sum(x))
        check_finite(sum_squares, [])  # the objective where nothing is explained
        rest = without_known(x, known) if known.shape[1] else x
        energy = float(squared_sum(rest))
        sums = {"sum_squares": sum_squares, "energy": energy, "n_cells": len(x)}
        build = partial(Penalty.build, full, m, **sums, prior=prior, shared=shared)
        blocks = _blocks(x, link, without)
        rows = split_rows(known, [block.x for block in blocks])
        problem = Problem(blocks, rows, full, m, build(ridge=ridge).to(x.device), each)
        weight = np.zeros(full.n_edges)
        seen = blocks if covariates is None else _blocks(rest, "identity")
        weight[free] = _first_weight(problem, seen, network, rng) if start is None else start
        if covariates is not None:  # else activities would start with a share of them
            first = regress(x, known)
            first[: int(intercept)] = 0
            weight[~free] = first.mT.cpu().numpy().ravel()
        state = problem.begin(torch.as_tensor(weight, device=x.device))
        try:
            with tqdm(desc="exact", total=max_iter, disable=not progress) as bar:
                run = partial(alternate, problem, sum_squares=sum_squares, bar=bar)
                if (
                    start is None
                    and prior == 0
                    and _n_constraints(x, link) < _LOW_LOAD * (full.n_edges + len(x) * m)
                ):
                    for stage in _STAGES:
                        if stage > ridge:
                            problem.penalty = build(ridge=stage).to(x.device)
                            state, *_ = run(state, **_STAGE)
                    problem.penalty = build(ridge=ridge).to(x.device)
                state, history, converged = run(state, max_iter=max_iter, tol=tol)
        except Interrupted as stop:
            so_far = stop.so_far
            stop.so_far = Fit(
                **split_weights(so_far.weight.cpu().numpy(), full, m, intercept=intercept),
                activity=torch.cat(so_far.z, dim=1)[:m].mT.double().cpu().numpy(),
                covariates=covariates,
                ridge=problem.penalty.z[:m].cpu().numpy(),
                censored=link == "relu",
                converged=False,
            )
            raise
        if covariates is not None:
            matrix = problem.pattern.matrix(state.weight)
            state = State(*unconfound(state.z, state.weight, matrix, full, m, intercept=intercept))
        solver = projector(problem.pattern, state.weight.to(x), m, problem.penalty.z[:m], link)
        z = list(each(partial(project_cells, solver, max_iter=max_iter), problem.blocks, state.z))
        error = sum(
            squared_sum(solver.residual(*pair)) for pair in zip(problem.blocks, z, strict=True)
        )
        noise = noise_variance(problem, solver, z, float(error)) if without is None else None
    return Fit(
        **split_weights(state.weight.cpu().numpy(), full, m, intercept=intercept),
        covariates=covariates,
        activity=torch.cat(z, dim=1)[:m].mT.double().cpu().numpy(),
        ridge=problem.penalty.z[:m].cpu().numpy(),
        squared_error=float(error),
        noise_variance=noise,
        censored=link == "relu",
        history=history,
        converged=converged,
    )


def _n_constraints(x: Tensor, link: str) -> int:
    """Entries that are not censored."""
    return int(torch.count_nonzero(x > 0)) if link == "relu" else x.numel()


def _blocks(x: Tensor, link: str, without: np.ndarray | None = None) -> list[Observed]:
    """Blocks of cells, (n_genes, cells) each."""
    parts = cuts(x)
    if without is None:
        return [Observed.of(x[cut].mT.contiguous(), link) for cut in parts]
    out = torch.as_tensor(without, device=x.device)
    return [Observed.of(x[cut].mT.contiguous(), link, out[cut].mT.contiguous()) for cut in parts]


def _first_weight(
    problem: Problem, blocks: list[Observed], network: Network, rng: int | np.random.Generator
) -> np.ndarray:
    """Prior signs where weights are shrunk to them, elsewhere principal components, balanced."""
    draw = start_weights([block.x for block in blocks], network, rng).cpu().numpy()
    column = network.regulator
    # a component has either sign; edges without a prior sign must not start against those with one
    agree = np.bincount(column, weights=draw * network.sign, minlength=network.n_regulators)
    draw *= np.where(agree < 0, -1.0, 1.0)[column]
    anchor = problem.penalty.anchor.cpu().numpy()[problem.network.regulator < network.n_regulators]
    balanced = problem.penalty.balanced.cpu().numpy()[column]
    unit = problem.penalty.unit / network.targets_per_regulator()[column]
    return np.where(balanced, draw * np.sqrt(unit), np.where(anchor != 0, anchor, 0.1 * draw))
