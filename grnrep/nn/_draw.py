"""Random numbers from a generator, on the device of the tensor that they belong to."""

from __future__ import annotations

import torch
from torch import Tensor


def normal_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw from N(0, 1), one for every entry of ``x``; the same numbers on every device."""
    return torch.randn(
        x.shape, generator=generator, dtype=x.dtype, device=_device(x, generator)
    ).to(x.device)


def uniform_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw uniformly from [0, 1), one for every entry of ``x``."""
    return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=_device(x, generator)).to(
        x.device
    )


def _device(x: Tensor, generator: torch.Generator | None) -> torch.device:
    return x.device if generator is None else generator.device
