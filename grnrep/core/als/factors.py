"""Free factors: programmes that the network does not know, found in residuals, added to an iterate, and dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from grnrep.core.als.evidence import Model
from grnrep.core.als.moments import Moments

_POWER_ITERATIONS = 6  # for the first singular vectors of residuals
_OVERSAMPLED = 5  # columns more than are asked for
_LEAST_DENSE = 0.2  # share of genes, effectively, that a free factor reaches; edges that are missing reach fewer
# share of loadings that data determine, beside their prior, of a factor that is kept
_LEAST_KNOWN = 0.5


def programmes(model: Model, at: Moments, n: int, *, every: bool) -> Tensor:
    """Loadings (n_genes, k) of residual programmes beyond chance, n at most.

    The first left singular vectors of whitened residuals, times their values: those above what independent noise
    of variance 1 reaches, (√n_genes + √n_cells)² (Marchenko & Pastur 1967), or ``every`` one.
    """
    cells = model.cells(at)
    sd = at.noise.sqrt()[:, None]
    white = [
        cells.expected(block, cells.without(block.x, z))[0] / cells.sd
        for block, z in zip(model.blocks, at.z, strict=True)
    ]
    generator = torch.Generator().manual_seed(0)
    n_genes = len(sd)
    basis = torch.randn(n_genes, min(n + _OVERSAMPLED, n_genes), generator=generator).to(white[0])
    for _ in range(_POWER_ITERATIONS):
        basis, _ = torch.linalg.qr(sum(part @ (part.mT @ basis) for part in white))
    inside = [basis.mT @ part for part in white]
    small = torch.stack([part @ part.mT for part in inside]).sum(0).double()
    values, vectors = torch.linalg.eigh(small)  # of Σ residual residual'
    chance = (n_genes**0.5 + model.n_cells**0.5) ** 2
    n_above = len(values) if every else int((values > chance).sum())
    order = torch.argsort(values, descending=True)[: min(n, n_above)]
    size = (values[order].clamp(min=0) / model.n_cells).sqrt()
    return sd * (basis.double() @ vectors[:, order]) * size


def with_factors(model: Model, at: Moments, loadings: Tensor) -> Moments:
    """An iterate with these free factors behind those that it has; ``model`` has all of them."""
    m, columns, new = model.n_free, model.network.n_regulators, loadings.shape[1]
    before, device = m - new, at.weight.device
    column = torch.as_tensor(model.network.regulator, device=device)
    is_new = (column >= before) & (column < m)
    keep = torch.cat([torch.arange(before), torch.arange(m, columns)]).to(device)

    def wider(values: Tensor, added: Tensor | None = None) -> Tensor:
        """Values of edges, 0 or ``added`` at the new ones."""
        out = torch.zeros(len(column), dtype=torch.float64, device=device)
        out[~is_new] = values
        if added is not None:
            out[is_new] = added.reshape(-1)
        return out

    doubt = at.doubt.new_zeros(columns, columns)
    doubt[keep[:, None], keep] = at.doubt
    covariance = torch.eye(m, dtype=torch.float64, device=device)
    covariance[:before, :before] = at.covariance
    n = model.n_factors - new
    squares = loadings.square().mean(0)
    return replace(
        at,
        weight=wider(at.weight, loadings),
        weight_sd=wider(at.weight_sd),
        z=[torch.cat([z[:before], z.new_zeros(new, z.shape[1]), z[before:]]) for z in at.z],
        doubt=doubt,
        covariance=covariance,
        of_group=torch.cat([at.of_group[:n], squares, at.of_group[n:]]),
    )


def without_idle(
    model: Model, at: Moments, model_with: Callable[[int], Model]
) -> tuple[Model, Moments]:
    """Leave out free factors that explain nothing, or few genes."""
    n = model.n_factors
    m = model.n_free - n
    if n == 0:
        return model, at
    group, v = model.prior.group, at.weight_sd.square()
    doubt = torch.zeros_like(at.of_group).index_add_(
        0, group.clamp(min=0), torch.where(group < 0, 0.0, v)
    )
    # 1 - mean V / v: how far the data determine loadings, beside their prior
    known = 1 - doubt[:n] / model.network.n_genes / at.of_group[:n]
    used = (known > _LEAST_KNOWN) & (_density(model, at) > _LEAST_DENSE)
    columns, device = model.network.n_regulators, at.weight.device
    keep = torch.ones(columns, dtype=torch.bool, device=device)
    keep[m : m + n] = used
    column = torch.as_tensor(model.network.regulator, device=device)
    rows = torch.nonzero(keep)[:, 0]
    free = torch.nonzero(keep[: m + n])[:, 0]
    fewer = model_with(int(used.sum()))
    return fewer, replace(
        at,
        weight=at.weight[keep[column]],
        weight_sd=at.weight_sd[keep[column]],
        z=[z[rows] for z in at.z],
        doubt=at.doubt[rows[:, None], rows],
        covariance=at.covariance[free[:, None], free],
        of_group=torch.cat([at.of_group[:n][used], at.of_group[n:]]),
    )


def _density(model: Model, at: Moments) -> Tensor:
    """Effective share of genes of every free factor: (Σ b²)² / Σ b⁴ / n_genes."""
    group, n = model.prior.group, model.n_factors
    ours = (group >= 0) & (group < n)
    square = at.weight[ours].square()
    sums = square.new_zeros(2, n).index_add_(1, group[ours], torch.stack([square, square.square()]))
    return sums[0].square() / sums[1].clamp(min=1e-300) / model.network.n_genes
