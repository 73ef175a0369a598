"""What is known of every cell beside the expression of the network's genes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from grnrep._covariates import Covariates
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.rows.scan import Scan


@dataclass(frozen=True, eq=False)
class Cells:
    """Facts on cells, in the order of the data.

    Parameters
    ----------
    covariates
        Known columns (n_cells, n_columns), or None.
    size_factors
        Of counts, ``(n_cells,)``, else None.
    depth
        Total counts of a cell with size factor 1; of counts.
    """

    covariates: np.ndarray | None = None
    size_factors: np.ndarray | None = None
    depth: float | None = None

    @property
    def n_covariates(self) -> int:
        """Number of known columns."""
        return 0 if self.covariates is None else self.covariates.shape[1]

    def part(self, which: np.ndarray) -> Cells:
        """Some of the cells."""
        covariates, size_factors = (
            None if a is None else a[which] for a in (self.covariates, self.size_factors)
        )
        return Cells(covariates, size_factors, self.depth)

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Expression of these cells, or counts over size factors."""
        return x if self.size_factors is None else x / self.size_factors[:, None].astype(x.dtype)


def is_count(likelihood: object) -> bool:
    """Whether this is a likelihood of counts."""
    return likelihood in LIKELIHOODS and LIKELIHOODS[str(likelihood)].has_sizes


def link_of(likelihood: str) -> str:
    """What zeros say: nothing of their own ("identity"), or only that the sum is not positive ("relu").

    Few counts say as little as zeros that are censored.
    """
    return "identity" if LIKELIHOODS[likelihood].zeros_are_values else "relu"


@dataclass(frozen=True)
class Model:
    """What expression is taken for: a likelihood, and whether every gene has an intercept."""

    likelihood: str
    intercept: bool

    @property
    def counts(self) -> bool:
        """Whether expression is counts."""
        return is_count(self.likelihood)

    @property
    def link(self) -> str:
        """What zeros say, "relu" or "identity"."""
        return link_of(self.likelihood)


def read_cells(
    adata: AnnData,
    scan: Scan,
    covariates: Covariates | None,
    *,
    counts: bool,
    depth: float | None = None,
    name: str = "adata",
) -> Cells:
    """Read facts on the cells of ``adata``.

    Size factors are total counts over all genes by ``depth``, by default the median total.
    """
    known = None if covariates is None else covariates.values(adata, name=name)
    if not counts:
        return Cells(known)
    total = np.maximum(scan.depth, 1.0)  # a cell without counts has a depth too
    depth = float(np.median(total)) if depth is None else depth
    return Cells(known, total / depth, depth)
