"""Activities of any cells under the decoder of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.cells import CellSolver, cell_solver, project_cells, quick_solver
from grnrep.core.als.genes import Stats
from grnrep.core.decoder import Pattern
from grnrep.core.design import full_network, known_columns, known_rows
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.gaussian import Observed, check_link
from grnrep.core.network import Network
from grnrep.core.threads import side_by_side

T = TypeVar("T")

_BLOCK = 512  # cells a block at most
_BLOCK_ENTRIES = 2**19  # values a block at most, so that its products stay in the processor's cache
_ROUGH = 1e-4  # tolerance of activities on the way; at 1e-3 the end of a search hangs on the order of rows
_WHOLE = 16  # cells that fill vectors of either precision


@dataclass(frozen=True, eq=False)
class Projection:
    """The decoder of a fit, made ready to find the activities of any number of cells.

    Parameters
    ----------
    n_free
        m, the number of regulators.
    pattern
        Edges, those of known columns too.
    solver
        Of the problems of cells.
    link
        As in :func:`grnrep.core.als.exact.fit_exact`.
    intercept
        Whether every gene has one.
    """

    n_free: int
    pattern: Pattern
    solver: CellSolver
    link: str
    intercept: bool

    @classmethod
    def of(
        cls,
        fit: Fit,
        network: Network,
        *,
        link: str = "relu",
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
    ) -> Projection:
        """Prepare weights, intercepts and ridges of ``fit``, whose edges are those of ``network``."""
        check_link(link)
        m, (full, weight) = network.n_regulators, full_network(network, fit)
        weight = torch.as_tensor(weight).to(device=device, dtype=dtype)
        ridge = (torch.zeros(m) if fit.ridge is None else torch.as_tensor(fit.ridge)).to(
            weight.device
        )
        with side_by_side(1):  # the rounding of a factorisation depends on threads
            pattern = Pattern(full).to(weight.device)
            solver = projector(pattern, weight, m, ridge, link)
        return cls(m, pattern, solver, link, fit.bias is not None)

    def __call__(self, x: np.ndarray, covariates: np.ndarray | None = None) -> np.ndarray:
        """Activities (n_cells, m) of the cells ``x`` (n_cells, n_genes)."""
        out = np.zeros((len(x), self.n_free))

        def keep(cut: slice, here: Observed, z: Tensor) -> None:
            out[cut] = z[: self.n_free].mT.cpu().numpy()

        for _ in self._each_cut(x, covariates, keep):
            pass
        return out

    def sums(self, x: np.ndarray, covariates: np.ndarray | None = None) -> Stats:
        """What a decoder step needs of these cells, at activities that are but a step on the way."""
        total = Stats.zero(
            *self.pattern.shape[1:], len(self.pattern.gene), self.solver.ridge.device
        )

        def add(cut: slice, here: Observed, z: Tensor) -> Stats:
            return Stats.of(self.pattern, z, self.solver.residual(here, z))

        for part in self._each_cut(x, covariates, add, tol=_ROUGH):
            total.merge(part)
        return total

    def _each_cut(
        self,
        x: np.ndarray,
        covariates: np.ndarray | None,
        use: Callable[[slice, Observed, Tensor], T],
        **options: float,
    ) -> Iterator[T]:
        """What ``use`` makes of some cells and their representations (m + q, cells), in order."""
        x = torch.as_tensor(x).to(self.solver.inverse)
        known = known_columns(len(x), intercept=self.intercept, covariates=covariates)
        parts = cuts(x)

        def block(cut: slice) -> T:
            here = Observed.of(x[cut].mT.contiguous(), self.link)
            start = known_rows(here.x, self.n_free, torch.as_tensor(known[cut].T))
            return use(cut, here, project_cells(self.solver, here, start, **options))

        with side_by_side(len(parts)) as each:
            yield from each(block, parts)


def project(
    x: np.ndarray,
    fit: Fit,
    network: Network,
    *,
    link: str = "relu",
    covariates: np.ndarray | None = None,
    device: str | torch.device | None = None,
) -> np.ndarray:
    """Activities of cells under the decoder of a fit, (n_cells, n_regulators).

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes), genes in the order of ``network``; its precision is that of the work.
    fit
        Weights, intercepts and the ridge of every regulator.
    network
        Edges, in the order of ``fit.weight``.
    link, covariates, device
        As in :func:`grnrep.core.als.exact.fit_exact`.
    """
    dtype = torch.as_tensor(x).dtype
    return Projection.of(fit, network, link=link, dtype=dtype, device=device)(x, covariates)


def projector(pattern: Pattern, weight: Tensor, m: int, ridge: Tensor, link: str) -> CellSolver:
    """The solver for cells of a decoder that stays as it is."""
    return (quick_solver if link == "relu" else cell_solver)(pattern, weight, m, ridge)


def cuts(x: Tensor) -> list[slice]:
    """Cells in blocks."""
    size = max(1, min(_BLOCK, _BLOCK_ENTRIES // max(1, x.shape[1])))
    if size > _WHOLE:
        size -= size % _WHOLE
    return [slice(k, k + size) for k in range(0, len(x), size)]
