"""Standard deviations at a fitted decoder, from the curvature of the likelihood (Laplace).

Quick, and right where the data determine the decoder; where they leave it open, at low load,
:func:`grnrep.core.posterior.sample.sample_posterior` says more. What it finds of decoder and noise is
what :func:`activity_sd` needs for cells that were not in the fit.

Under the ReLU link the noise of Eq. 6 (Schuster & Krogh 2021) is inside the ReLU: a zero has
the probability Φ(-p/σ) and the curvature of its logarithm (Tobin 1958, Econometrica 26:24).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.genes import GeneSolver, _append, _take
from grnrep.core.decoder import Pattern
from grnrep.core.design import full_network
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.gaussian import Observed, check_link
from grnrep.core.network import Network
from grnrep.core.posterior.normal_tail import censored_curvature, mean_above

_ENTRIES = 2**23  # of the m × m systems that are solved at once
_NOISE_CELLS = 4.0  # how many cells the noise of all genes counts for in that of one gene
_ROUNDS = 5
_SPARE = 1.25  # values per parameter below which what is left over is no measure of the noise


def noise_variance(x: np.ndarray, fit: Fit, network: Network, *, link: str = "relu") -> np.ndarray:
    """Variance of the noise of every gene, (n_genes,) float64.

    Maximum likelihood less the degrees of freedom that weights and activities take: a gene
    pays for its weights and for its share of the m activities of every cell. A censored zero
    counts by what it says about the noise (Amemiya 1973). Genes share a little of their noise,
    as much as 4 cells count, so that a gene with few values above zero has an estimate too.

    After the squared hinge of the exact solver σ comes out low where noise decides which values
    are zero: 0.94 at 1 without intercepts, and 0.45 at 0.5 with them.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    fit
        Decoder, and the activities of these cells.
    network
        Edges, in the order of ``fit.weight``.
    link
        "relu" (zeros are censored) or "identity".

    Raises
    ------
    ValueError
        If weights and activities take nearly all degrees of freedom, as at an effective load of 1.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.als.exact import fit_exact
    >>> from grnrep.core.network import Network
    >>> draw = np.random.default_rng(0)
    >>> x = draw.normal(size=(200, 1)) + 0.1 * draw.normal(size=(200, 20))
    >>> network = Network.from_edges(np.arange(20), np.zeros(20), np.zeros(20), 20, 1)
    >>> variance = noise_variance(x, fit_exact(x, network, link="identity"), network, link="identity")
    >>> bool(abs(variance.mean() - 0.01) < 0.001)
    True
    """
    check_link(link)
    p = _pre_activation(fit, network)
    x = torch.as_tensor(x, dtype=torch.float64).mT
    block = Observed.of(x, link)
    seen = torch.ones_like(x, dtype=torch.bool) if block.most is None else block.most > 0
    squares, count = ((x - p).square() * seen).sum(1), seen.sum(1).double()
    n_known = full_network(network, fit)[0].n_regulators - network.n_regulators
    n_spent = network.n_edges + n_known * network.n_genes + x.shape[1] * network.n_regulators
    said = count
    variance = (squares.sum() / count.sum().clamp(min=1)).expand(len(x))
    for _ in range(_ROUNDS):
        total = float(said.sum())
        if total <= _SPARE * n_spent:
            raise ValueError(
                f"noise cannot be told from signal: x says as much as {total:.0f} uncensored values, for "
                f"{n_spent} weights and activities. Pass more cells, or use sample_posterior"
            )
        left = said.clamp(min=0) * (1 - n_spent / total)
        pooled = squares.sum() / left.sum()
        variance = (squares + _NOISE_CELLS * pooled) / (left + _NOISE_CELLS)
        u = p / variance.sqrt()[:, None]
        said = count + torch.where(seen, 0.0, -u * mean_above(u)).sum(1)
    return variance.numpy()


def activity_sd(
    x: np.ndarray,
    fit: Fit,
    network: Network,
    *,
    link: str = "relu",
    noise_variance: np.ndarray,
    weight_sd: np.ndarray | None = None,
    mean_square: np.ndarray | None = None,
) -> np.ndarray:
    r"""Standard deviation of activities that were inferred with a frozen decoder, (n_cells, m).

    The root of the expected squared error of :func:`grnrep.core.als.exact.project`,

    .. math:: G_k^{-1} \Bigl(\sum_i d_{ki} s_{ki}^2 w_i w_i' + \lambda^2 \tau^2\Bigr) G_k^{-1}, \quad
              G_k = \sum_i d_{ki} w_i w_i' + \lambda,

    with d the curvature of an entry (1 above zero) and s² = σ_i² + Σ_j z_kj² se_ij²: what the
    weights leave open is further noise of the gene. λ is the ridge of the fit, τ² the mean square
    activity: shrinkage errs too. Where s = σ for all genes and λ = σ²/τ² it is Laplace's σ² G⁻¹.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    fit
        Decoder, and the activities of these cells.
    network
        Edges, in the order of ``fit.weight``.
    link
        "relu" (zeros are censored) or "identity".
    noise_variance
        σ_i² of every gene, ``(n_genes,)``.
    weight_sd
        Standard deviation of every weight, ``(n_edges,)``; by default weights are taken as known.
    mean_square
        τ² of every regulator, ``(m,)``; by default that of these cells.
    """
    check_link(link)
    m = network.n_regulators
    w = torch.as_tensor(fit.weight)
    sigma2 = torch.as_tensor(noise_variance, dtype=torch.float64)
    ridge = torch.zeros(m) if fit.ridge is None else torch.as_tensor(fit.ridge)
    ridge = torch.diag(ridge.double())
    if mean_square is None:
        mean_square = np.square(fit.activity).mean(0)
    wrong = ridge.square() * torch.as_tensor(mean_square, dtype=torch.float64)
    pattern, pairs, product = Pattern(network), *_pairs(network, w)
    out = np.empty((len(x), m))
    size = max(1, _ENTRIES // max(1, m * m))
    for start in range(0, len(x), size):
        cells = slice(start, start + size)
        z = torch.as_tensor(fit.activity[cells], dtype=torch.float64).mT
        p = pattern.matmul(w, z) + torch.as_tensor(fit.offset(cells)).mT
        block = Observed.of(torch.as_tensor(x[cells], dtype=torch.float64).mT, link)
        curvature = censored_curvature(block, p / sigma2.sqrt()[:, None])
        noise = sigma2[:, None].expand_as(p)
        if weight_sd is not None:
            noise = noise + pattern.matmul(torch.as_tensor(weight_sd).square(), z.square())

        def system(values: Tensor) -> Tensor:
            return pairs.matmul_t(product, values.contiguous()).mT.reshape(-1, m, m)

        gram = system(curvature) + ridge
        gram.diagonal(dim1=1, dim2=2).add_(
            gram.diagonal(dim1=1, dim2=2).mean(1, keepdim=True) * 1e-10
        )
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        error = inverse @ (system(curvature * noise) + wrong)
        out[cells] = (error * inverse).sum(2).clamp(min=0).sqrt().numpy()
    return out


def weight_se(
    x: np.ndarray,
    fit: Fit,
    network: Network,
    *,
    link: str = "relu",
    noise_variance: np.ndarray,
    activity_sd: np.ndarray | None = None,
) -> np.ndarray:
    """Standard error of every weight (Wald), ``(n_edges,)``.

    From the curvature of each gene's likelihood at its own regulators. What activities leave
    open is further noise: σ_i² + Σ_j w_ij² sd_kj². A weight has the prior variance that the weights of its
    regulator have, so that a gene without values above zero has a standard error too.

    Parameters
    ----------
    x, fit, network, link, noise_variance
        As in :func:`activity_sd`.
    activity_sd
        Standard deviations of the activities, (n_cells, n_regulators); by default they are
        taken as known.
    """
    check_link(link)
    n_genes, m = network.n_genes, network.n_regulators
    gene, column = torch.as_tensor(network.gene), torch.as_tensor(network.regulator)
    w, z = torch.as_tensor(fit.weight), torch.as_tensor(fit.activity, dtype=torch.float64).mT
    sigma2 = torch.as_tensor(noise_variance, dtype=torch.float64)
    p = _pre_activation(fit, network)
    block = Observed.of(torch.as_tensor(x, dtype=torch.float64).mT, link)
    noise = sigma2[:, None].expand(n_genes, len(x))
    if activity_sd is not None:
        spread = torch.as_tensor(activity_sd, dtype=torch.float64).mT.square().contiguous()
        noise = noise + Pattern(network).matmul(w.square(), spread)
    information = censored_curvature(block, p / sigma2.sqrt()[:, None]) / noise
    mean_square = torch.zeros(m, dtype=torch.float64).index_add_(0, column, w.square())
    mean_square /= torch.bincount(column, minlength=m).clamp(min=1)
    precision = _append(1 / mean_square[column].clamp(min=torch.finfo(torch.float64).tiny), 1.0)
    padded = torch.cat([z, z.new_zeros(1, z.shape[1])])
    solver, column = GeneSolver(network), torch.cat([column, column.new_full((1,), m)])
    owner, found = torch.cat([gene, gene.new_zeros(1)]), [w[:0]]
    for edge, _ in solver.groups:
        own = padded[column[edge]]
        system = (own * information[owner[edge[:, 0]]][:, None]) @ own.mT
        system.diagonal(dim1=1, dim2=2).add_(_take(precision, edge))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(system))
        found.append(inverse.diagonal(dim1=1, dim2=2).reshape(-1))
    return torch.cat(found)[solver.slot_of_edge].sqrt().numpy()


def _pre_activation(fit: Fit, network: Network) -> Tensor:
    """W z + b, (n_genes, n_cells)."""
    p = Pattern(network).matmul(
        torch.as_tensor(fit.weight),
        torch.as_tensor(fit.activity, dtype=torch.float64).mT.contiguous(),
    )
    return p + torch.as_tensor(fit.offset()).mT


def _pairs(network: Network, weight: Tensor) -> tuple[Pattern, Tensor]:
    """All products w_ia w_ib: a pattern (n_genes, m²) and its values; it sums Gram matrices over genes."""
    degree = network.regulators_per_gene()
    n_pairs = degree[network.gene]  # per edge: as many as its gene has regulators
    first = np.repeat(np.arange(network.n_edges), n_pairs)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    second = network.indptr[network.gene[first]] + offset
    m = network.n_regulators
    entry = network.regulator[first] * m + network.regulator[second]
    both = Network.from_edges(
        network.gene[first], entry, np.zeros(len(first)), network.n_genes, m * m
    )
    return Pattern(both), weight[first] * weight[second]
