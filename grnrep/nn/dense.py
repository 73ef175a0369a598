"""Encoders and decoders of dense layers, how to start deep ones, and how to keep a trained one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from grnrep.nn._seed import seeded
from grnrep.nn.likelihoods import NoiseModel, SquaredError
from grnrep.nn.model import Model
from grnrep.nn.trainer import Trainer

_ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),  # slope of Section 3.3
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


def linear(n_in: int, n_out: int, *, activation: str = "identity", rng: int = 0) -> nn.Sequential:
    """Build one dense layer: an encoder or decoder of the simplest kind.

    Parameters
    ----------
    n_in, n_out
        Numbers of units.
    activation
        After the layer, as in :func:`mlp`.
    rng
        Seed of the start values.

    Returns
    -------
    Layer and activation.

    Raises
    ------
    ValueError
        If a size or the activation is out of range.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import linear
    >>> tuple(linear(5, 2, activation="leaky_relu")(torch.zeros(3, 5)).shape)
    (3, 2)
    """
    return mlp((n_in, n_out), last=activation, rng=rng)


def mlp(
    sizes: Sequence[int], *, activation: str = "relu", last: str = "identity", rng: int = 0
) -> nn.Sequential:
    """Build dense layers with an activation after each.

    Parameters
    ----------
    sizes
        Numbers of units from input to output, at least two.
    activation
        Between layers: ``"identity"``, ``"relu"``, ``"leaky_relu"`` (slope 0.1), ``"sigmoid"`` or ``"tanh"``.
    last
        After the last layer.
    rng
        Seed of the start values, which are distributed as torch's own.

    Returns
    -------
    Layers and activations in turn.

    Raises
    ------
    ValueError
        If there are fewer than two sizes, one is below 1, or an activation is unknown.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import mlp
    >>> encoder = mlp((8, 4, 2), activation="tanh")
    >>> tuple(encoder(torch.zeros(3, 8)).shape), len(encoder)
    ((3, 2), 4)
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(
            f"sizes must be two or more numbers of units, each at least 1; found {tuple(sizes)}"
        )
    for name, value in (("activation", activation), ("last", last)):
        if value not in _ACTIVATIONS:
            raise ValueError(f"{name} must be one of {', '.join(_ACTIVATIONS)}; found {value!r}")
    layers: list[nn.Module] = []
    with seeded(rng):
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1], _ACTIVATIONS[last]())


class Tied(nn.Module):
    """Linear decoder that uses the weights of a linear encoder, transposed, and has its own intercepts.

    Parameters
    ----------
    layer
        The encoder's layer.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Tied
    >>> layer = nn.Linear(3, 2)
    >>> bool(torch.allclose(Tied(layer)(torch.eye(2)), layer.weight))
    True
    """

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.weight = layer.weight  # the same parameter, which is counted and trained once
        self.bias = nn.Parameter(layer.weight.new_zeros(layer.in_features))

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(n, d)`` to ``(n, n_features)``."""
        return functional.linear(z, self.weight.mT, self.bias)


def pretrain(
    encoder: nn.Sequential, decoder: nn.Sequential, x: Tensor, *, trainer: Trainer, loss: NoiseModel
) -> None:
    """Train mirrored layers pair by pair, from the data inwards, as a start for training them together.

    The first layer of the encoder and the last of the decoder are trained as an autoencoder of the data;
    the next pair as one of its hidden units, with squared error; and so on. These are stacked
    autoencoders [1]_, not the restricted Boltzmann machines of [2]_; both start a deep autoencoder
    where gradients reach its first layers.

    Parameters
    ----------
    encoder, decoder
        From :func:`mlp`, with each other's sizes reversed. They are trained in place.
    x
        Data, ``(n, n_features)``.
    trainer
        How every pair is trained.
    loss
        Noise model of the data, for the outermost pair.

    Returns
    -------
    None.

    Raises
    ------
    ValueError
        If the decoder does not mirror the encoder.

    References
    ----------
    .. [1] Bengio et al. (2007), Greedy layer-wise training of deep networks, NeurIPS 19.
    .. [2] Hinton & Salakhutdinov (2006), Reducing the dimensionality of data with neural networks,
       Science 313:504.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import SquaredError, Trainer, mlp, pretrain
    >>> encoder, decoder = mlp((6, 4, 2)), mlp((2, 4, 6))
    >>> before = encoder[0].weight.clone()
    >>> trainer = Trainer(epochs=2, progress=False)
    >>> pretrain(encoder, decoder, torch.rand(20, 6), trainer=trainer, loss=SquaredError())
    >>> bool((encoder[0].weight != before).any())
    True
    """
    down, up = _stages(encoder), _stages(decoder)[::-1]
    sizes, mirrored = (
        [(stage[0].in_features, stage[0].out_features)[::step] for stage in stages]
        for stages, step in ((down, 1), (up, -1))
    )
    if sizes != mirrored:
        raise ValueError(
            f"decoder must mirror the layers of encoder, {sizes}; found {mirrored[::-1]}"
        )
    for inner, outer in zip(down, up, strict=True):
        pair = Model(inner, outer, loss=loss)
        trainer.fit(pair, x)
        pair.eval()
        with torch.no_grad():
            x = inner(x.to(next(inner.parameters()).device))
        loss = SquaredError()


def freeze(module: nn.Module) -> nn.Module:
    """Copy a trained module so that no training changes it.

    Its parameters need no gradients, though gradients pass through it, and it stays in evaluation: batch
    normalisation keeps the statistics that it has learned.

    Parameters
    ----------
    module
        What to copy; it is left as it is.

    Returns
    -------
    The copy.

    Examples
    --------
    >>> from grnrep.nn import freeze, linear
    >>> frozen = freeze(linear(2, 5)).train()
    >>> frozen.training, any(p.requires_grad for p in frozen.parameters())
    (False, False)
    """
    return _Frozen(deepcopy(module))


class _Frozen(nn.Module):
    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> _Frozen:
        """Stay in evaluation, whatever the mode of the model around it."""
        return super().train(False)

    def forward(self, *args: Tensor) -> Tensor:
        return self.module(*args)


def _stages(layers: nn.Sequential) -> list[nn.Sequential]:
    """Every linear layer with what follows it up to the next."""
    stages: list[list[nn.Module]] = []
    for layer in layers:
        if isinstance(layer, nn.Linear):
            stages.append([layer])
        elif not stages:
            raise ValueError(
                f"an encoder or decoder to pretrain must begin with a Linear; found {layer}"
            )
        else:
            stages[-1].append(layer)
    return [nn.Sequential(*stage) for stage in stages]
