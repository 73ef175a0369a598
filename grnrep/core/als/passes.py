"""A decoder learned from cells that need not be in memory: every iteration is one pass over all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.data import Penalty, Scale
from grnrep.core.als.loop import alternate
from grnrep.core.als.problem import Problem, State
from grnrep.core.als.stats import Stats
from grnrep.core.design import full_network, share_of_known, split_weights, with_effects
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.network import Network
from grnrep.core.progress import end_bar, progress_bar

_WINDOW = 3
_TOL = 3e-4


def refine(
    fit: Fit,
    network: Network,
    sums: Callable[[Fit], Stats],
    scale: Scale,
    *,
    ridge: float,
    prior: float = 0.0,
    shared: bool = False,
    max_iter: int = 100,
    progress: bool = False,
) -> Fit:
    """Go on from the decoder of some cells to that of all.

    In every pass the activities of all cells are found under the decoder, exactly, and forgotten; the sums of
    :class:`grnrep.core.als.stats.Stats` are all that a step of the decoder needs. What is minimised is what
    :func:`grnrep.core.als.fit.fit_decoder` minimises.

    Parameters
    ----------
    fit
        From :func:`grnrep.core.als.fit.fit_decoder`, on some of the cells.
    network
        Edges, in the order of ``fit.weight``.
    sums
        Of all cells, at their activities under the decoder it is given (:meth:`Projection.sums`).
    scale
        What there is to explain in all cells.
    ridge, prior, shared
        As in :func:`grnrep.core.als.fit.fit_decoder`.
    max_iter
        Limit of passes.
    progress
        Whether to show a progress bar.

    Returns
    -------
    The fit with the decoder of all cells. ``activity`` and what belongs to it are still those of ``fit``.

    Raises
    ------
    Interrupted
        At Ctrl-C, with the fit so far.
    """
    m, intercept = network.n_regulators, fit.bias is not None
    full, weight = full_network(network, fit)
    penalty = Penalty.of(full, m, scale, ridge=ridge, prior=prior, shared=shared)

    def decoder(weight: Tensor) -> Fit:
        parts = split_weights(weight.cpu().numpy(), full, m, intercept=intercept)
        return replace(fit, **parts, ridge=penalty.z[:m].numpy())

    grams: list[Tensor] = []  # of the last pass

    def at(weight: Tensor) -> Stats:
        stats = sums(decoder(weight)).cpu()
        grams[:] = [stats.gram]
        return stats

    problem = Problem([], [], full, m, penalty, fit.likelihood, sums=at)
    # ‖w_j‖ = ‖z_j‖ means larger weights the more cells there are
    grown = np.ones(full.n_regulators)
    before = np.zeros(m) if fit.ridge is None else fit.ridge
    np.sqrt(
        penalty.z[:m].numpy() / np.where(before > 0, before, 1.0),
        out=grown[:m],
        where=penalty.balanced[:m].numpy() & (before > 0),
    )
    state = State(torch.as_tensor(weight * grown[full.regulator]), [])
    try:
        with progress_bar(progress, desc="passes", total=max_iter, unit="pass") as bar:
            state, history, converged = alternate(
                problem, state, max_iter=max_iter, tol=_TOL, window=_WINDOW, bar=bar
            )
            end_bar(bar, converged=converged)
    except Interrupted as stop:
        stop.so_far = replace(decoder(stop.so_far.weight), converged=False)
        raise
    weight_of_all = state.weight
    if fit.effects is not None:
        on = share_of_known(grams[0], m)[int(intercept) :].mT
        matrix = problem.pattern.matrix(weight_of_all)
        weight_of_all = with_effects(weight_of_all, matrix, on, full, m + int(intercept))
    return replace(decoder(weight_of_all), history=history, converged=converged)
