"""Eq. 6 of Schuster & Krogh (2021), drawn in blocks of cells with a random stream each.

A block's draws depend on the seed and the block's number alone. So the cells
are the same in memory and on disk, and the first cells are the same whatever
the number of cells. Every quantity has its own stream, so that noise or counts
can be changed without changing the network and the activities.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import scipy.sparse as sp
from scipy import special

BLOCK = 256  # cells per random stream
REFERENCE = 4 * BLOCK  # cells on which the intercepts are set


class Stream(IntEnum):
    """What a random stream is for; part of its key, so the numbers must not change."""

    NETWORK = 0
    ACTIVITY = 1
    NOISE = 2
    LIBRARY = 3
    DISPERSION = 4
    COUNTS = 5


def new_seed(rng: np.random.Generator) -> tuple[int, ...]:
    """128 bits from a generator, the seed of all streams of one simulation."""
    return tuple(rng.integers(2**32, size=4).tolist())


def stream(seed: tuple[int, ...], *key: int) -> np.random.Generator:
    """Make the generator of one stream."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def block_rows(n_obs: int) -> list[slice]:
    """Rows of every block."""
    return [slice(start, min(start + BLOCK, n_obs)) for start in range(0, n_obs, BLOCK)]


def draw_activity(
    seed: tuple[int, ...],
    n_obs: int,
    n_regulators: int,
    *,
    shape: float,
    scale: float,
    correlation: float,
) -> np.ndarray:
    """Draw gamma activities, (n_obs, n_regulators) float32.

    With a correlation, standard normals that share one common part per cell are
    mapped to gamma quantiles (a Gaussian copula), which keeps the margins.
    """
    out = np.empty((n_obs, n_regulators), dtype=np.float32)
    for k, rows in enumerate(block_rows(n_obs)):
        rng, size = stream(seed, Stream.ACTIVITY, k), (rows.stop - rows.start, n_regulators)
        if correlation == 0:
            unit = rng.standard_gamma(shape, size=size)
        else:
            normal = rng.standard_normal((size[0], n_regulators + 1))
            normal = np.sqrt(correlation) * normal[:, :1] + np.sqrt(1 - correlation) * normal[:, 1:]
            # The upper tail, because 1 - Φ keeps its precision where Φ rounds to 1.
            unit = special.gammainccinv(shape, special.ndtr(-normal))
        out[rows] = scale * unit
    return out


def draw_library(seed: tuple[int, ...], n_obs: int, *, size: float, sd: float) -> np.ndarray:
    """Draw the expected number of counts per cell, log-normal with mean ``size``, (n_obs,) float64."""
    blocks = [
        stream(seed, Stream.LIBRARY, k).standard_normal(rows.stop - rows.start)
        for k, rows in enumerate(block_rows(n_obs))
    ]
    return size * np.exp(sd * np.concatenate(blocks) - sd**2 / 2)


@dataclass(frozen=True, eq=False)
class Expression:
    """Expression of cells whose activities are known.

    Parameters
    ----------
    seed
        Of all streams.
    weight
        CSR, genes × regulators, float32.
    activity
        (n_obs, n_regulators) float32.
    noise_sd
        Standard deviation of the noise inside the ReLU.
    intercept
        (n_genes,) float32, or None.
    """

    seed: tuple[int, ...]
    weight: sp.csr_array
    activity: np.ndarray
    noise_sd: float
    intercept: np.ndarray | None = None

    def preactivation(self, k: int) -> np.ndarray:
        """Draw b + W z + ε of block k, (n_cells, n_genes) float32."""
        z = self.activity[k * BLOCK : (k + 1) * BLOCK]
        p = np.ascontiguousarray((self.weight @ np.ascontiguousarray(z.T)).T)
        if self.noise_sd > 0:
            noise = stream(self.seed, Stream.NOISE, k).standard_normal(p.shape, dtype=np.float32)
            p += np.multiply(noise, np.float32(self.noise_sd), out=noise)
        return p if self.intercept is None else p + self.intercept

    def block(self, k: int) -> np.ndarray:
        """Draw the expression of block k, Eq. 6, (n_cells, n_genes) float32."""
        p = self.preactivation(k)
        return np.maximum(p, 0, out=p)


def thresholds(
    seed: tuple[int, ...],
    weight: sp.csr_array,
    noise_sd: float,
    zero_fraction: float,
    **gamma: float,
) -> np.ndarray:
    """Find intercepts that make a fraction of every gene's entries zero, (n_genes,) float32.

    Set on the first ``REFERENCE`` cells, wanted or not, so that they do not
    depend on the number of cells simulated.
    """
    activity = draw_activity(seed, REFERENCE, weight.shape[1], **gamma)
    reference = Expression(seed, weight, activity, noise_sd)
    p = np.concatenate([reference.preactivation(k) for k in range(len(block_rows(REFERENCE)))])
    return -np.quantile(p, zero_fraction, axis=0, overwrite_input=True).astype(np.float32)


def draw_counts(
    seed: tuple[int, ...], k: int, x: np.ndarray, library: np.ndarray, *, dispersion: float | None
) -> sp.csr_array:
    """Draw counts of block k given its expression: Poisson, or negative binomial with a dispersion.

    The expected count is the cell's library size times the gene's share of the
    cell's expression. The negative binomial has variance μ + dispersion · μ².
    """
    out = sp.csr_array(x, dtype=np.float64)  # a gene without expression has no counts
    total = out.sum(axis=1)
    mean = out.data * np.repeat(library / np.where(total > 0, total, 1), np.diff(out.indptr))
    if dispersion is not None:
        mean *= stream(seed, Stream.DISPERSION, k).gamma(1 / dispersion, dispersion, size=len(mean))
    out.data = stream(seed, Stream.COUNTS, k).poisson(mean).astype(np.int32)
    out.eliminate_zeros()
    return out
