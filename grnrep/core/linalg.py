"""Linear algebra of the solver: products with a sparse decoder, and systems, of which some may be singular.

Collinear regulators, and a ridge of zero or near it, make normal equations singular.
Rounding decides whether a Cholesky factorisation of a singular matrix succeeds. Where it does, what it gives
is noise, divided by rounding. Steps are corrections, so they can be damped instead: with (A + μD)⁻¹ for A⁻¹,
D the diagonal of A, they minimise what they did plus μ times the squared length of the step. That still
lies above the objective and touches it: the objective cannot rise, and steps end where they ended.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from grnrep.core.kernels import Rows, add_gram, edge_products
from grnrep.core.network import Network

with warnings.catch_warnings():
    # torch says once a process that CSR tensors are "beta"; the notice is not for our users
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 1], [0], [0.0], size=(1, 1), check_invariants=False)

_PER_EDGE = 3  # entries of W per edge up to which W'W is better made of a dense W
# Share of a column that the others do not explain, below which it is rounding. An inverse in float32 is off
# by 6e-8 of its largest eigenvalue; steps with it contract where condition numbers are well below 1 / 6e-8.
_TELLABLE = {torch.float32: 1e-6, torch.float64: 1e-9}
_ATTEMPTS = 7  # at damping, each with ten times as much


class Pattern(nn.Module):
    """Positions of the edges in the weight matrix (n_genes, n_regulators), by row and by column.

    Holds only index buffers, so it moves between devices with the module that
    owns it. All products below cost the number of edges times the number of cells.
    """

    gene: Tensor
    regulator: Tensor
    indptr: Tensor
    order_t: Tensor
    gene_t: Tensor
    indptr_t: Tensor

    def __init__(self, network: Network):
        super().__init__()
        order = network.transpose_order
        targets = network.targets_per_regulator()
        self.shape = (network.n_genes, network.n_regulators)
        for name, value in {
            "gene": network.gene,
            "regulator": network.regulator,
            "indptr": network.indptr,
            "order_t": order,
            "gene_t": network.gene[order],
            "indptr_t": np.concatenate([[0], np.cumsum(targets)]),
        }.items():
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.int64), persistent=False)

    def matrix(self, weight: Tensor) -> Tensor:
        """Weights as a CSR matrix (n_genes, n_regulators)."""
        return torch.sparse_csr_tensor(
            self.indptr, self.regulator, weight, size=self.shape, check_invariants=False
        )

    def matrix_t(self, weight: Tensor) -> Tensor:
        """Transposed weights as a CSR matrix (n_regulators, n_genes)."""
        return torch.sparse_csr_tensor(
            self.indptr_t,
            self.gene_t,
            weight[self.order_t],
            size=self.shape[::-1],
            check_invariants=False,
        )

    @cached_property
    def _positions(self) -> dict[int, tuple[np.ndarray, ...]]:
        """Of the first columns of W, and of their transpose, as compiled code reads them, by how many these are."""
        parts = (self.indptr, self.regulator, self.indptr_t, self.gene_t)
        return {self.shape[1]: tuple(part.cpu().numpy().astype(np.int32) for part in parts)}

    def rows(self, weight: Tensor, n_columns: int | None = None) -> tuple[Rows, Rows]:
        """W, or its first columns, and its transpose for compiled code; on the CPU only."""
        n = self.shape[1] if n_columns is None else n_columns
        values, values_t = weight.numpy(), weight[self.order_t].numpy()
        if n not in self._positions:
            indptr, regulator, indptr_t, gene_t = self._positions[self.shape[1]]
            first, last = regulator < n, indptr_t[n]
            before = np.append(0, np.cumsum(first))[indptr].astype(np.int32)
            self._positions[n] = (before, regulator[first], indptr_t[: n + 1], gene_t[:last])
        indptr, regulator, indptr_t, gene_t = self._positions[n]
        if n < self.shape[1]:
            first = self._positions[self.shape[1]][1] < n
            values, values_t = values[first], values_t[: len(gene_t)]
        return Rows(indptr, regulator, values), Rows(indptr_t, gene_t, values_t)

    def matmul(self, weight: Tensor, z: Tensor) -> Tensor:
        """W z: from (n_regulators, n_cells) to (n_genes, n_cells)."""
        return self.matrix(weight) @ z

    def matmul_t(self, weight: Tensor, r: Tensor) -> Tensor:
        """Wᵀ r: from (n_genes, n_cells) to (n_regulators, n_cells)."""
        return self.matrix_t(weight) @ r

    def gram(self, weight: Tensor) -> Tensor:
        """W'W, dense (n_regulators, n_regulators)."""
        if weight.is_cuda or self.shape[0] * self.shape[1] <= _PER_EDGE * len(self.gene):
            dense = self.matrix(weight).to_dense()
            return dense.mT @ dense
        out = np.zeros((self.shape[1], self.shape[1]), dtype=weight.detach().numpy().dtype)
        add_gram(self.indptr.numpy(), self.regulator.numpy(), weight.detach().numpy(), out)
        return torch.from_numpy(out)

    def edge_products(self, r: Tensor, z: Tensor) -> Tensor:
        """Σ_cells r[gene] · z[regulator] for every edge, shape (n_edges,); never a dense matrix."""
        if r.device.type == "cpu":
            out = r.new_empty(len(self.gene))
            given = (self.indptr, self.regulator, r.contiguous(), z.contiguous(), out)
            edge_products(*(part.detach().numpy() for part in given))
            return out
        zero = self.matrix(r.new_zeros(len(self.gene)))
        return torch.sparse.sampled_addmm(zero, r, z.mT).values()


def inverse_spd(system: Tensor, precision: torch.dtype) -> Tensor:
    """Inverse of a symmetric positive semi-definite matrix (k, k), damped if it is singular to rounding.

    ``precision`` is that of the data behind it, and of products with the inverse.
    """
    return torch.cholesky_inverse(_factor(system[None], precision)[0])


def solve_spd(system: Tensor, rhs: Tensor, precision: torch.dtype) -> Tensor:
    """Solve a batch of systems, (b, k, k) and (b, k, 1), damped where they are singular to rounding."""
    return torch.cholesky_solve(rhs, _factor(system, precision))


def soundness(precision: torch.dtype) -> tuple[float, np.ndarray]:
    """Share of a column below which it is rounding, and by which shares of the diagonal systems are damped in turn."""
    least = _TELLABLE[precision]
    return least, np.array([0.0, *(2 * least * 10.0**k for k in range(_ATTEMPTS))])


def _factor(system: Tensor, precision: torch.dtype) -> Tensor:
    """Cholesky factors (b, k, k) of systems, or of systems damped as little as makes every pivot sound."""
    least, dampings = soundness(precision)
    factor, info = torch.linalg.cholesky_ex(system)
    for damping in dampings:
        diagonal = system.diagonal(dim1=1, dim2=2)
        # l_ii² / a_ii is the share of column i that the columns before it do not explain
        pivot = factor.diagonal(dim1=1, dim2=2).square()
        bad = (info != 0) | ~(pivot > least * diagonal).all(1)
        if not bool(bad.any()):
            break
        # columns of zeros, whose right sides are zero too, get any pivot
        more = torch.where(diagonal[bad] > 0, damping * diagonal[bad], 1.0)
        factor[bad], info[bad] = torch.linalg.cholesky_ex(system[bad] + torch.diag_embed(more))
    return factor


def conjugate_gradients(
    residual: Tensor,
    apply: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Solve a system in every column, all at once, from zero; solutions and residuals after every iteration.

    The right sides are the first ``residual`` (k, n); ``apply`` and ``precondition`` are what the systems, and
    approximate inverses of them, make of columns. A column stays where it meets a direction that its system does
    not resist (Steihaug 1983): of zeros, if that is the first.
    """
    y = precondition(residual)
    x, direction, slope = torch.zeros_like(residual), y, (residual * y).sum(0)
    going = torch.ones_like(slope, dtype=torch.bool)
    while True:
        product = apply(direction)
        resisted = (direction * product).sum(0)
        going = going & (resisted > 0)
        length = torch.where(going, _ratio(slope, resisted), 0.0)
        x = x + length * direction
        residual = residual - length * product
        yield x, residual
        y = precondition(residual)
        following = (residual * y).sum(0)
        direction = y + _ratio(following, slope) * direction
        slope = following


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Quotient, or 0 where rounding has left nothing to divide by: a system that is solved stays as it is."""
    ratio = a / b
    return torch.where((b > 0) & ratio.isfinite(), ratio, 0.0)
