"""Convolutional encoders and decoders of Schuster & Krogh (2021), tables 1 and 2."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from grnrep.nn._seed import seeded

_MNIST = (128, 7, 7)
# channels at 32, 16, 8 and 4 pixels, and at one; the text, not the table, has those of 4x4
_WIDTHS = {"1x1": (64, 64, 128, 128, 256), "4x4": (16, 32, 64, 64)}


def mnist_encoder(d: int = 20, *, rng: int = 0) -> nn.Module:
    """Table 1: images (1, 28, 28) to ``d`` linear units, by convolutions of 64 and 128 channels.

    The table has the 128 channels of the second convolution; the text has 64 in both.

    Parameters
    ----------
    d
        Number of units.
    rng
        Seed of the start values.

    Returns
    -------
    Encoder, to be given to :class:`Model`.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import mnist_encoder
    >>> tuple(mnist_encoder()(torch.zeros(2, 1, 28, 28)).shape)
    (2, 20)
    """
    with seeded(rng):
        return nn.Sequential(
            nn.Conv2d(1, 64, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(64, 128, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(6272, d),
        )


def mnist_decoder(d: int = 20, *, rng: int = 0) -> nn.Module:
    """Table 1 reversed: ``d`` units to the logits of images (1, 28, 28).

    Parameters
    ----------
    d, rng
        As in :func:`mnist_encoder`.

    Returns
    -------
    Decoder, to be given to :class:`Model` with :class:`Bernoulli`.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import mnist_decoder
    >>> tuple(mnist_decoder()(torch.zeros(2, 20)).shape)
    (2, 1, 28, 28)
    """
    with seeded(rng):
        return nn.Sequential(
            nn.Linear(d, 6272),
            nn.ReLU(),
            nn.Unflatten(1, _MNIST),
            ConvTranspose2d(128, 64, 4, 2, 1),
            nn.ReLU(),
            ConvTranspose2d(64, 1, 4, 2, 1),
        )


def cifar_encoder(kind: str = "1x1", *, rng: int = 0) -> nn.Module:
    """Table 2: images (3, 32, 32) to representations, by convolutions with batch normalisation.

    Parameters
    ----------
    kind
        ``"1x1"``: capacity 64, 256 units. ``"4x4"``: capacity 16, no last layer, 64 × 4 × 4 units
        as a vector of 1024.
    rng
        Seed of the start values.

    Returns
    -------
    Encoder, to be given to :class:`Model`.

    Raises
    ------
    ValueError
        If the kind is unknown.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import cifar_encoder
    >>> tuple(cifar_encoder("4x4")(torch.zeros(2, 3, 32, 32)).shape)
    (2, 1024)
    """
    widths = _widths(kind)
    with seeded(rng):
        layers = _block(nn.Conv2d, 3, widths[0], 1, 1, 0)
        for n_in, n_out in pairwise(widths[:4]):
            layers += _block(nn.Conv2d, n_in, n_out, 4, 2, 1)
        if kind == "1x1":
            layers += [nn.Conv2d(widths[3], widths[4], 4, 2, 0), nn.ReLU()]
        return nn.Sequential(*layers, nn.Flatten())


def cifar_decoder(kind: str = "1x1", *, rng: int = 0) -> nn.Module:
    """Table 2 mirrored: representations to what gives images (3, 32, 32) under a sigmoid.

    Parameters
    ----------
    kind, rng
        As in :func:`cifar_encoder`.

    Returns
    -------
    Decoder, to be given to :class:`Model` with ``SquaredError(link="sigmoid")``.

    Raises
    ------
    ValueError
        If the kind is unknown.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import cifar_decoder
    >>> tuple(cifar_decoder("1x1")(torch.zeros(2, 256)).shape)
    (2, 3, 32, 32)
    """
    widths = _widths(kind)
    with seeded(rng):
        side = 1 if kind == "1x1" else 4
        layers: list[nn.Module] = [nn.Unflatten(1, (widths[-1], side, side))]
        if kind == "1x1":
            layers += _block(ConvTranspose2d, widths[4], widths[3], 4, 2, 0)
        for n_out, n_in in reversed(list(pairwise(widths[:4]))):
            layers += _block(ConvTranspose2d, n_in, n_out, 4, 2, 1)
        return nn.Sequential(*layers, ConvTranspose2d(widths[0], 3, 1, 1, 0))


class ConvTranspose2d(nn.ConvTranspose2d):
    """Torch's layer, whose intercepts are added after it: in it their gradient takes twice as long as all else."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Map (n, channels, height, width) to as many images, enlarged."""
        window = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        # padding is never a name, which ordinary convolutions take alone
        made = functional.conv_transpose2d(x, self.weight, None, *window)  # type: ignore[arg-type]
        return made if self.bias is None else made + self.bias.to(made.dtype)[:, None, None]


def _block(
    layer: type[nn.Module], n_in: int, n_out: int, size: int, stride: int, padding: int
) -> list[nn.Module]:
    return [layer(n_in, n_out, size, stride, padding), nn.BatchNorm2d(n_out), nn.ReLU()]


def _widths(kind: str) -> tuple[int, ...]:
    if kind not in _WIDTHS:
        raise ValueError(f"kind must be one of {', '.join(_WIDTHS)}; found {kind!r}")
    return _WIDTHS[kind]
