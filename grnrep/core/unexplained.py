"""What a network leaves unexplained: programmes in the residuals of a fit, beyond those that noise has by chance.

Activities and weights that were fitted have taken noise out of as many directions, so that residuals are compared
with noise that has lost the same. To first order p changes by δz W' + z δW', on the edges. The residual of noise is
its projection on what is orthogonal to all such changes. Residuals are projected too, which changes nothing at an
optimum of least squares, and takes out what penalties held back. The noise is the residuals themselves with random
signs (Hong, Sheng & Dobriban 2020): it differs between genes and cells as they do, with the same tails, and has
nothing in common.

Programmes hinder a fit: activities follow them, and what regulators do becomes residual. Of such a fit the number is
one of directions, of programmes and of what was lost to them. How many free factors there should be is therefore
asked of fits with that many: the fewest with which nothing is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, eigvalsh
from scipy.special import stdtrit
from tqdm import tqdm

from grnrep.core.network import Network
from grnrep.core.progress import progress_bar

# draws of noise, whose largest singular values differ by .5 %, and chance that residuals without programmes exceed them
_DRAWS, _LEVEL = 5, 0.01
_ENTRIES, _FEWEST_CELLS = 2**19, 500  # residuals that are looked at, and cells at least
_TELLABLE = 1e-5  # share of a column that the others do not explain, below which it is rounding
_SWEEPS, _TOL = 30, 1e-3  # projections alternate until a sweep takes out less than this share
_LEAST_FREE = 0.05  # share of its noise that a gene is taken to keep, at least


@dataclass(frozen=True, eq=False)
class Unexplained:
    """Programmes that residuals hold beyond chance, the strongest first.

    Parameters
    ----------
    share
        Of every programme in the variance of the residuals, each gene in units of its noise, ``(n_programmes,)``. It
        includes the noise in the direction of the programme.
    loadings
        (n_genes, n_programmes), in the units of the residuals at a value of 1; those of most genes are positive.
    values
        Of the cells, (n_cells, n_programmes), with mean square 1.
    gene_share
        Share of every programme in the variance of a gene's residuals, (n_genes, n_programmes).
    singular_values
        Of the residuals, with squares that sum to 1: the first are the roots of ``share``.
    chance
        What the largest of them exceeds with a chance of 1 % where there is no programme, in the same units.
    """

    share: np.ndarray
    loadings: np.ndarray
    values: np.ndarray
    gene_share: np.ndarray
    singular_values: np.ndarray
    chance: float

    @property
    def n_programmes(self) -> int:
        """How many."""
        return len(self.share)

    @property
    def total_share(self) -> float:
        """Share of all programmes in the variance of the residuals."""
        return float(self.share.sum())


def sufficient_cells(n_genes: int) -> int:
    """How many cells, drawn at random, are enough to look for programmes in.

    Examples
    --------
    >>> from grnrep.core.unexplained import sufficient_cells
    >>> sufficient_cells(1000), sufficient_cells(20_000)
    (524, 500)
    """
    return max(_FEWEST_CELLS, _ENTRIES // max(n_genes, 1))


def unexplained(
    residual: np.ndarray,
    activity: np.ndarray,
    weight: np.ndarray,
    network: Network,
    *,
    scale: np.ndarray | None = None,
    covariates: np.ndarray | None = None,
    rng: int | np.random.Generator = 0,
    progress: bool = False,
) -> Unexplained:
    """Find the programmes that the residuals of a fit hold beyond chance.

    A programme is a value of every cell times a loading of every gene. A constant is none, whether or not genes
    have intercepts, and neither is what other activities or other weights would explain. It is valid where the
    fit is good enough for its errors to be linear in the noise. Strong programmes count as noise for weaker ones:
    there are at least as many as are found.

    Parameters
    ----------
    residual
        Of :func:`sufficient_cells`, (n_cells, n_genes): x - p, or the slope of another log-likelihood over a typical
        curvature of the gene; its expectation is 0 wherever p is true.
    activity
        (n_cells, n_regulators).
    weight, network
        Of every edge, ``(n_edges,)``, and the edges. Free factors are regulators of every gene.
    scale
        Noise of every gene as the fit weighted it, a standard deviation, ``(n_genes,)``; by default the deviation of
        its residuals.
    covariates
        Known columns of these cells, (n_cells, n_covariates).
    rng
        Seed of the signs.
    progress
        Whether to show a progress bar, of the draws of what chance gives.

    References
    ----------
    Hong, Sheng & Dobriban (2020), Selecting the number of components in PCA via random signflips, arXiv 2012.02985.
    """
    n_cells, n_genes = residual.shape
    scale = residual.std(axis=0) if scale is None else np.asarray(scale, dtype=np.float64)
    varies = (residual.std(axis=0) > 0) & (scale > 0)
    scale = np.where(varies, scale, 1.0)
    weight = np.where(
        varies[network.gene], weight, 0.0
    )  # constant genes say nothing, and get nothing
    fitted = _Fitted.of(activity, weight, network, scale, covariates)
    before = (residual / scale).T * varies[:, None]
    rest = fitted.take_out(before[:, :, None])[:, :, 0]
    if not np.square(rest).sum() > _TELLABLE * np.square(before).sum():
        return _nothing(n_cells, n_genes)  # there are as many parameters as data
    # a gene's noise: of what is left, and of what fitting took
    noise = _size(rest) / np.sqrt(fitted.free)
    noise = np.where(noise > 0, noise, 1.0)
    rest = rest / noise[:, None]

    with progress_bar(progress, desc="chance", total=_DRAWS, unit="draw") as bar:
        chance = _chance(rest, noise, fitted, np.random.default_rng(rng), bar)
    singular, genes, cells = _decompose(rest)
    found = int((singular > chance).sum())
    genes, cells = genes[:, :found] * singular[:found], cells[:, :found]
    total, of_gene = np.square(singular).sum(), np.square(rest).sum(axis=1)[:, None]
    gene_share = np.divide(genes**2, of_gene, out=np.zeros_like(genes), where=of_gene > 0)
    sign = np.where((np.sign(genes) * gene_share).sum(axis=0) < 0, -1.0, 1.0)
    return Unexplained(
        share=np.square(singular[:found]) / total,
        loadings=(scale * noise)[:, None] * genes * sign / np.sqrt(n_cells),
        values=cells * sign * np.sqrt(n_cells),
        gene_share=gene_share,
        singular_values=singular / np.sqrt(total),
        chance=chance / float(np.sqrt(total)),
    )


def _chance(
    rest: np.ndarray, noise: np.ndarray, fitted: _Fitted, draw: np.random.Generator, bar: tqdm
) -> float:
    """What the largest singular value of ``rest`` (n_genes, n_cells) exceeds by chance.

    It is the upper end of a prediction interval from a few draws, by the t distribution. ``noise`` is the unit of
    every gene.
    """
    signs = draw.integers(0, 2, (*rest.shape, _DRAWS), dtype=np.int8) * np.int8(2) - np.int8(1)
    before = rest * (noise / np.sqrt(fitted.free))[:, None]  # as large as noise was, before fitting
    drawn = fitted.take_out(signs * before[:, :, None].astype(np.float32)) / noise[:, None, None]
    # what the share that a gene keeps is off: every gene varies as in the residuals
    size = np.sqrt(np.square(drawn).mean(axis=(1, 2)))
    factor = np.divide(_size(rest), size, out=np.zeros_like(size), where=size > 0)
    drawn *= factor[:, None, None]
    largest = np.empty(_DRAWS)
    for b in range(_DRAWS):
        largest[b] = _largest(drawn[:, :, b])
        bar.update()
    width = stdtrit(_DRAWS - 1, 1 - _LEVEL) * np.sqrt(1 + 1 / _DRAWS)
    return float(largest.mean() + width * largest.std(ddof=1))


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Directions out of which a fit took noise.

    Parameters
    ----------
    decoder
        Orthonormal basis of what activities change in the genes of a cell, (n_genes, rank), in units of noise.
    of_gene
        Orthonormal basis of what weights change in the cells of every gene, (n_cells, rank).
    """

    decoder: np.ndarray
    of_gene: list[np.ndarray]

    @classmethod
    def of(
        cls,
        activity: np.ndarray,
        weight: np.ndarray,
        network: Network,
        scale: np.ndarray,
        covariates: np.ndarray | None,
    ) -> _Fitted:
        """Bases of the weights, and of constant, covariates and regulators of every gene."""
        decoder = np.zeros((network.n_genes, network.n_regulators))
        decoder[network.gene, network.regulator] = weight / scale[network.gene]
        known = np.ones((len(activity), 1))
        if covariates is not None:
            known = np.column_stack([known, covariates])
        edges = np.split(network.regulator, network.indptr[1:-1])
        of_gene = [_basis(np.column_stack([known, activity[:, own]])) for own in edges]
        return cls(_basis(decoder), of_gene)

    @property
    def free(self) -> np.ndarray:
        """Share of its noise that every gene keeps, ``(n_genes,)``, as if both bases were orthogonal."""
        n_cells = len(self.of_gene[0])
        of_weights = 1 - np.array([basis.shape[1] for basis in self.of_gene]) / n_cells
        of_activities = 1 - np.square(self.decoder).sum(axis=1, dtype=np.float64)
        return np.maximum(of_weights * of_activities, _LEAST_FREE)

    def take_out(self, e: np.ndarray) -> np.ndarray:
        """Project ``e`` (n_genes, n_cells, n) on what is orthogonal to all directions, by turns; float32."""
        out = np.array(e, dtype=np.float32)
        flat = out.reshape(len(out), -1)  # a view
        last = np.inf
        for _ in range(_SWEEPS):
            for gene, basis in zip(out, self.of_gene, strict=True):
                gene -= basis @ (basis.T @ gene)
            flat -= self.decoder @ (self.decoder.T @ flat)
            size = float(np.vdot(flat, flat))
            if last - size <= _TOL * size:
                break
            last = size
        return out


def _basis(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis of columns, whatever their units, float32."""
    length = np.linalg.norm(columns, axis=0)
    u, singular, _ = np.linalg.svd(columns[:, length > 0] / length[length > 0], full_matrices=False)
    return np.ascontiguousarray(u[:, singular > _TELLABLE * singular.max(initial=0)], np.float32)


def _gram(a: np.ndarray) -> np.ndarray:
    """Of the shorter side."""
    return (a @ a.T if len(a) <= a.shape[1] else a.T @ a).astype(np.float64)


def _largest(a: np.ndarray) -> float:
    """Largest singular value."""
    gram = _gram(a)
    last = len(gram) - 1
    return float(np.sqrt(max(eigvalsh(gram, subset_by_index=[last, last])[0], 0.0)))


def _decompose(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular values, the largest first, and singular vectors of rows and of columns."""
    squares, vectors = eigh(_gram(a))
    singular, vectors = np.sqrt(np.maximum(squares[::-1], 0)), vectors[:, ::-1]
    across = (a.T if len(a) <= a.shape[1] else a) @ vectors
    across = np.divide(across, singular, out=np.zeros_like(across), where=singular > 0)
    return (singular, vectors, across) if len(a) <= a.shape[1] else (singular, across, vectors)


def _size(rows: np.ndarray) -> np.ndarray:
    """Root mean square of every row."""
    return np.sqrt(np.square(rows, dtype=np.float64).mean(axis=1))


def _nothing(n_cells: int, n_genes: int) -> Unexplained:
    """No residuals, and no programme."""
    genes, cells = np.zeros((n_genes, 0)), np.zeros((n_cells, 0))
    return Unexplained(np.zeros(0), genes, cells, genes, np.zeros(0), float("nan"))
