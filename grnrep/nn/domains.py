"""Several domains, one representation: a decoder for each, and what of a sample has been seen.

A sample is one row: its domains side by side, zeros where it was not seen in a domain (as no image and no
cell with any count is).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from grnrep.nn.likelihoods import NoiseModel
from grnrep.nn.model import Batch


def seen_domains(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Say which domains of every sample have been seen.

    Parameters
    ----------
    x
        Domains side by side, ``(n, sum(sizes))``.
    sizes
        Number of features of each.

    Returns
    -------
    Booleans, ``(n, len(sizes))``.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import seen_domains
    >>> seen_domains(torch.tensor([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0]]), (2, 1)).tolist()
    [[False, True], [True, False]]
    """
    return torch.stack([(part != 0).any(1) for part in x.split(list(sizes), dim=1)], dim=1)


class DomainEncoder(nn.Module):
    """An encoder for each domain, into one code: the mean over the domains that have been seen.

    Parameters
    ----------
    encoders
        One for each of the first domains; the others are only explained.
    sizes
        Number of features of each domain.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import DomainEncoder
    >>> encoder = DomainEncoder([nn.Identity(), nn.Identity()], (1, 1))
    >>> encoder(torch.tensor([[2.0, 0.0], [2.0, 4.0]])).tolist()
    [[2.0], [3.0]]
    """

    def __init__(self, encoders: Sequence[nn.Module], sizes: Sequence[int]):
        super().__init__()
        self.encoders, self.sizes = nn.ModuleList(encoders), tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Codes, ``(n, d)``."""
        seen = seen_domains(x, self.sizes)[:, : len(self.encoders)].to(x.dtype)
        parts = x.split(list(self.sizes), dim=1)
        codes = [encoder(part) for encoder, part in zip(self.encoders, parts, strict=False)]
        total = torch.einsum("kn,knd->nd", seen.mT, torch.stack(codes))
        return total / seen.sum(1, keepdim=True).clamp(min=1)


class DomainDecoder(nn.Module):
    """A decoder for each domain, from one code.

    Parameters
    ----------
    decoders
        One for each domain.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import DomainDecoder
    >>> DomainDecoder([nn.Identity(), nn.Identity()])(torch.tensor([[2.0]])).tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, decoders: Sequence[nn.Module]):
        super().__init__()
        self.decoders = nn.ModuleList(decoders)

    def forward(self, z: Tensor) -> Tensor:
        """All domains side by side, ``(n, sum(sizes))``."""
        return torch.cat([decoder(z) for decoder in self.decoders], dim=1)


class DomainLoss(nn.Module):
    """Noise model of domains side by side, of which every sample is held against those that have been seen.

    Parameters
    ----------
    loss
        Noise model of every domain.
    sizes
        Number of features of each domain.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import DomainLoss, SquaredError
    >>> loss = DomainLoss(SquaredError(), (1, 1))
    >>> loss(torch.tensor([[3.0, 5.0]]), torch.tensor([[1.0, 0.0]])).tolist()
    [4.0]
    """

    def __init__(self, loss: NoiseModel, sizes: Sequence[int]):
        super().__init__()
        self.loss, self.sizes, self.support = loss, tuple(sizes), loss.support

    def mean(self, p: Tensor) -> Tensor:
        """Prediction in units of the data."""
        return self.loss.mean(p)

    def forward(self, p: Tensor, x: Tensor) -> Tensor:
        """Loss of every sample, summed over the features of what has been seen of it, ``(n,)``."""
        sides = zip(*(value.split(list(self.sizes), dim=1) for value in (p, x)), strict=True)
        losses = torch.stack([self.loss(*side) for side in sides], dim=1)
        return (losses * seen_domains(x, self.sizes)).sum(1)


class DomainCodes:
    """Codes of samples of one domain and of another, for :class:`Adversarial` to make them alike.

    Parameters
    ----------
    sizes
        Number of features of each domain; the first two are compared, of samples seen in one of them.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Batch, Code, DomainCodes
    >>> x, z = torch.eye(2), torch.tensor([[3.0], [5.0]])
    >>> batch = Batch(x=x, seen=x, hidden=z, code=Code(z), made=x, source=nn.Identity(), generator=None)
    >>> [rows.tolist() for rows in DomainCodes((1, 1))(batch)]
    [[[3.0]], [[5.0]]]
    """

    def __init__(self, sizes: Sequence[int]):
        self.sizes = tuple(sizes)

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Two sets of codes."""
        first, second = seen_domains(batch.x, self.sizes)[:, :2].T
        return batch.code.z[first & ~second], batch.code.z[second & ~first]
