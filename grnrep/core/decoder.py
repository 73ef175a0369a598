"""The sparse masked decoder: one parameter per edge, hidden units are the regulators."""

from __future__ import annotations

import warnings
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from grnrep.core.kernels import Rows, add_gram
from grnrep.core.network import Network

with warnings.catch_warnings():
    # torch says once a process that CSR tensors are "beta"; the notice is not for our users
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 1], [0], [0.0], size=(1, 1), check_invariants=False)

_DENSE = 2**18  # entries up to which a weight matrix is small
_PER_EDGE = 4  # entries per edge up to which it is better dense
_GATHER_BYTES = 2**26  # block size of the portable edge kernel, in bytes


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
    def _positions(self) -> tuple[np.ndarray, ...]:
        """Of W and of W', as compiled code reads them."""
        parts = (self.indptr, self.regulator, self.indptr_t, self.gene_t)
        return tuple(part.cpu().numpy().astype(np.int32) for part in parts)

    def rows(self, weight: Tensor) -> tuple[Rows, Rows]:
        """W and W' for compiled code; on the CPU only."""
        indptr, regulator, indptr_t, gene_t = self._positions
        return Rows(indptr, regulator, weight.numpy()), Rows(
            indptr_t, gene_t, weight[self.order_t].numpy()
        )

    def matmul(self, weight: Tensor, z: Tensor) -> Tensor:
        """W z: from (n_regulators, n_cells) to (n_genes, n_cells)."""
        return self.matrix(weight) @ z

    def matmul_t(self, weight: Tensor, r: Tensor) -> Tensor:
        """Wᵀ r: from (n_genes, n_cells) to (n_regulators, n_cells)."""
        return self.matrix_t(weight) @ r

    def gram(self, weight: Tensor) -> Tensor:
        """W'W, dense (n_regulators, n_regulators)."""
        if weight.is_cuda or self.shape[0] * self.shape[1] <= max(
            _DENSE, _PER_EDGE * len(self.gene)
        ):
            return self.matrix_t(weight) @ self.matrix(weight).to_dense()
        out = np.zeros((self.shape[1], self.shape[1]), dtype=weight.detach().numpy().dtype)
        add_gram(self.indptr.numpy(), self.regulator.numpy(), weight.detach().numpy(), out)
        return torch.from_numpy(out)

    def edge_products(self, r: Tensor, z: Tensor) -> Tensor:
        """Σ_cells r[gene] · z[regulator] for every edge, shape (n_edges,); never a dense matrix."""
        if r.is_cuda or torch.backends.mkl.is_available():
            zero = self.matrix(r.new_zeros(len(self.gene)))
            return torch.sparse.sampled_addmm(zero, r, z.mT).values()
        out = r.new_empty(len(self.gene))
        step = max(1, _GATHER_BYTES // (r.element_size() * max(1, r.shape[1])))
        for start in range(0, len(out), step):
            edges = slice(start, start + step)
            out[edges] = (r[self.gene[edges]] * z[self.regulator[edges]]).sum(1)
        return out


class _Product(torch.autograd.Function):
    """(weight, z) → W z, with gradients at the edges only."""

    @staticmethod
    def forward(ctx, weight: Tensor, z: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(weight, z)
        ctx.pattern = pattern
        return pattern.matmul(weight, z)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor):
        weight, z = ctx.saved_tensors
        grad = grad.contiguous()
        grad_weight = ctx.pattern.edge_products(grad, z) if ctx.needs_input_grad[0] else None
        grad_z = ctx.pattern.matmul_t(weight, grad) if ctx.needs_input_grad[1] else None
        return grad_weight, grad_z, None


class SparseLinear(nn.Module):
    """Linear map with one parameter per edge of a network.

    Computes ``z @ W.T + b`` where ``W`` (n_genes, n_regulators) is non-zero at
    the edges only. Forward and backward cost the number of edges times the
    number of cells; no dense weight matrix and no dense gradient is built.

    Parameters
    ----------
    network
        Edges; fixes the order of :attr:`weight`.
    bias
        Whether every gene has an intercept. Starts at zero.
    weight
        Start values, one per edge in the order of ``network``. By default
        uniform in ±1/sqrt(n_regulators), as ``torch.nn.Linear`` does.
    dtype, device
        Of the parameters.
    generator
        Source of randomness for the default start values.

    Attributes
    ----------
    weight
        Parameter of shape ``(n_edges,)``.
    bias
        Parameter of shape ``(n_genes,)`` or None.

    Examples
    --------
    >>> import torch
    >>> from grnrep.core.network import Network
    >>> from grnrep.nn import SparseLinear
    >>> network = Network.from_edges([0, 1, 1], [0, 0, 1], [0, 0, 0], n_genes=2, n_regulators=2)
    >>> layer = SparseLinear(network, bias=False, weight=torch.tensor([1.0, 2.0, 3.0]))
    >>> layer(torch.tensor([[1.0, 10.0]])).tolist()
    [[1.0, 32.0]]
    """

    def __init__(
        self,
        network: Network,
        *,
        bias: bool = True,
        weight: Tensor | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.pattern = Pattern(network)
        if weight is None:
            unit = torch.rand(network.n_edges, generator=generator, dtype=torch.float64)
            bound = max(1, network.n_regulators) ** -0.5
            weight = ((2 * unit - 1) * bound).to(dtype or torch.get_default_dtype())
        elif weight.shape != (network.n_edges,):
            raise ValueError(
                f"weight must have shape ({network.n_edges},); found {tuple(weight.shape)}"
            )
        self.weight = nn.Parameter(weight.to(dtype=dtype, device=device, copy=True))
        zeros = torch.zeros(network.n_genes, dtype=self.weight.dtype, device=device)
        self.bias = nn.Parameter(zeros) if bias else None
        self.to(device)

    def forward(self, z: Tensor) -> Tensor:
        """Map representations (n_cells, n_regulators) to pre-activations (n_cells, n_genes)."""
        if z.ndim != 2 or z.shape[1] != self.pattern.shape[1]:
            raise ValueError(
                f"z must have shape (n_cells, {self.pattern.shape[1]}); found {tuple(z.shape)}"
            )
        out = _Product.apply(self.weight, z.mT.contiguous(), self.pattern).mT
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        n_genes, n_regulators = self.pattern.shape
        sizes = f"regulators={n_regulators}, genes={n_genes}, edges={len(self.weight)}"
        return f"{sizes}, bias={self.bias is not None}"
