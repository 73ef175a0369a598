"""The sparse masked decoder as a layer: one parameter per edge, hidden units are the regulators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from grnrep.core.linalg import Pattern
from grnrep.core.network import Network


class _Product(torch.autograd.Function):
    """(weight, z) → W z, with gradients at the edges only."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, z: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(weight, z)
        ctx.pattern = pattern
        return pattern.matmul(weight, z)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
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
