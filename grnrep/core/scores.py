"""How much the data want every possible edge: regressions of every gene on activities it had no part in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.expectation import Cells, observed_covariance
from grnrep.core.als.genes import similar
from grnrep.core.als.project import Projection
from grnrep.core.design import full_network, known_columns
from grnrep.core.fitted import Fit
from grnrep.core.gene_regression import Genes, refine, slope, steps_and_variances, with_growth
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from grnrep.core.threads import threads_for

_ENTRIES = 2**19  # activities that are gathered at once, so that they stay in the processor's cache
_FEWEST = 5  # degrees of freedom by which a gene can be judged
_RIDGE = 1e-5  # of Σ z², the mean of regulators', for genes that are hardly ever seen
_TURNED_OFF = 1e-12  # squared activity by that of the strongest regulator


class EdgeScores(NamedTuple):
    """Evidence on every gene and regulator at a fit.

    Parameters
    ----------
    weight
        Of edges of the network the weight that is best for the activities of the fit, of others what one step
        from 0 would give, (n_genes, n_regulators); 0 where the regulator was turned off, whatever it was.
    std_err
        Standard errors, same shape; NaN where the gene is constant or has too few values above zero to judge by, and
        where other regulators of the gene have the same activity.
    dof
        Degrees of freedom of every gene, at least 1, ``(n_genes,)``.
    """

    weight: np.ndarray
    std_err: np.ndarray
    dof: np.ndarray

    def t(self) -> np.ndarray:
        """Weights by their standard errors, 0 where there is none, (n_genes, n_regulators)."""
        out = np.zeros(self.weight.shape)
        return np.divide(self.weight, self.std_err, out=out, where=self.std_err > 0)


def edge_scores(x: np.ndarray, fit: Fit, network: Network) -> EdgeScores:
    """Test every possible edge, given a fit by evidence.

    Activities were inferred from all genes, and share the noise of each: regression on them would find any edge that
    is assumed, and more certain than it is. Every gene is therefore regressed on activities that are inferred without
    it, under a ReLU by Tobit regression. What these do not know of the true ones is independent of them, since they
    are means of a posterior, and is noise of the gene (Berkson 1950). An edge that is not in the network is tested
    by its score: the residuals are regressed on the regulator's activity beyond that of the gene's own ones.

    Cells count by how noise grows with a gene's prediction, and standard errors are those of squared residuals times
    squared activities, which hold where noise differs between cells in any other way (White 1980). Memory is n_genes
    times n_regulators.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    fit
        From :func:`grnrep.core.als.learn.fit_evidence`.
    network
        Edges of the fit.
    """
    m, n_cells = network.n_regulators, len(x)
    full, fitted = full_network(network, fit)
    cells = Projection.of(fit, network, dtype=torch.float64).expected_cells()
    known = known_columns(n_cells, intercept=fit.bias is not None, covariates=fit.covariates)
    z = torch.as_tensor(np.concatenate([fit.representation(), known], axis=1)).mT.contiguous()
    noise_sd = torch.as_tensor(np.sqrt(fit.noise()))
    censored = not fit.likelihood.zeros_are_values
    sigma = cells.sigma
    if censored:
        share, decoder = _shares(x, cells, z, noise_sd), torch.as_tensor(fitted)
        prior = cells.prior[:, : cells.n_free]
        sigma = observed_covariance(Pattern(full), decoder, noise_sd.square(), share, prior)
    # in units of the gene's noise; padded slots read and write what stands behind the last edge
    weight = torch.as_tensor(np.append(fitted, 0.0))
    weight[:-1] /= noise_sd[torch.as_tensor(full.gene)]
    ridge = _ridges(z, full, m)
    estimate = torch.zeros(network.n_genes, m, dtype=torch.float64)
    variance = torch.full_like(estimate, torch.nan)
    degree = torch.as_tensor(full.regulators_per_gene()).double()
    dof = torch.zeros_like(degree)
    is_edge = torch.zeros(full.n_edges + 1, dtype=torch.bool)
    is_edge[:-1] = torch.as_tensor(full.regulator < m)
    column = torch.as_tensor(np.append(full.regulator, len(z)))
    padded = torch.cat([z, z.new_zeros(1, n_cells)])
    with threads_for(n_cells * full.n_edges):
        for genes, edge in _batches(full, n_cells):
            y = torch.as_tensor(x[:, genes].T.astype(np.float64)) / noise_sd[genes, None]
            seen = y > 0 if censored else torch.ones_like(y, dtype=torch.bool)
            own = padded[column[edge]]
            dof[genes] = seen.sum(1) - degree[genes]
            batch = Genes.without_own_part(
                own, y, seen, degree[genes], weight[edge], column[edge], sigma
            )
            refined, *_ = refine(batch, weight[edge], ridge[edge])
            batch = with_growth(batch, refined)
            refined, r, curvature = refine(batch, refined, ridge[edge])
            (estimate[genes], variance[genes]), of_own = steps_and_variances(
                batch, r, curvature, z[:m]
            )
            inside = is_edge[edge]
            at = (genes[:, None].expand(edge.shape)[inside], column[edge][inside])
            estimate[at], variance[at] = refined[inside], of_own[inside]
    # a constant gene has no unit, and says nothing; nor does a regulator that was turned off, whose activity is none
    variance[(dof < _FEWEST) | torch.as_tensor(x.max(axis=0) == x.min(axis=0))] = torch.nan
    squares = z[:m].square().sum(1)
    off = squares <= _TURNED_OFF * squares.max()
    variance[:, off] = torch.nan
    estimate[:, off] = 0.0  # what is best for no activity could be anything
    std_err = variance.sqrt()
    unit = noise_sd[:, None]
    return EdgeScores((estimate * unit).numpy(), (std_err * unit).numpy(), dof.clamp(min=1).numpy())


def _shares(x: np.ndarray, cells: Cells, z: Tensor, noise_sd: Tensor) -> Tensor:
    """Mean curvature of the values of every gene under a ReLU, where one that is seen has 1, ``(n_genes,)``."""
    y = torch.as_tensor(x.T.astype(np.float64)) / noise_sd[:, None]
    p = cells.matrix @ z / noise_sd[:, None]
    return slope(y, p, y > 0, torch.ones_like(y))[1].mean(1)


def _ridges(z: Tensor, full: Network, m: int) -> Tensor:
    """Ridge of every edge, and 1 of padded slots, ``(n_edges + 1,)``; ``z`` is (m + q, cells)."""
    ridge = _RIDGE * z.square().sum(1)
    ridge[:m] = ridge[:m].mean().clamp(min=torch.finfo(ridge.dtype).tiny)
    return torch.cat([ridge[torch.as_tensor(full.regulator)], ridge.new_ones(1)])


def _batches(network: Network, n_cells: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Genes of similar numbers of regulators, and their edges, padded with ``n_edges``, (genes, d)."""
    degree = network.regulators_per_gene()
    for group in [*similar(degree), np.flatnonzero(degree == 0)]:
        slot = np.arange(max(1, degree[group].max(initial=0)))
        edge = np.where(
            slot < degree[group][:, None], network.indptr[group][:, None] + slot, network.n_edges
        )
        size = max(1, _ENTRIES // (len(slot) * max(1, n_cells)))
        for k in range(0, len(group), size):
            yield torch.as_tensor(group[k : k + size]), torch.as_tensor(edge[k : k + size])
