"""What a decoder explains: noise models, each with the way from its parameters to a prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

_LINKS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "identity": lambda p: p,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}
_SUPPORT: Final = {
    "identity": (-math.inf, math.inf),
    "sigmoid": (0.0, 1.0),
    "relu": (0.0, math.inf),
}


class NoiseModel(Protocol):
    """What a module must do to be the loss of a model."""

    @property
    def support(self) -> tuple[float, float]:
        """Least and largest value that a prediction can take: beyond them the loss may have no minimum."""

    def mean(self, p: Tensor) -> Tensor:
        """Prediction in units of the data, from the decoder's output."""

    def __call__(self, p: Tensor, x: Tensor) -> Tensor:
        """Loss of every sample, summed over its features, ``(n,)``."""


class SquaredError(nn.Module):
    """Squared error, the Gaussian likelihood with one noise variance.

    Parameters
    ----------
    link
        From the decoder's output p to the prediction: ``"identity"``, ``"sigmoid"`` or ``"relu"`` (Eq. 6).

    Raises
    ------
    ValueError
        If the link is unknown.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import SquaredError
    >>> SquaredError(link="relu")(torch.tensor([[-1.0, 3.0]]), torch.tensor([[0.0, 1.0]])).tolist()
    [4.0]
    """

    def __init__(self, *, link: str = "identity"):
        super().__init__()
        if link not in _LINKS:
            raise ValueError(f"link must be one of {', '.join(_LINKS)}; found {link!r}")
        self.link, self.support = link, _SUPPORT[link]

    def mean(self, p: Tensor) -> Tensor:
        """Prediction in units of the data."""
        return _LINKS[self.link](p)

    def forward(self, p: Tensor, x: Tensor) -> Tensor:
        """Loss of every sample, summed over its features, ``(n,)``."""
        return (self.mean(p) - x).square().flatten(1).sum(1)

    def extra_repr(self) -> str:
        """Link, for printing."""
        return f"link={self.link!r}"


class Bernoulli(nn.Module):
    """Binary cross-entropy of values in [0, 1]; the decoder gives logits.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Bernoulli
    >>> round(float(Bernoulli()(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))), 4)
    1.3863
    """

    support = (0.0, 1.0)

    def __init__(self) -> None:
        super().__init__()

    def mean(self, p: Tensor) -> Tensor:
        """Probability of one."""
        return torch.sigmoid(p)

    def forward(self, p: Tensor, x: Tensor) -> Tensor:
        """Loss of every sample, summed over its features, ``(n,)``."""
        return functional.binary_cross_entropy_with_logits(p, x, reduction="none").flatten(1).sum(1)


class Poisson(nn.Module):
    """Negative log likelihood of counts, up to log x!; the decoder gives log rates.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Poisson
    >>> Poisson()(torch.zeros(1, 2), torch.tensor([[0.0, 3.0]])).tolist()
    [2.0]
    """

    support = (0.0, math.inf)

    def __init__(self) -> None:
        super().__init__()

    def mean(self, p: Tensor) -> Tensor:
        """Rate."""
        return torch.exp(p)

    def forward(self, p: Tensor, x: Tensor) -> Tensor:
        """Loss of every sample, summed over its features, ``(n,)``."""
        return (torch.exp(p) - x * p).flatten(1).sum(1)


class NegativeBinomial(nn.Module):
    r"""Negative log likelihood of overdispersed counts; the decoder gives log means.

    The variance is :math:`\mu + \phi\mu^2`, with one dispersion :math:`\phi` per feature that is learned.

    Parameters
    ----------
    n_features
        Number of features; dispersions start at 1.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import NegativeBinomial
    >>> round(NegativeBinomial(2)(torch.zeros(1, 2), torch.zeros(1, 2)).item(), 4)
    1.3863
    """

    support = (0.0, math.inf)

    def __init__(self, n_features: int):
        super().__init__()
        self.log_dispersion = nn.Parameter(torch.zeros(n_features))

    def mean(self, p: Tensor) -> Tensor:
        """Mean count."""
        return torch.exp(p)

    def forward(self, p: Tensor, x: Tensor) -> Tensor:
        """Loss of every sample, summed over its features, ``(n,)``."""
        size = (-self.log_dispersion).exp()
        total = functional.softplus(p + self.log_dispersion)  # log(1 + φ μ)
        loss = (x + size) * total - x * (p + self.log_dispersion)
        loss = loss + torch.lgamma(size) + torch.lgamma(x + 1) - torch.lgamma(x + size)
        return loss.flatten(1).sum(1)
