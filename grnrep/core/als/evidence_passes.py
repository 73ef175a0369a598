"""Passes over cells that need not be in memory, for a fit by evidence: sums over cells are all that a step needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from grnrep.core.als.assumed import Assumptions, model_of
from grnrep.core.als.learn import fit_of
from grnrep.core.als.moments import Sums
from grnrep.core.als.project import Projection
from grnrep.core.als.start import moments_of
from grnrep.core.design import share_of_known, with_effects
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.network import Network
from grnrep.core.progress import progress_bar

_TOL = 1e-3  # change of weights in a pass, as a share, at which the decoder is found


def refine_evidence(
    fit: Fit,
    network: Network,
    sums: Callable[[Fit], Sums],
    unit: np.ndarray,
    n_cells: int,
    assumptions: Assumptions,
    *,
    max_iter: int = 30,
    progress: bool = False,
) -> Fit:
    """Go on from the decoder of some cells to that of all, as many free factors as it has.

    Parameters
    ----------
    fit
        From :func:`grnrep.core.als.learn.fit_evidence`, on some of the cells.
    network
        Edges, in the order of ``fit.weight``.
    sums
        Of all cells, at their activities under the decoder it is given
        (:meth:`grnrep.core.als.project.Projection.expected_sums`).
    unit
        Spread of every gene in all cells, ``(n_genes,)``.
    n_cells
        Number of all cells.
    assumptions
        Those of ``fit``.
    max_iter
        Limit of passes.
    progress
        Whether to show a progress bar.

    Returns
    -------
    The fit with the decoder of all cells. ``activity`` and what belongs to it are still those of ``fit``. Its
    history is loss and penalty of every pass, which is no bound.

    Raises
    ------
    Interrupted
        At Ctrl-C, with the fit so far.
    """
    likelihood, intercept = fit.likelihood.name, fit.bias is not None
    n_known = int(intercept) + (0 if fit.effects is None else fit.effects.shape[1])
    model = model_of(
        [], network, n_known, fit.n_factors, assumptions, n_cells=n_cells, device=None,
        intercept=intercept, censored=likelihood == "tobit",
    )  # fmt: skip
    scale, gene = torch.as_tensor(unit), model.pattern.gene
    at = moments_of(fit, network, scale, model.prior)
    history, converged = list[float](), False

    def decoder() -> Fit:
        found = fit_of(model, at, scale, None, likelihood, intercept)
        return replace(found, activity=fit.activity, factors=fit.factors, covariates=fit.covariates)

    so_far = fit
    try:
        for _ in progress_bar(progress, range(max_iter), desc="passes", unit="pass"):
            total = sums(so_far)
            sigma = Projection.of(so_far, network).expected_cells().sigma
            new = model.decoder(at, total.in_units(scale, gene), sigma)
            change = torch.linalg.vector_norm(new.weight - at.weight)
            at = new
            so_far = decoder()
            history.append(float(total.loss.sum() + total.penalty))
            converged = bool(change <= _TOL * torch.linalg.vector_norm(at.weight))
            if converged:
                break
    except KeyboardInterrupt as stop:
        raise Interrupted(so_far) from stop
    if fit.effects is not None and history:
        m = model.n_free
        on = share_of_known(total.gram, m)[int(intercept) :].mT
        matrix = model.pattern.matrix(at.weight)
        first = m + int(intercept)
        at = replace(at, weight=with_effects(at.weight, matrix, on, model.network, first))
        so_far = decoder()
    return replace(so_far, history=history, converged=converged)
