"""Representations of counts under a frozen decoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.count_data import (
    CountFit,
    block_cells,
    count_blocks,
    size_factors_of,
    to_rates,
)
from grnrep.core.als.count_steps import CountCells
from grnrep.core.decoder import Pattern
from grnrep.core.design import full_network, known_columns, split_rows
from grnrep.core.likelihoods.counts import Counted, CountModel
from grnrep.core.network import Network
from grnrep.core.threads import threads_for

# share by which rounding changes a representation in every step, in units of its precision
_ROUNDING = 8


def project_counts(
    counts: np.ndarray,
    fit: CountFit,
    network: Network,
    *,
    size_factors: np.ndarray | None = None,
    covariates: np.ndarray | None = None,
    max_iter: int = 500,
    tol: float = 1e-7,
    device: str | torch.device | None = None,
) -> np.ndarray:
    """Activities of cells under the decoder of a fit to counts, (n_cells, n_regulators).

    Parameters
    ----------
    counts
        (n_cells, n_genes), genes in the order of ``network``.
    fit
        From :func:`grnrep.core.als.counts.fit_counts`.
    network
        Edges, in the order of ``fit.weight``.
    size_factors
        Of every cell, relative to the same depth as in the fit; by default total counts
        over ``fit.depth``.
    covariates
        As in the fit.
    max_iter
        Limit of reweighted steps.
    tol
        A cell is done when a step changes its representation by less than this share, or than rounding does.
    device
        Where to compute; the CPU by default.
    """
    m = network.n_regulators
    if size_factors is None and not np.isfinite(fit.depth):
        raise ValueError(
            "size_factors must be given: the fit was made with size factors of its own"
        )
    s, _ = size_factors_of(counts, size_factors, fit.depth)
    x = to_rates(counts, s, device)
    tol = max(tol, _ROUNDING * torch.finfo(x.dtype).eps)
    known = known_columns(len(s), intercept=fit.bias is not None, covariates=covariates)
    full, weight = full_network(network, fit)
    phi = None if fit.dispersion is None else torch.as_tensor(fit.dispersion).to(x)
    model = CountModel.of(torch.as_tensor(fit.mean).to(x), phi, torch.as_tensor(fit.softness).to(x))
    ridge = torch.as_tensor(np.zeros(m) if fit.ridge is None else fit.ridge, device=x.device)
    pattern = Pattern(full).to(x.device)
    solver = CountCells.of(model, pattern, torch.as_tensor(weight, device=x.device), m, ridge)
    with threads_for(block_cells(x) * full.n_edges):
        blocks = count_blocks(x * s.to(x), s)
        pairs = zip(blocks, split_rows(known, [block.c for block in blocks]), strict=True)
        z = [_project_block(solver, block, rows, m, max_iter, tol) for block, rows in pairs]
    return torch.cat(z, dim=1)[:m].mT.double().cpu().numpy() if z else np.zeros((0, m))


def _project_block(
    solver: CountCells, block: Counted, known: Tensor, m: int, max_iter: int, tol: float
) -> Tensor:
    """Reweighted steps of every cell until it stands still; cells that are done leave."""
    z = solver.begin(block, known)
    out, left = z.clone(), torch.arange(z.shape[1], device=z.device)
    for _ in range(max_iter):
        new, _ = solver.step(block, z)
        out[:, left] = new
        moved = torch.linalg.vector_norm((new - z)[:m], dim=0)
        moving = (moved > tol * torch.linalg.vector_norm(new[:m], dim=0)).nonzero()[:, 0]
        if len(moving) == 0:
            break
        block, left, z = block.cells(moving), left[moving], new[:, moving]
    return out
