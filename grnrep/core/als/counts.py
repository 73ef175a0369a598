"""Alternating reweighted least squares for counts: Poisson or negative binomial.

Minimises, over edge weights w, intercepts b and representations z,

    Σ_k Σ_i deviance(c_ki, s_k f(p_ki)) + λ_z ‖z‖² + λ_w ‖w - a‖²,   p = W z + b,

with size factors s and the smooth ReLU f of :mod:`grnrep.core.likelihoods.counts`; a is the prior sign
of an edge if weights are to be shrunk to it, else 0. Zeros are counts like others, not censored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from grnrep.core.als.count_data import (
    CountFit,
    block_cells,
    check_count_likelihood,
    count_blocks,
    size_factors_of,
    to_rates,
    unit_of_rates,
)
from grnrep.core.als.count_projection import project_counts
from grnrep.core.als.count_steps import CountCells, step_genes
from grnrep.core.als.exact import fit_exact
from grnrep.core.als.genes import GeneSolver
from grnrep.core.als.loop import State, check_finite, only_rounding
from grnrep.core.als.penalty import Penalty
from grnrep.core.decoder import Pattern
from grnrep.core.design import (
    full_network,
    known_columns,
    regress,
    split_rows,
    split_weights,
    unconfound,
)
from grnrep.core.likelihoods.counts import Counted, CountModel, softness_of
from grnrep.core.likelihoods.dispersion import shrunk_dispersion
from grnrep.core.network import Network, with_known_columns
from grnrep.core.threads import threads_for

_WINDOW = 5  # iterations over which the stopping rule looks back
_POISSON_FIRST = 5  # iterations before the dispersion is estimated


@dataclass
class _Problem:
    """Counts in blocks of cells and all that is fixed during a run."""

    blocks: list[Counted]
    known: list[Tensor]
    network: Network
    n_free: int
    penalty: Penalty
    model: CountModel
    pattern: Pattern = field(init=False)
    genes: GeneSolver = field(init=False)

    def __post_init__(self) -> None:
        device = self.blocks[0].c.device
        self.pattern = Pattern(self.network).to(device)
        self.genes = GeneSolver(self.network, device)

    def cells(self, weight: Tensor) -> CountCells:
        ridge = self.penalty.z[: self.n_free]
        return CountCells.of(self.model, self.pattern, weight, self.n_free, ridge)

    def begin(self, weight: Tensor) -> State:
        solver = self.cells(weight)
        pairs = zip(self.blocks, self.known, strict=True)
        return State(weight, [solver.begin(block, known) for block, known in pairs])

    def both_steps(self, at: State) -> tuple[State, float]:
        """Cells given decoder, then decoder given cells; and the objective there."""
        solver = self.cells(at.weight)
        stepped = [solver.step(block, z) for block, z in zip(self.blocks, at.z, strict=True)]
        pairs = [(block, *pair) for block, pair in zip(self.blocks, stepped, strict=True)]
        weight, objective = step_genes(
            self.model,
            self.pattern,
            self.genes,
            at.weight,
            pairs,
            self.penalty.w,
            self.penalty.anchor,
        )
        z = [pair[0] for pair in stepped]
        return State(weight, z), objective + float(self.penalty.z @ self.squares(z))

    def squares(self, z: list[Tensor]) -> Tensor:
        """‖z_j‖² of every column, float64."""
        return sum(part.double().square().sum(1) for part in z)

    def balance(self, state: State, previous: State) -> None:
        """Restore ‖w_j‖ = ‖z_j‖: predictions stay, the penalty falls."""
        column = self.pattern.regulator
        w = torch.zeros_like(self.penalty.z).index_add_(0, column, state.weight.square())
        scale = (self.squares(state.z) / w).sqrt().sqrt()
        scale = torch.where(self.penalty.balanced & scale.isfinite() & (scale > 0), scale, 1.0)
        previous.rescale(column, scale)
        state.rescale(column, scale)

    def rates(self, state: State) -> list[Tensor]:
        matrix = self.pattern.matrix(state.weight.to(state.z[0]))
        return [self.model.rate(matrix @ z) for z in state.z]


def fit_counts(
    counts: np.ndarray,
    network: Network,
    *,
    likelihood: str = "poisson",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    size_factors: np.ndarray | None = None,
    ridge: float = 1e-3,
    prior: float = 0.0,
    max_iter: int = 200,
    tol: float = 1e-3,
    rng: int | np.random.Generator = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
    start: np.ndarray | None = None,
) -> CountFit:
    """Learn decoder and representations from counts by alternating reweighted least squares.

    Parameters
    ----------
    counts
        Whole numbers of at least 0, (n_cells, n_genes). Computed in float32 unless float64.
    network
        Edges, with prior signs where they are known.
    likelihood
        "poisson", or "nb" (negative binomial) with a dispersion per gene, which is estimated
        from the residuals of a short Poisson fit and shrunk to that of all genes.
    intercept
        Whether every gene has an intercept.
    covariates
        As in :func:`grnrep.core.als.exact.fit_exact`; their effects add to the rate.
    size_factors
        Of every cell, ``(n_cells,)`` above 0; by default total counts over their median. A
        total does not tell a deep cell from one in which all regulators are more active:
        activities are relative to the expression of the cell as a whole.
    ridge, prior
        As in :func:`grnrep.core.als.exact.fit_exact`, in the unit of expression in which the
        variance of an average count is 1.
    max_iter
        Limit of iterations.
    tol
        Stop when the objective fell by less than this share over the last 5 iterations.
    rng
        Source of the draws that the start is made from.
    device
        Where to compute; the CPU by default.
    progress
        Whether to show a progress bar.
    start
        Start weights, ``(n_edges,)``; by default those of :func:`grnrep.core.als.exact.fit_exact`
        on counts over size factors. Those of logarithms lie further from the end.

    Returns
    -------
    CountFit
        Activities in the unit of counts at size factor 1, signs arbitrary where no priors led;
        see :func:`grnrep.core.signs.orient`.
    """
    check_count_likelihood(likelihood)
    s, depth = size_factors_of(counts, size_factors)
    x = to_rates(counts, s, device)
    known = known_columns(len(s), intercept=intercept, covariates=covariates)
    full, m = with_known_columns(network, known.shape[1]), network.n_regulators
    free = full.regulator < m
    mean = (x.double() * s.to(x.device)).sum(1) / s.sum()
    softness = softness_of(mean)
    unit, sums = unit_of_rates(x, s, mean, intercept)

    def model(phi: Tensor | None) -> CountModel:
        return CountModel.of((mean * unit).to(x), phi, (softness * unit).to(x))

    if start is None:
        options = {
            "intercept": intercept,
            "covariates": covariates,
            "ridge": ridge,
            "prior": prior,
            "rng": rng,
        }
        rates = (x * unit).mT.contiguous()
        first = fit_exact(rates, network, device=device, progress=progress, **options)
        _, weight = full_network(network, first)
    else:
        weight = np.zeros(full.n_edges)
        weight[free] = start
        if covariates is not None:
            weight[~free] = regress((x * unit).mT, torch.as_tensor(known)).mT.cpu().numpy().ravel()
    penalty = Penalty.build(full, m, **sums, n_cells=len(s), ridge=ridge, prior=prior).to(x.device)
    with (
        threads_for(block_cells(x) * full.n_edges),
        tqdm(desc=likelihood, total=max_iter, disable=not progress) as bar,
    ):
        blocks = count_blocks(x * s.to(x), s / unit)
        rows = split_rows(known, [block.c for block in blocks])
        problem = _Problem(blocks, rows, full, m, penalty, model(None))
        state = problem.begin(torch.as_tensor(weight, device=x.device))
        run = partial(_alternate, problem, sum_squares=sums["sum_squares"], tol=tol)
        phi = None
        if likelihood == "nb":
            state, *_ = run(state, max_iter=_POISSON_FIRST, bar=None)
            used = full.n_edges + x.shape[1] * m
            phi = shrunk_dispersion(blocks, problem.rates(state), n_parameters=used)
            problem.model = model(phi.to(x))
        state, history, converged = run(state, max_iter=max_iter, bar=bar)
        if covariates is not None:
            matrix = problem.pattern.matrix(state.weight)
            state = State(*unconfound(state.z, state.weight, matrix, full, m, intercept=intercept))
    weight = state.weight.cpu().numpy()
    fit = CountFit(
        **split_weights(np.where(free, weight, weight / unit), full, m, intercept=intercept),
        covariates=covariates,
        activity=np.zeros((0, m)),
        ridge=penalty.z[:m].cpu().numpy() * unit**2,
        history=history,
        converged=converged,
        mean=mean.cpu().numpy(),
        softness=softness.cpu().numpy(),
        dispersion=None if phi is None else phi.cpu().numpy(),
        depth=depth,
    )
    options = {"size_factors": s.numpy(), "covariates": covariates, "device": device}
    activity = project_counts(counts, fit, network, **options)
    return replace(fit, activity=activity)


def _alternate(
    problem: _Problem,
    state: State,
    *,
    sum_squares: float,
    max_iter: int,
    tol: float,
    bar: tqdm | None,
) -> tuple[State, list[float], bool]:
    """Both steps in turn with Nesterov's momentum, taken back where the objective would rise."""
    previous, momentum, history = state, 1.0, []
    for _ in range(max_iter):
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        new, objective = problem.both_steps(state.ahead(previous, (momentum - 1) / following))
        if history and not objective <= history[-1]:
            following = 1.0
            new, objective = problem.both_steps(state)
            if not objective <= history[-1]:  # the iterate before is still at hand
                return (
                    state,
                    history,
                    only_rounding(objective, history, sum_squares, state.z[0].dtype),
                )
        check_finite(objective, history)
        momentum, previous, state = following, state, new
        history.append(objective)
        problem.balance(state, previous)
        if bar is not None:
            bar.set_postfix(objective=f"{objective:.4g}", refresh=False)
            bar.update()
        if len(history) > _WINDOW and history[-1 - _WINDOW] - objective <= tol * objective:
            return state, history, True
    return state, history, False
