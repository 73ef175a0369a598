"""One way to train every member of the family."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, cast

import pandas as pd
import torch
from torch import Tensor, nn

from grnrep.nn.adversarial import Adversarial, Prior, Unpaired
from grnrep.nn.bottlenecks import Variational
from grnrep.nn.dense import freeze, mlp, pretrain
from grnrep.nn.family import FAMILY, Architecture, Member, Parts
from grnrep.nn.infer import reconstruct
from grnrep.nn.likelihoods import SquaredError
from grnrep.nn.model import Model
from grnrep.nn.representation import Representation
from grnrep.nn.trainer import Trainer

_COPIES: Final = 4  # random or noisy inputs per sample, for an encoder that learns from them


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A member that has been trained.

    Parameters
    ----------
    encode
        From data ``(n, n_features)`` to codes ``(n, d)``.
    decode
        From codes to data.
    n_parameters
        Numbers that were learned and are kept: those of encoder and decoder, not the representations.
    model
        What was trained by gradients, if so.
    history
        A row for each epoch of the last training, if there was one.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Trainer, train_member
    >>> trained = train_member("pca", torch.rand(20, 6), d=2, trainer=Trainer(progress=False))
    >>> tuple(trained.encode(torch.rand(3, 6)).shape), trained.n_parameters
    ((3, 2), 18)
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    n_parameters: int
    model: Model | None = None
    history: pd.DataFrame | None = None


def train_member(
    member: str | Member,
    x: Tensor,
    *,
    d: int,
    trainer: Trainer,
    width: float = 1.0,
    architecture: Architecture | None = None,
    decoder: Model | None = None,
) -> Trained:
    """Build a member of the family and train it.

    Parameters
    ----------
    member
        A name in :data:`FAMILY`, or a member of your own.
    x
        Data, ``(n, n_features)``; in [0, 1] for the layers that members have by themselves.
    d
        Number of units of the code (times the member's ``expand``).
    trainer
        How it is trained. Its seed is also that of the start values.
    width
        Factor of the widths of hidden layers.
    architecture
        Encoder, decoder and noise model to use instead of the member's own: a function of the number
        of units that the encoder gives and of those that the decoder takes.
    decoder
        For encoders on a frozen decoder, the model that ``train_member("decoder", ...)`` gave, trained on
        the same data; by default it is trained first.

    Returns
    -------
    Trained
        How to encode and decode, and what was trained.

    Raises
    ------
    ValueError
        If there is no member of this name, or the trainer has a checkpoint.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Trainer, train_member
    >>> x = torch.rand(50, 8, generator=torch.Generator().manual_seed(0))
    >>> vae = train_member("vae", x, d=2, trainer=Trainer(epochs=2, progress=False))
    >>> tuple(vae.decode(vae.encode(x)).shape)
    (50, 8)
    """
    if isinstance(member, str):
        if member not in FAMILY:
            raise ValueError(f"member must be one of {', '.join(FAMILY)}; found {member!r}")
        member = FAMILY[member]
    if trainer.checkpoint is not None:
        raise ValueError(
            "trainer must have checkpoint=None: a member may need several trainings, one file each"
        )
    if member.closed_form is not None:
        fitted = member.closed_form(d, trainer.rng).fit(x)
        kept = sum(value.numel() for value in vars(fitted).values() if isinstance(value, Tensor))
        return Trained(encode=fitted.encode, decode=fitted.decode, n_parameters=kept)
    if architecture is None:
        architecture = member.layers.build(x.shape[1], width=width, rng=trainer.rng)
    bottleneck = None if member.bottleneck is None else member.bottleneck(d)
    units = member.expand * d
    parts = architecture(units * getattr(bottleneck, "parts", 1), units)
    if member.encoder_on is not None:
        if decoder is None:
            learned = FAMILY["decoder"]
            trained = train_member(learned, x, d=d, trainer=trainer, architecture=architecture)
            decoder = cast(Model, trained.model)  # there is one: it was trained by gradients
        return _train_encoder(member, parts.encoder, decoder, x, trainer)
    if member.pretrained:
        # layers in turn, without which there are no pairs
        encoder, mirrored = (cast(nn.Sequential, part) for part in (parts.encoder, parts.decoder))
        pretrain(encoder, mirrored, x, trainer=trainer, loss=parts.loss)
    if member.source == "prior":
        return _train_generator(member, parts, units, x, width, trainer)
    source = parts.encoder
    if member.source == "representations":
        start = torch.randn(len(x), units, generator=torch.Generator().manual_seed(trainer.rng))
        source = Representation(*start.shape, init=0.1 * start)
    model = Model(
        source,
        parts.decoder,
        loss=parts.loss,
        bottleneck=bottleneck,
        corruption=deepcopy(member.corruption),  # modes are switched: not to be shared
        penalties=deepcopy(member.penalties),
    )
    return _trained(model, trainer, trainer.fit(model, x))


def _train_generator(
    member: Member, parts: Parts, units: int, x: Tensor, width: float, trainer: Trainer
) -> Trained:
    """Train a decoder of draws from N(0, 1) by a critic; codes of data are found by descent from the middle."""
    hidden = [max(2, round(width * size)) for size in member.critic or ()]
    critic = mlp((x.shape[1], *hidden, 1), activation="leaky_relu", rng=trainer.rng + 2)
    adversarial = Model(
        Prior(units),
        parts.decoder,
        loss=Unpaired(parts.loss),
        bottleneck=Variational(),
        penalties=[Adversarial(critic)],
    )
    history = trainer.fit(adversarial, x)
    middle = Representation(1, units, init=torch.zeros(1, units))
    return _trained(Model(middle, parts.decoder, loss=parts.loss), trainer, history)


def _train_encoder(
    member: Member, encoder: nn.Module, trained: Model, x: Tensor, trainer: Trainer
) -> Trained:
    """Train an encoder for a decoder that stays as it is."""
    model = Model(encoder, freeze(trained.decoder), loss=trained.loss)
    if member.encoder_on == "reconstruction":
        return _trained(model, trainer, trainer.fit(model, x))
    generator = torch.Generator().manual_seed(trainer.rng)
    if member.encoder_on == "data":
        inputs, representations = x, cast(Representation, trained.source).table.detach()
    else:
        inputs = _examples(member, x, generator).clamp(*trained.loss.support)
        representations = trainer.infer(trained, inputs).z
    to_representations = Model(encoder, nn.Identity(), loss=SquaredError())
    return _trained(model, trainer, trainer.fit(to_representations, inputs, target=representations))


def _examples(member: Member, x: Tensor, generator: torch.Generator) -> Tensor:
    """Data and noisy copies; or random inputs, every feature drawn from its own values by itself."""
    many = x.repeat(_COPIES, *(1 for _ in x.shape[1:]))
    if member.encoder_on == "noise":
        noise = torch.randn(many.shape, generator=generator, dtype=x.dtype)
        return torch.cat([x, many + member.noise * x.std() * noise])
    return many.gather(0, torch.rand(many.shape, generator=generator).argsort(0))


def _trained(model: Model, trainer: Trainer, history: pd.DataFrame) -> Trained:
    return Trained(
        encode=lambda x: trainer.infer(model, x).z,
        decode=lambda z: reconstruct(model, z),
        n_parameters=sum(p.numel() for p in model.weights),
        model=model,
        history=history,
    )
