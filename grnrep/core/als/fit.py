"""A fit: decoder and representations learned together, by alternating steps that are accelerated.

Minimises, over edge weights w, intercepts b, effects of covariates and representations z,

    Σ_k Σ_i ℓ(x_ki, p_ki) + λ_z ‖z‖² + λ_w ‖w - a‖²,   p = W z + b,

with the loss ℓ of a likelihood (:mod:`grnrep.core.likelihoods`); a is the prior sign of an edge if weights are to be
shrunk to it, else 0.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.active import ActiveSolver
from grnrep.core.als.cells import MAX_ITER, TOL, CellSolver, project_cells
from grnrep.core.als.data import Data, Penalty, cuts
from grnrep.core.als.loop import alternate, check_finite
from grnrep.core.als.newton import NewtonCells
from grnrep.core.als.problem import Problem, State
from grnrep.core.als.start import first_weights
from grnrep.core.design import full_network, split_rows, split_weights, unconfound
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.likelihoods.gaussian import squared_sum
from grnrep.core.network import Network, with_known_columns
from grnrep.core.posterior.freedom import count_seen, residual_freedom
from grnrep.core.progress import end_bar, progress_bar
from grnrep.core.threads import side_by_side

# ridges of the stages, each with so many iterations and this tolerance:
_STAGES = (0.1, 0.01, 1e-3)
_STAGE_ITERATIONS, _STAGE_TOL = 30, 1e-2
_WINDOW = 10  # iterations over which the stopping rule looks back
_COUNTED = (
    1.0  # degrees of freedom left, by parameters, from which counting parameters is good enough
)
_NEWTON_WINDOW = 5  # the same, where curvatures change: a step then does more
_ACTIVE_WINDOW = 3  # the same, by the curvature of entries with a residual: as much in a step as in three or four
_COMPARED_WINDOW = 2  # the same, of fits that are but to be ranked


def fit_decoder(
    x: np.ndarray,
    network: Network,
    *,
    likelihood: str = "tobit",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    size_factors: np.ndarray | None = None,
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
    compared: bool = False,
) -> Fit:
    """Learn decoder and representations together by accelerated alternation.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes). Its precision is that of the products, of counts at least float32;
        the systems are always solved in float64.
    network
        Edges. Known signs are where the search starts.
    likelihood
        One of :data:`grnrep.core.likelihoods.LIKELIHOODS`.
    intercept
        Whether every gene has an intercept.
    covariates
        Known columns of the representation, (n_cells, n_covariates), with a free weight on every
        gene. What they can explain of an activity counts as theirs (:func:`grnrep.core.design.unconfound`).
    size_factors
        Of counts, ``(n_cells,)`` above 0; by default total counts over their median. A total does not tell a
        deep cell from one in which all regulators are more active: activities are relative to the expression of
        the cell as a whole.
    ridge
        λ_z as a share of the typical diagonal of W'W. Of regulators that are not
        shrunk to prior signs also λ_w, as a share of the same diagonal of Z'Z. Where entries differ in
        curvature, in the unit of p in which the average curvature is 1.
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
        Stop when the objective fell by less than this share over the last 10 iterations, or 5 where curvatures
        change on the way. At the default, correlations with the truth are within 0.0005 of their limit.
    rng
        Source of the draws that the start is made from.
    device
        Where to compute; the CPU by default.
    progress
        Whether to show a progress bar.
    start
        Start weights, ``(n_edges,)``. By default those of :func:`grnrep.core.als.start.first_weights`,
        and where the effective load is below 1.5 and weights are free, those of fits with
        stronger ridges, one from the other. Without these, one fit in ten or so near load 1
        ends in a worse optimum, with regulators in each other's place. Likelihoods whose curvature changes
        start from a fit to their working values.
    without
        Values to leave out, (n_cells, n_genes) bool; what they are sets the unit of the
        penalties, and where the search starts, but nothing else. Of squared error only.
    compared
        Whether the fit is but to be compared with others by what it predicts: the search ends a little earlier,
        activities are found in ``max_iter`` steps at most, and the variance of noise is not told.

    Returns
    -------
    Fit
        With ‖w_j‖ = ‖z_j‖ for every regulator that was not shrunk to prior signs, and
        arbitrary signs where no priors led; see :func:`grnrep.core.signs.orient`. Activities of counts are in the
        unit of counts at size factor 1.

    Raises
    ------
    ValueError
        If there is no such likelihood, or size factors are not positive numbers, one a cell.
    Interrupted
        At Ctrl-C, with the fit so far.
    """
    data = Data.of(x, likelihood, size_factors, intercept, covariates, device)
    m, full = network.n_regulators, with_known_columns(network, data.known.shape[1])
    same_curvature = data.likelihood.constant_curvature

    def penalty(ridge: float) -> Penalty:
        return Penalty.of(
            full, m, data.scale, ridge=ridge, prior=prior, shared=shared, device=data.x.device
        )

    with (
        side_by_side(len(cuts(data.x))) as each,
        progress_bar(progress, desc=likelihood, total=max_iter) as bar,
    ):
        check_finite(data.scale.squares, [])  # the objective where nothing is explained
        blocks = data.blocks(without, each)
        known = split_rows(data.known, [block.x for block in blocks])
        of_fit, member, active = penalty(ridge), data.likelihood.to(data.x), None
        if same_curvature and not member.zeros_are_values and prior > 0:
            active = ActiveSolver.of(full, m, of_fit, data.x, lags=covariates is None)
        problem = Problem(blocks, known, full, m, of_fit, member, each, active=active)
        window = _WINDOW if same_curvature else _NEWTON_WINDOW
        if active is not None:
            window = _COMPARED_WINDOW if compared else _ACTIVE_WINDOW
        run = partial(alternate, problem, window=window)
        if start is None and not same_curvature:
            weight = _first_fit(data, network, ridge=ridge, prior=prior, rng=rng, progress=progress)
        else:
            weight = first_weights(problem, data, network, rng, start)
        state = problem.begin(torch.as_tensor(weight, device=data.x.device))
        try:
            if start is None and prior == 0 and data.is_open(full.n_edges + len(data.x) * m):
                for stage in _STAGES:
                    if stage > ridge:
                        problem.penalty = penalty(stage)
                        state, *_ = run(state, max_iter=_STAGE_ITERATIONS, tol=_STAGE_TOL, bar=bar)
                problem.penalty = penalty(ridge)
            if data.likelihood.warm_up:
                state, *_ = run(state, max_iter=data.likelihood.warm_up, tol=tol)
                data = _estimated(data, problem, state)
                problem.likelihood = data.likelihood.to(data.x)
            state, history, converged = run(state, max_iter=max_iter, tol=tol, bar=bar)
            end_bar(bar, converged=converged)
        except Interrupted as stop:
            stop.so_far = _fit_of(data, problem, stop.so_far)
            raise
        if covariates is not None:
            matrix = problem.pattern.matrix(state.weight)
            state = State(*unconfound(state.z, state.weight, matrix, full, m, intercept=intercept))
        cells, noise, error = problem.cells(state.weight), None, math.nan
        if isinstance(cells, NewtonCells):
            z = list(each(cells.project, blocks, known))
        else:
            # to a hundredth of what the fit is to be known by
            most = max_iter if compared else max(max_iter, MAX_ITER)
            project = partial(project_cells, cells, max_iter=most, tol=max(TOL, 1e-2 * tol))
            z = list(each(project, blocks, state.z))
            error = sum(each(lambda *pair: float(squared_sum(cells.residual(*pair))), blocks, z))
            if not compared and without is None:
                noise = _noise_variance(problem, cells, z, error)
        fit = _fit_of(data, problem, State(state.weight, z))
    return replace(
        fit, history=history, converged=converged, squared_error=error, noise_variance=noise
    )


def _fit_of(data: Data, problem: Problem, state: State) -> Fit:
    """The fit at an iterate, on the CPU in float64."""
    m, weight = problem.n_free, state.weight.cpu().numpy()
    return Fit(
        **split_weights(weight, problem.network, m, intercept=data.intercept),
        activity=_activity_of(state.z, m),
        likelihood=data.likelihood.to(torch.zeros(0, dtype=torch.float64)),
        depth=data.depth,
        ridge=problem.penalty.z[:m].cpu().numpy(),
        covariates=data.covariates,
        converged=False,
    )


def _activity_of(z: list[Tensor], m: int) -> np.ndarray:
    """Representations (m + q, cells) of blocks as activities, (n_cells, m) float64."""
    return torch.cat(z, dim=1)[:m].mT.double().cpu().numpy()


def _noise_variance(
    problem: Problem, solver: CellSolver, z: list[Tensor], squared_error: float
) -> float | None:
    """Σ residual² by the degrees of freedom that it has left; None where that is less than one.

    Within a third of the truth from an effective load of 0.5 on, unless the ridge is so strong (0.3) that
    residuals hold as much of the signal again.
    """
    n_seen = count_seen(problem.blocks)
    n_parameters = problem.network.n_edges + problem.n_free * sum(part.shape[1] for part in z)
    freedom = float(n_seen - n_parameters)
    if freedom < _COUNTED * n_parameters:
        freedom = residual_freedom(problem, solver, z, n_seen)
    return squared_error / freedom if freedom >= 1 else None


def _estimated(data: Data, problem: Problem, state: State) -> Data:
    """The data with what the residuals of an iterate say of their likelihood."""
    matrix = problem.pattern.matrix(state.weight.to(data.x))
    n_parameters = problem.network.n_edges + len(data.x) * problem.n_free
    p = [matrix @ z for z in state.z]
    likelihood = data.likelihood.updated(problem.blocks, p, n_parameters=n_parameters)
    return replace(data, likelihood=likelihood)


def _first_fit(
    data: Data,
    network: Network,
    *,
    ridge: float,
    prior: float,
    rng: int | np.random.Generator,
    progress: bool,
) -> np.ndarray:
    """Weights of all edges to start from, ``(n_edges,)``, by a fit to working values."""
    try:
        fit = fit_decoder(
            (data.scale.p_unit * data.working).cpu().numpy(),
            network,
            likelihood=data.likelihood.first,
            intercept=data.intercept,
            covariates=data.covariates,
            ridge=ridge,
            prior=prior,
            rng=rng,
            device=data.x.device,
            progress=progress,
        )
    except Interrupted as stop:  # with a decoder of other values
        raise KeyboardInterrupt from stop
    full, weight = full_network(network, fit)
    # in p, of which activities take the unit; known columns cannot
    return np.where(full.regulator < network.n_regulators, weight, weight / data.scale.p_unit)
