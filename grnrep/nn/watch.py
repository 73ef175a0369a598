"""New data along a training: their loss after every epoch, and what some of them look like."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from grnrep.nn.infer import Descent, errors, infer, reconstruct
from grnrep.nn.model import Model
from grnrep.nn.trainer import Trainer


class Watch:
    """Follow new data along a training, as its ``on_epoch``.

    Without an encoder their representations descend along with the training, one step after each of its
    epochs, as the representations of training data do.

    Parameters
    ----------
    trainer
        The training, whose rates the descent has.
    x
        New data, ``(n, ...)``.
    d
        Number of units of a representation.
    n_shown, epochs
        How many samples to keep reconstructions of, and after which epochs.

    Attributes
    ----------
    losses
        Mean loss of a sample after every epoch.
    shown
        Reconstructions by epoch.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Model, SquaredError, Trainer, Watch
    >>> x, trainer = torch.rand(20, 4), Trainer(epochs=3, progress=False)
    >>> watch = Watch(trainer, x[:5], 2)
    >>> model = Model(nn.Linear(4, 2), nn.Linear(2, 4), loss=SquaredError())
    >>> _ = trainer.fit(model, x, on_epoch=watch)
    >>> len(watch.losses)
    3
    """

    def __init__(
        self, trainer: Trainer, x: Tensor, d: int, *, n_shown: int = 0, epochs: Sequence[int] = ()
    ):
        self.n_shown, self.epochs = n_shown, epochs
        self.losses: list[float] = []
        self.shown: dict[int, Tensor] = {}
        self.x = x if trainer.device is None else x.to(trainer.device)
        self._descent = Descent(
            self.x,
            torch.zeros(len(x), d),
            lr=trainer.lr_representation,
            momentum=trainer.momentum,
            batch_size=trainer.batch_size,
        )

    def __call__(self, epoch: int, model: Model) -> None:
        """Look at ``model`` after an epoch."""
        model.eval()
        if not model.has_encoder:
            self._descent.step(model)
        code = infer(model, self.x) if model.has_encoder else self._descent.code(model)
        self.losses.append(float(errors(model, self.x, code).mean()))
        if epoch in self.epochs:
            self.shown[epoch] = reconstruct(model, code.z[: self.n_shown])
