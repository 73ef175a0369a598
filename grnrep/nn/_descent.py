"""What fitting and projecting by gradients share: one epoch over batches of cells, and its checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from grnrep.core.network import Network
from grnrep.nn.representation import Representation
from grnrep.nn.sparse import SparseLinear

Matrix: TypeAlias = np.ndarray | sparse.sparray | sparse.spmatrix


class Rows:
    """Expression of batches of cells as dense tensors on a device; a sparse matrix stays sparse at rest."""

    def __init__(self, x: Matrix, device: torch.device | str | None):
        self.shape = x.shape
        self.dtype = torch.float64 if x.dtype == np.float64 else torch.float32
        self.device = torch.device("cpu" if device is None else device)
        kind = np.float64 if self.dtype == torch.float64 else np.float32
        if sparse.issparse(x):
            self._values = sparse.csr_array(x, dtype=kind)
        else:
            self._values = torch.as_tensor(np.ascontiguousarray(x, dtype=kind), device=self.device)

    def __getitem__(self, rows: Tensor) -> Tensor:
        if isinstance(self._values, Tensor):
            return self._values.index_select(0, rows)
        return torch.from_numpy(self._values[rows.cpu().numpy()].toarray()).to(self.device)


def check(x: Matrix, network: Network, **numbers: float) -> None:
    """Raise ``ValueError`` where x does not fit the network or a number is out of range."""
    if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] != network.n_genes:
        raise ValueError(
            f"x must have shape (n_cells > 0, {network.n_genes}); found {tuple(x.shape)}"
        )
    if not np.isfinite(x.data if sparse.issparse(x) else x).all():
        raise ValueError("x must be finite; found NaN or infinite values")
    for name in ("epochs", "batch_size"):
        if numbers[name] != int(numbers[name]) or numbers[name] < 1:
            raise ValueError(
                f"{name} must be a whole number of at least 1; found {numbers[name]!r}"
            )
    for name in ("lr", "lr_activity"):
        if name in numbers and not 0 < numbers[name] < math.inf:
            raise ValueError(f"{name} must be positive; found {numbers[name]!r}")
    if not 0 <= numbers.get("momentum", 0) < 1:
        raise ValueError(f"momentum must lie in [0, 1); found {numbers['momentum']!r}")
    if not 0 <= numbers.get("weight_decay", 0) < math.inf:
        raise ValueError(f"weight_decay must not be negative; found {numbers['weight_decay']!r}")


def run_epoch(
    x: Rows,
    representation: Representation,
    decoder: SparseLinear,
    error: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[Tensor],
    *,
    batch_size: int,
    optimizer: torch.optim.Optimizer | None = None,
) -> float:
    """Visit every batch; return the mean of the squared errors over cells and genes.

    Gradients of the representations add up; ``optimizer``, of the decoder,
    steps after every batch. The loss of a batch is its sum of squared errors
    divided by ``batch_size``, whatever its own size, so that every cell weighs
    the same.
    """
    n_cells, n_genes = x.shape
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for rows in batches:
        rows = rows.to(x.device)
        off = error(x[rows], decoder(representation(rows)))
        loss = (off * off).sum() / batch_size
        if optimizer is not None:
            optimizer.zero_grad()
        loss.backward()
        if optimizer is not None:
            optimizer.step()
        total += loss.detach()
    mean = float(total) * batch_size / (n_cells * n_genes)
    if not math.isfinite(mean):
        raise FloatingPointError(
            "the gradient descent diverged; lower lr and lr_activity, or scale x down"
        )
    return mean
