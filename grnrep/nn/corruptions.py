"""What is done in training to the data that an encoder sees: noise, or parts that are missing."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from grnrep.nn._draw import normal_like, uniform_like


class GaussianNoise(nn.Module):
    """Add normal noise to every feature in training; do nothing in evaluation.

    Parameters
    ----------
    sd
        Standard deviation of the noise, in units of the data.

    Raises
    ------
    ValueError
        If it is negative.

    References
    ----------
    Vincent et al. (2010), Stacked denoising autoencoders, JMLR 11:3371.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import GaussianNoise
    >>> x = torch.zeros(1000, 2)
    >>> seen = GaussianNoise(0.5)(x, generator=torch.Generator().manual_seed(0))
    >>> bool(abs(seen.std() - 0.5) < 0.05), bool((GaussianNoise(0.5).eval()(x) == x).all())
    (True, True)
    """

    def __init__(self, sd: float):
        super().__init__()
        if not 0 <= sd < math.inf:
            raise ValueError(f"sd must not be negative; found {sd!r}")
        self.sd = float(sd)

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Corrupted data, of the shape of ``x``."""
        return x + self.sd * normal_like(x, generator) if self.training else x

    def extra_repr(self) -> str:
        """Size of the noise, for printing."""
        return f"sd={self.sd}"


class Masking(nn.Module):
    """Set every feature to zero with one probability in training; do nothing in evaluation.

    What remains is not scaled up.

    Parameters
    ----------
    p
        Probability that a feature is set to zero.

    Raises
    ------
    ValueError
        If it is not in [0, 1].

    References
    ----------
    Vincent et al. (2008), Extracting and composing robust features with denoising autoencoders, ICML.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Masking
    >>> seen = Masking(0.25)(torch.ones(1000, 2), generator=torch.Generator().manual_seed(0))
    >>> bool(abs(seen.mean() - 0.75) < 0.05), seen.unique().tolist()
    (True, [0.0, 1.0])
    """

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must lie in [0, 1]; found {p!r}")
        self.p = float(p)

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Corrupted data, of the shape of ``x``."""
        return x * (uniform_like(x, generator) >= self.p) if self.training else x

    def extra_repr(self) -> str:
        """Probability, for printing."""
        return f"p={self.p}"
