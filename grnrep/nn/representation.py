"""Where z comes from without an encoder: a table with one learned row per cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Representation(nn.Module):
    """One learned representation per cell.

    Looking up a batch costs the batch alone, and so does its gradient where
    ``table.grad`` is a dense tensor before the backward pass
    (``optimizer.zero_grad(set_to_none=False)`` keeps it one): the gradients of
    the rows are then added in place, over as many batches as one likes.

    Parameters
    ----------
    n_cells, n_regulators
        Shape of the table.
    init
        Start values ``(n_cells, n_regulators)``, by default uniform in [0, 1). Zeros
        would be a dead point: under ReLU without intercept no gradient reaches the
        table or the decoder.
    generator
        Source of randomness for the default start values.
    dtype, device
        Of the table.

    Attributes
    ----------
    table
        Parameter of shape ``(n_cells, n_regulators)``.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Representation
    >>> z = Representation(3, 2, init=torch.tensor([[0.0, -1.0], [2.0, 3.0], [4.0, 4.0]]))
    >>> z(torch.tensor([2, 0])).tolist()
    [[4.0, 4.0], [0.0, -1.0]]
    """

    def __init__(
        self,
        n_cells: int,
        n_regulators: int,
        *,
        init: Tensor | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ):
        super().__init__()
        if init is None:
            init = torch.rand(n_cells, n_regulators, generator=generator, dtype=torch.float64)
            init = init.to(dtype or torch.get_default_dtype())
        elif init.shape != (n_cells, n_regulators):
            raise ValueError(
                f"init must have shape ({n_cells}, {n_regulators}); found {tuple(init.shape)}"
            )
        self.table = nn.Parameter(init.to(dtype=dtype, device=device, copy=True))
        self.table.grad = torch.zeros_like(self.table)

    def forward(self, rows: Tensor) -> Tensor:
        """Representations of the cells with these indices, ``(len(rows), n_regulators)``."""
        return functional.embedding(rows, self.table, sparse=True)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        n_cells, n_regulators = self.table.shape
        return f"cells={n_cells}, regulators={n_regulators}"
