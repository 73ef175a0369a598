"""Products of a network in half the bits while it learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bfloat16(nn.Module):
    """A network whose products are in bfloat16 where gradients are asked, and as they are elsewhere.

    Parameters, gradients and what comes out stay in single precision, so that the loss is one of
    exact differences: in bfloat16, with 8 bits, training diverges. Errors and reconstructions,
    which need no gradients, are those of the network itself. Processors with units for such
    products (AMX, GPUs) train convolutions in half the time and less.

    Parameters
    ----------
    network
        Encoder or decoder.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Bfloat16, linear
    >>> network = linear(5, 2)
    >>> x = torch.rand(3, 5)
    >>> with torch.no_grad():
    ...     exact = Bfloat16(network)(x)
    >>> bool((exact == network(x)).all()), Bfloat16(network)(x).dtype
    (True, torch.float32)
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map as the network does."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=torch.is_grad_enabled()):
            made = self.network(x)
        return made.to(x.dtype)
