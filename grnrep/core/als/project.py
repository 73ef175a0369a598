"""Activities of any cells under the decoder of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from grnrep.core.als.cells import MAX_ITER, CellSolver
from grnrep.core.als.data import cuts, precision_of
from grnrep.core.als.expectation import Cells
from grnrep.core.als.genes import GeneSolver
from grnrep.core.als.moments import Sums
from grnrep.core.als.newton import NewtonCells
from grnrep.core.als.problem import solver_of
from grnrep.core.als.stats import Stats
from grnrep.core.design import full_network, known_columns, prior_precision
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.base import Block, Likelihood
from grnrep.core.likelihoods.counts import size_factors_of
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from grnrep.core.threads import side_by_side

T = TypeVar("T")

# tolerance of activities on the way; at 1e-3 the end of a search hangs on the order of rows
_ROUGH = 1e-4


@dataclass(frozen=True, eq=False)
class Projection:
    """The decoder of a fit, made ready to find the activities of any number of cells.

    Parameters
    ----------
    network
        Edges, those of known columns too.
    pattern
        Their positions.
    n_regulators
        How many of the columns are regulators; free factors follow.
    cells
        What finds representations.
    likelihood
        How expression scatters, with parameters in the precision and on the device of the work.
    intercept
        Whether every gene has one.
    depth
        Total counts of a cell with size factor 1, NaN where size factors have to be given.
    like
        A tensor of the precision and on the device of the work.
    """

    network: Network
    pattern: Pattern
    n_regulators: int
    cells: CellSolver | NewtonCells | Cells
    likelihood: Likelihood
    intercept: bool
    depth: float
    like: Tensor

    @classmethod
    def of(
        cls,
        fit: Fit,
        network: Network,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
    ) -> Projection:
        """Prepare weights, intercepts and ridges of ``fit``, whose edges are those of ``network``."""
        m, (full, weight) = network.n_regulators, full_network(network, fit)
        like = torch.zeros(0, dtype=dtype, device=device)
        likelihood, pattern = fit.likelihood.to(like), Pattern(full).to(like.device)
        w = torch.as_tensor(weight, device=like.device)
        cells: CellSolver | NewtonCells | Cells
        with side_by_side(1):  # the rounding of a factorisation depends on threads
            if fit.covariance is None:
                ridge = np.zeros(m) if fit.ridge is None else fit.ridge
                on_device = torch.as_tensor(ridge, device=like.device)
                cells = solver_of(likelihood, pattern, w.to(like), m, on_device, frozen=True)
            else:
                n_free = m + fit.n_factors
                prior = pad(prior_precision(fit, network), (0, full.n_regulators - n_free))
                noise = torch.as_tensor(fit.noise(), device=like.device)
                censored = not likelihood.zeros_are_values
                cells = Cells.of(
                    pattern, w, noise, prior.to(w.device), like,
                    inflation=fit.inflation, censored=censored,
                )  # fmt: skip
        return cls(full, pattern, m, cells, likelihood, fit.bias is not None, fit.depth, like)

    def __call__(
        self,
        x: np.ndarray,
        covariates: np.ndarray | None = None,
        size_factors: np.ndarray | None = None,
        *,
        max_iter: int = MAX_ITER,
        tol: float | None = None,
    ) -> np.ndarray:
        """Activities (n_cells, m) of cells.

        Parameters
        ----------
        x
            Expression, (n_cells, n_genes).
        covariates, size_factors
            Of these cells, as in the fit; size factors relative to the same depth, by default totals over it.
        max_iter
            Limit of steps.
        tol
            A cell is done when its preconditioned gradient, or a Newton step, is less than this share of its
            representation, or than rounding.

        Raises
        ------
        ValueError
            If the fit was made with size factors of its own, and those of these cells are not given.
        """
        both = self.representation(x, covariates, size_factors, max_iter=max_iter, tol=tol)
        return both[:, : self.n_regulators]

    def representation(
        self,
        x: np.ndarray,
        covariates: np.ndarray | None = None,
        size_factors: np.ndarray | None = None,
        *,
        max_iter: int = MAX_ITER,
        tol: float | None = None,
    ) -> np.ndarray:
        """Activities, then free factors, (n_cells, m); parameters as of a call."""
        m = self.cells.n_free
        out = np.zeros((len(x), m))

        def keep(cut: slice, block: Block, z: Tensor) -> None:
            out[cut] = z[:m].mT.cpu().numpy()

        for _ in self._each_cut(x, covariates, size_factors, keep, max_iter, tol):
            pass
        return out

    def into(self, fit: Fit, x: np.ndarray) -> Fit:
        """The fit with the representations of its cells, with their covariates and expression ``x``."""
        both, m = self.representation(x, fit.covariates), self.n_regulators
        factors = both[:, m:] if fit.n_factors else None
        return replace(fit, activity=both[:, :m], factors=factors)

    def sums(
        self,
        x: np.ndarray,
        covariates: np.ndarray | None = None,
        size_factors: np.ndarray | None = None,
    ) -> Stats:
        """What a decoder step needs of these cells, at activities that are but a step on the way."""
        total = self._genes.no_stats(self.like.device)

        def add(cut: slice, block: Block, z: Tensor) -> Stats:
            part = self._genes.no_stats(self.like.device)
            self._genes.add(part, self.pattern, z, self.cells.work(block, z))
            return part

        for part in self._each_cut(x, covariates, size_factors, add, MAX_ITER, _ROUGH):
            total.merge(part)
        return total

    def expected_sums(self, x: np.ndarray, covariates: np.ndarray | None = None) -> Sums:
        """What a step of the decoder of a fit by evidence needs of these cells, in units of expression."""
        total, cells = Sums.none(self.network, self.like.device), self.expected_cells()

        def add(cut: slice, block: Block, z: Tensor) -> Sums:
            r, loss, hidden = cells.expected(block, cells.without(block.x, z))
            penalty = (z[: cells.n_free] * (cells.prior @ z)).sum(dtype=torch.float64)
            return Sums.at(self.pattern, z, r, hidden, loss, penalty)

        for part in self._each_cut(x, covariates, None, add, MAX_ITER, None):
            total.merge(part)
        return total

    def expected_cells(self) -> Cells:
        """What finds representations, of a fit by evidence."""
        if not isinstance(self.cells, Cells):
            raise TypeError("the decoder is not of a fit by evidence")
        return self.cells

    @cached_property
    def _genes(self) -> GeneSolver:
        shared = self.likelihood.constant_curvature
        return GeneSolver(self.network, self.like.device, shared=shared)

    def _each_cut(
        self,
        x: np.ndarray,
        covariates: np.ndarray | None,
        size_factors: np.ndarray | None,
        use: Callable[[slice, Block, Tensor], T],
        max_iter: int,
        tol: float | None,
    ) -> Iterator[T]:
        """What ``use`` makes of some cells and their representations (m + q, cells), in order."""
        size = self._sizes(x, size_factors)
        known = known_columns(len(x), intercept=self.intercept, covariates=covariates)
        values = torch.as_tensor(np.ascontiguousarray(x)).to(self.like)
        parts = cuts(values)

        def one(cut: slice) -> T:
            block = self.likelihood.block(
                values[cut].mT.contiguous(), None if size is None else size[cut]
            )
            columns = torch.as_tensor(known[cut].T).to(values)
            return use(cut, block, self.cells.project(block, columns, max_iter=max_iter, tol=tol))

        with side_by_side(len(parts)) as each:
            yield from each(one, parts)

    def _sizes(self, x: np.ndarray, size_factors: np.ndarray | None) -> Tensor | None:
        if not self.likelihood.has_sizes:
            return None
        if size_factors is None and not np.isfinite(self.depth):
            raise ValueError(
                "size_factors must be given: the fit was made with size factors of its own"
            )
        return size_factors_of(x, size_factors, self.depth)[0]


def project(
    x: np.ndarray,
    fit: Fit,
    network: Network,
    *,
    covariates: np.ndarray | None = None,
    size_factors: np.ndarray | None = None,
    max_iter: int = MAX_ITER,
    tol: float | None = None,
    device: str | torch.device | None = None,
) -> np.ndarray:
    """Activities (n_cells, m) of cells, once: :meth:`Projection.of` and :meth:`Projection.__call__` in one.

    The precision of ``x`` is that of the work.
    """
    projection = Projection.of(fit, network, dtype=precision_of(x), device=device)
    return projection(x, covariates, size_factors, max_iter=max_iter, tol=tol)
