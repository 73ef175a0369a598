"""Columns of the representation that are known: intercepts and covariates."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grnrep.core.fitted import Fit
from grnrep.core.linalg import inverse_spd
from grnrep.core.network import Network, with_known_columns


def known_columns(
    n_cells: int, *, intercept: bool, covariates: np.ndarray | None = None
) -> np.ndarray:
    """Values of the known columns, (n_cells, q): ones if there are intercepts, then covariates.

    Examples
    --------
    >>> from grnrep.core.design import known_columns
    >>> known_columns(2, intercept=True).tolist()
    [[1.0], [1.0]]
    """
    parts = [np.ones((n_cells, int(intercept)))]
    if covariates is not None:
        parts.append(np.asarray(covariates, dtype=np.float64))
        if parts[1].ndim != 2 or len(parts[1]) != n_cells:
            raise ValueError(
                f"covariates must have {n_cells} rows, one a cell; found {parts[1].shape}"
            )
    return np.concatenate(parts, axis=1)


def known_rows(x: Tensor, m: int, known: Tensor) -> Tensor:
    """Representations of the cells of ``x`` (n_genes, cells): m rows of zeros, then ``known`` (q, cells)."""
    return torch.cat([x.new_zeros(m, x.shape[1]), known.to(x)])


def split_rows(known: Tensor | np.ndarray, blocks: list[Tensor]) -> list[Tensor]:
    """Known columns (n_cells, q) of every block of cells (n_genes, cells), as rows."""
    sizes = [block.shape[1] for block in blocks]
    return [part.mT.to(blocks[0]) for part in torch.as_tensor(known).split(sizes)] if blocks else []


def full_network(network: Network, fit: Fit) -> tuple[Network, np.ndarray]:
    """The network with the columns of free factors and known ones, and the weights of all its edges."""
    m = network.n_regulators
    known = [] if fit.loadings is None else [fit.loadings]
    known += [] if fit.bias is None else [fit.bias[:, None]]
    known += [] if fit.effects is None else [fit.effects]
    full = with_known_columns(network, sum(part.shape[1] for part in known))
    weight = np.empty(full.n_edges)
    weight[full.regulator < m] = fit.weight
    if known:
        weight[full.regulator >= m] = np.concatenate(
            known, axis=1
        ).ravel()  # edges are sorted by gene
    return full, weight


def split_weights(
    weight: np.ndarray, full: Network, m: int, *, intercept: bool, n_factors: int = 0
) -> dict:
    """Weights of all edges as the fields ``weight``, ``loadings``, ``bias`` and ``effects`` of a fit."""
    free = full.regulator < m
    known = weight[~free].reshape(full.n_genes, full.n_regulators - m)
    loadings, known = known[:, :n_factors], known[:, n_factors:]
    effects = known[:, int(intercept) :]
    return {
        "weight": weight[free],
        "loadings": loadings if n_factors else None,
        "bias": known[:, 0] if intercept else None,
        "effects": effects if effects.shape[1] else None,
    }


def prior_precision(fit: Fit, network: Network) -> Tensor:
    """Precision of the prior of representations, (m, m) in float64, with what is not known of weights.

    C⁻¹ of activities and 1 of free factors; and Σ_i Var w_ij / ψ_i on the diagonal: what a weight may be off by is
    noise of its target, the larger the larger an activity is. Of a fit without a covariance, its ridge.
    """
    m = network.n_regulators
    if fit.covariance is None:
        return torch.diag(torch.as_tensor(np.zeros(m) if fit.ridge is None else fit.ridge))
    out = torch.eye(m + fit.n_factors, dtype=torch.float64)
    out[:m, :m] = inverse_spd(torch.as_tensor(fit.covariance), torch.float64)
    if fit.weight_sd is not None:
        share = np.square(fit.weight_sd) / fit.noise()[network.gene]
        of_regulator = np.bincount(network.regulator, share, minlength=m)
        out.diagonal()[:m] += torch.from_numpy(of_regulator)
    return out


def regress(y: Tensor, known: Tensor) -> Tensor:
    """Least-squares coefficients (q, n) float64 of columns (n_cells, n) on known ones (n_cells, q)."""
    wide = known.to(y.device, torch.float64)
    return _least_norm(wide.mT @ wide, (known.to(y).mT @ y).double())


def without_known(y: Tensor, known: Tensor) -> Tensor:
    """What known columns leave unexplained of ``y`` (n_cells, n)."""
    return y - known.to(y) @ regress(y, known).to(y)


def unconfound(
    z: list[Tensor], weight: Tensor, matrix: Tensor, full: Network, m: int, *, intercept: bool
) -> tuple[Tensor, list[Tensor]]:
    """Move what covariates can explain of the activities to the effects of the covariates.

    Σ_j w_ij z_kj + Σ_c e_ic v_kc stays the same when z_kj grows by a multiple of v_kc and e_ic falls by w_ij
    times it: the data do not tell the two apart. The ridge asks for the smallest
    activities, and those are uncorrelated with every covariate.

    Parameters
    ----------
    z
        Representations (m + q, cells) of every block, known rows last.
    weight
        Weights of all edges, ``(n_edges,)``.
    matrix
        The same as a matrix (n_genes, m + q).
    full, m, intercept
        Network with known columns, the number of regulators, and whether the first known column
        is the intercept.

    Returns
    -------
    weight, z
    """
    first = m + int(intercept)
    both = torch.cat([part.double() for part in z], dim=1)
    on = share_of_known(both @ both.mT, m)[int(intercept) :].mT  # (m, covariates)
    z = [torch.cat([part[:m] - on.to(part) @ part[first:], part[m:]]) for part in z]
    return with_effects(weight, matrix, on, full, first), z


def share_of_known(gram: Tensor, m: int) -> Tensor:
    """Coefficients (q, m) of representations on known rows, from their Gram matrix (m + q, m + q)."""
    # above the diagonal there may be nothing
    known = gram[m:, m:].tril() + gram[m:, m:].tril(-1).mT
    return _least_norm(known, gram[m:, :m])


def _least_norm(gram: Tensor, products: Tensor) -> Tensor:
    """Solve normal equations of columns that may depend on each other, on any device."""
    return torch.linalg.pinv(gram, hermitian=True) @ products


def with_effects(weight: Tensor, matrix: Tensor, on: Tensor, full: Network, first: int) -> Tensor:
    """Weights with what multiples ``on`` (m, covariates) of covariates in the activities did to genes."""
    padded = torch.cat([on, on.new_zeros(full.n_regulators - len(on), on.shape[1])])
    change = (matrix.double() @ padded).to(weight)
    weight = weight.clone()
    weight[torch.as_tensor(full.regulator >= first, device=weight.device)] += change.reshape(-1)
    return weight
