"""Priors of a chain: those that were learned with a fit, or N(0, 1) and the penalties of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.assumed import units
from grnrep.core.als.data import Penalty, Scale
from grnrep.core.design import without_known
from grnrep.core.fitted import Fit
from grnrep.core.network import Network

_INTERCEPT_VARIANCE = 100.0  # of the prior of an intercept, in mean squares of its gene's values
_LEAST_NOISE = 1e-6  # share of Σx² that the noise starts with at least
_LEAST_LOADING = 1e-12  # mean square, in units of genes, of the loadings of a factor at least
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class ChainPrior:
    """What a chain takes for given of weights, noise and representations.

    Parameters
    ----------
    anchor, variance
        Of the normal prior of every weight, ``(n_edges,)``, those of known columns too.
    penalty
        Where the prior of some weights, ``penalised`` ``(n_edges,)`` bool, is a penalty, which is in units of the
        noise; else None.
    penalised
        Which these are.
    unit
        Square of every gene's unit, ``(n_genes,)``, in which the noise of genes is alike.
    open_scale
        Regulators whose scale is a convention that draws are brought to, ``(n_regulators,)`` bool.
    spread
        The variance of activities by which that is done, ``(n_regulators,)``; None where it is weights of mean
        square 1.
    drawn
        Columns whose representations have a mean and a variance that are drawn, ``(m,)`` bool.
    precision
        Of the representations of all others, (m, m).
    in_noise
        Whether ``precision`` is in units of the noise that genes share.
    inflation
        σ² by the variance of residuals.
    """

    anchor: Tensor
    variance: Tensor
    penalty: Penalty | None
    penalised: Tensor
    unit: Tensor
    open_scale: Tensor
    spread: Tensor | None
    drawn: Tensor
    precision: Tensor
    in_noise: bool
    inflation: float = 1.0

    def of_whitened(self, noise: Tensor) -> Tensor:
        """Precision of whitened weights at the noise of their genes, ``(n_edges,)``."""
        own = noise / self.variance
        if self.penalty is None:
            return own
        return torch.where(self.penalised, self.penalty.edges(noise), own)

    def fixed_precision(self, noise: float) -> Tensor:
        """Precision (m, m) of representations that is not drawn, at the noise that genes share."""
        return self.precision / noise if self.in_noise else self.precision


def _intercept_variance(x: Tensor, *, censored: bool) -> Tensor:
    """Of known columns of every gene, ``(n_genes,)``; under a ReLU in mean squares of what is above zero."""
    squares = x.double().square().sum(0)
    seen = (x > 0).sum(0) if censored else torch.full_like(squares, len(x))
    own = squares / seen.clamp(min=1)
    typical = float(squares.sum()) / max(1, int(seen.sum())) or 1.0
    return _INTERCEPT_VARIANCE * torch.where(own > 0, own, typical)


def chain_prior(
    x: Tensor, known: np.ndarray, fit: Fit, network: Network, full: Network, *,
    censored: bool, prior: float, shared: bool,
) -> ChainPrior:  # fmt: skip
    """Priors that were learned with the fit, where they were; else those of its penalties.

    Parameters
    ----------
    x, known
        Expression, (n_cells, n_genes), and known columns of the cells, (n_cells, q).
    fit, network, full
        The fit, its network, and that with the columns of free factors and known ones.
    censored
        Whether zeros are.
    prior, shared
        Penalties of the fit, if any.
    """
    if fit.covariance is not None:
        return _learned(x, fit, network, full, censored=censored)
    on_device = torch.as_tensor(known, device=x.device)
    return _of_penalties(
        x, on_device, fit, network, full, censored=censored, prior=prior, shared=shared
    )


def _of_penalties(
    x: Tensor, known: Tensor, fit: Fit, network: Network, full: Network, *,
    censored: bool, prior: float, shared: bool,
) -> ChainPrior:  # fmt: skip
    """N(0, 1) of weights whose scale is open, the penalties of the fit of those shrunk to signs."""
    m, device = network.n_regulators, x.device
    squares = float(x.double().square().sum())
    unexplained = without_known(x, known) if known.shape[1] else x
    scale = Scale(squares, float(unexplained.double().square().sum()), len(x))
    penalty = Penalty.of(full, m, scale, ridge=0.0, prior=prior, shared=shared, device=device)
    free = penalty.balanced[:m]
    column = torch.as_tensor(full.regulator, device=device)
    gene = torch.as_tensor(full.gene, device=device)
    wide = _intercept_variance(x, censored=censored)[gene]
    ridge = np.zeros(m) if fit.ridge is None else fit.ridge
    of_penalty = torch.cat([~free, free.new_zeros(1)])[column.clamp(max=m)]
    return ChainPrior(
        anchor=penalty.anchor,
        variance=torch.where(column < m, 1.0, wide),
        penalty=penalty,
        penalised=of_penalty,
        unit=wide.new_ones(full.n_genes),
        open_scale=free,
        spread=None,
        drawn=free,
        precision=torch.diag(torch.as_tensor(ridge, device=device)),
        in_noise=True,
    )


def _learned(x: Tensor, fit: Fit, network: Network, full: Network, *, censored: bool) -> ChainPrior:
    """The priors that were learned with a fit; loadings of a free factor have their mean square as variance.

    Correlated activities keep their covariance; of independent ones the variance is drawn. The product w · z leaves
    the scale of a regulator to priors, which say little of it: in all draws activities have the variance of the fit,
    so that their deviations, and those of differences between cells, have nothing of it.
    """
    if fit.covariance is None or fit.anchor is None or fit.anchor_variance is None:
        raise ValueError("fit must have priors of weights and activities that were learned")
    r, n_factors = network.n_regulators, fit.n_factors
    m, column, gene = r + n_factors, full.regulator, full.gene
    unit = units(x, centred=fit.bias is not None).cpu().numpy() ** 2
    variance = _intercept_variance(x, censored=censored).cpu().numpy()[gene]
    variance[column < r] = fit.anchor_variance
    if fit.loadings is not None:
        typical = (np.square(fit.loadings) / unit[:, None]).mean(0)
        factor = (column >= r) & (column < m)
        variance[factor] = (
            np.maximum(typical, _LEAST_LOADING)[column[factor] - r] * unit[gene[factor]]
        )
    anchor = np.zeros(full.n_edges)
    anchor[column < r] = fit.anchor
    correlated = np.count_nonzero(fit.covariance) > np.count_nonzero(fit.covariance.diagonal())
    precision = np.eye(m)
    precision[:r, :r] = np.linalg.inv(fit.covariance) if correlated else 0.0
    on_device = partial(torch.as_tensor, device=x.device)
    return ChainPrior(
        anchor=on_device(anchor),
        variance=on_device(np.maximum(variance, _TINY)),
        penalty=None,
        penalised=on_device(np.zeros(full.n_edges, dtype=bool)),
        unit=on_device(unit),
        open_scale=on_device(np.ones(r, dtype=bool)),
        spread=on_device(fit.covariance.diagonal().copy()),
        drawn=on_device((np.arange(m) < r) & (not correlated)),
        precision=on_device(precision),
        in_noise=False,
        inflation=fit.inflation,
    )


def first_noise(x: Tensor, fit: Fit, prior: ChainPrior, *, censored: bool) -> tuple[Tensor, float]:
    """σ_i² of the fit, ``(n_genes,)``, and what is typical of it; one for all genes where the fit has but one."""
    squares = x.double().square().sum(0)
    if fit.covariance is None:
        n_values = int(torch.count_nonzero(x > 0)) if censored else x.numel()
        typical = max(fit.squared_error, _LEAST_NOISE * float(squares.sum())) / max(1, n_values)
        return torch.full_like(squares, typical), typical
    noise = torch.as_tensor(fit.noise(), device=x.device)
    return noise, float(1 / (prior.unit / noise).mean()) / prior.inflation


def draw_precisions(
    random: np.random.Generator, squares: Tensor, n: int, more: float, typical: float
) -> tuple[Tensor, float]:
    """Draw precisions given Σ of n squares each, as if of ``more`` squares more of size ``typical``; then that.

    1 / σ_i² ~ χ²(n + ν) / (Σ squares + ν s²), and s² from its Gamma distribution given all of them.
    """
    sums = squares.clamp(min=0).cpu().numpy() + more * typical
    precision = random.chisquare(n + more, len(sums)) / sums
    half = more / 2
    typical = float(random.gamma(half * len(sums)) / (half * precision.sum()))
    return torch.as_tensor(precision, device=squares.device), typical
