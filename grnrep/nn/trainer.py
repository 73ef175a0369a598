"""One way to train every model: Adam by batches, and momentum descent of representations by epochs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from grnrep.core.threads import threads_for
from grnrep.nn._resume import Best, load_state, save_state
from grnrep.nn.infer import errors, infer
from grnrep.nn.model import Code, Model
from grnrep.nn.representation import Representation

_SETTINGS = (
    "epochs", "batch_size", "lr", "weight_decay", "lr_representation", "momentum", "patience", "rng"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How a :class:`Model` is trained.

    Encoders and decoders take a step of Adam after every batch. Where z comes from a
    :class:`Representation`, its gradients add up over an epoch, and then the whole table takes
    one step of descent with momentum, as in Schuster & Krogh (2021). Parameters that do not
    require gradients stay as they are.

    Parameters
    ----------
    epochs
        Passes over the data.
    batch_size
        Samples per step.
    lr, weight_decay
        Rate and weight decay of Adam.
    lr_representation, momentum
        Rate and momentum of the descent of representations, of a loss that is summed over features
        and averaged over the samples of a batch.
    patience
        Epochs without a better validation loss after which training ends; the model of the best
        epoch is kept. By default it goes on to the end.
    checkpoint
        File that is written after every epoch, from which an interrupted training goes on to the
        same result. It is removed at the end.
    device
        Where to compute; by default the CPU.
    rng
        Seed of batches, corruptions and draws.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Model, SquaredError, Trainer
    >>> x = torch.rand(50, 4, generator=torch.Generator().manual_seed(0))
    >>> model = Model(nn.Linear(4, 2), nn.Linear(2, 4), loss=SquaredError())
    >>> history = Trainer(epochs=5, progress=False).fit(model, x)
    >>> list(history.columns), len(history)
    (['loss', 'reconstruction'], 5)
    """

    epochs: int = 100
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.0
    lr_representation: float = 1e-2
    momentum: float = 0.9
    patience: int | None = None
    checkpoint: str | os.PathLike[str] | None = None
    device: torch.device | str | None = None
    rng: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and (value != int(value) or value < 1):
                raise ValueError(f"{name} must be a whole number of at least 1; found {value!r}")
        for name in ("lr", "lr_representation"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive; found {getattr(self, name)!r}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1); found {self.momentum!r}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative; found {self.weight_decay!r}")

    def fit(
        self,
        model: Model,
        x: Tensor,
        *,
        target: Tensor | None = None,
        validation: Tensor | None = None,
        on_epoch: Callable[[int, Model], None] | None = None,
    ) -> pd.DataFrame:
        """Train ``model`` in place.

        Parameters
        ----------
        model
            A representation table must have a row for each sample.
        x
            Data, ``(n, ...)``.
        target
            What is to be predicted, a row for each sample; by default the data themselves.
        validation
            Data to compute the loss of reconstruction on after every epoch.
        on_epoch
            Called after every epoch with its number, from 1, and the model.

        Returns
        -------
        A row for each epoch: ``loss`` and ``reconstruction``, means over samples as they were before
        each step, and ``validation`` where there are such data.

        Raises
        ------
        ValueError
            If shapes do not match, values are not finite, or ``patience`` has nothing to look at.
        FloatingPointError
            If the training diverges.
        """
        self._check(model, x, target, validation)
        device = torch.device("cpu" if self.device is None else self.device)
        model.to(device)
        x, target = x.to(device), None if target is None else target.to(device)
        generator = torch.Generator(device).manual_seed(self.rng)
        optimizers = self._optimizers(model)
        rows: list[dict[str, float]] = []
        best: Best = (math.inf, 0, None)
        state = {"model": model, **optimizers}
        if self.checkpoint is not None and Path(self.checkpoint).exists():
            rows, best = load_state(self.checkpoint, state, generator, self._settings(x))
        with threads_for(self.batch_size * sum(p.numel() for p in model.weights)):
            for epoch in tqdm(
                range(len(rows) + 1, self.epochs + 1),
                desc="train",
                unit="epoch",
                disable=not self.progress,
            ):
                if (
                    self.patience is not None
                    and epoch - 1 - best[1] >= self.patience
                    and best[2] is not None
                ):
                    break
                rows.append(self._epoch(model, x, target, optimizers, generator))
                if validation is not None:
                    rows[-1]["validation"] = self._validate(model, validation.to(device))
                    if self.patience is not None and rows[-1]["validation"] < best[0]:
                        best = (rows[-1]["validation"], epoch, deepcopy(model.state_dict()))
                if self.checkpoint is not None:
                    save_state(self.checkpoint, state, generator, self._settings(x), rows, best)
                if on_epoch is not None:
                    on_epoch(epoch, model)
        if best[2] is not None:
            model.load_state_dict(best[2])
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)
        model.eval()
        return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="epoch"))

    def infer(self, model: Model, x: Tensor) -> Code:
        """Representations of data, :func:`infer` with the epochs and rates of this training.

        Parameters
        ----------
        model
            Trained model.
        x
            Data, ``(n, ...)``.

        Returns
        -------
        Code
            Of all samples, without gradients.
        """
        return infer(
            model,
            x,
            epochs=self.epochs,
            lr=self.lr_representation,
            momentum=self.momentum,
            batch_size=self.batch_size,
        )

    def _epoch(
        self,
        model: Model,
        x: Tensor,
        target: Tensor | None,
        optimizers: dict[str, torch.optim.Optimizer],
        generator: torch.Generator,
    ) -> dict[str, float]:
        """One pass; every sample weighs the same, whatever the size of its batch."""
        model.train()
        sums = torch.zeros(2, dtype=torch.float64, device=x.device)
        if "descent" in optimizers:
            optimizers["descent"].zero_grad(set_to_none=False)
        for batch in self._batches(len(x), generator, x.device):
            loss, reconstruction = model.objective(
                x[batch],
                batch,
                target=None if target is None else target[batch],
                generator=generator,
            )
            if "adam" in optimizers:
                optimizers["adam"].zero_grad()
            (loss * (len(batch) / self.batch_size)).backward()
            if "adam" in optimizers:
                optimizers["adam"].step()
            sums += torch.stack([loss, reconstruction]).detach() * len(batch)
        if "descent" in optimizers:
            optimizers["descent"].step()
        loss, reconstruction = (sums / len(x)).tolist()
        if not math.isfinite(loss):
            raise FloatingPointError(
                "the training diverged; lower lr and lr_representation, or scale x down"
            )
        return {"loss": loss, "reconstruction": reconstruction}

    def _batches(
        self, n: int, generator: torch.Generator, device: torch.device
    ) -> Iterator[Tensor]:
        return iter(torch.randperm(n, generator=generator, device=device).split(self.batch_size))

    def _optimizers(self, model: Model) -> dict[str, torch.optim.Optimizer]:
        found: dict[str, torch.optim.Optimizer] = {}
        if isinstance(model.source, Representation) and model.source.table.requires_grad:
            tables = [model.source.table]
            found["descent"] = torch.optim.SGD(
                tables, lr=self.lr_representation, momentum=self.momentum
            )
        rest = [parameter for parameter in model.weights if parameter.requires_grad]
        if rest:
            found["adam"] = torch.optim.Adam(
                rest, lr=self.lr, weight_decay=self.weight_decay, fused=True
            )
        if not found:
            raise ValueError(
                "model has no parameter that requires a gradient: nothing can be trained"
            )
        return found

    def _settings(self, x: Tensor) -> dict[str, object]:
        """What must agree for a training to go on."""
        return {name: getattr(self, name) for name in _SETTINGS} | {
            "shape": list(x.shape),
            "sum": float(x.sum(dtype=torch.float64)),
        }

    def _check(
        self, model: Model, x: Tensor, target: Tensor | None, validation: Tensor | None
    ) -> None:
        for name, value in {"x": x, "target": target, "validation": validation}.items():
            if value is not None and not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} must be finite; found NaN or infinite values")
        if len(x) == 0:
            raise ValueError("x has no samples")
        if target is not None and len(target) != len(x):
            raise ValueError(
                f"target must have a row for each of {len(x)} samples; found {len(target)}"
            )
        if isinstance(model.source, Representation) and (rows := len(model.source.table)) != len(x):
            raise ValueError(
                f"the Representation must have a row for each of {len(x)} samples; found {rows}"
            )
        if self.patience is not None and validation is None:
            raise ValueError("patience needs validation data; found validation=None")

    def _validate(self, model: Model, validation: Tensor) -> float:
        """Mean loss of new data; representations that have no encoder are found in as many epochs."""
        code = self.infer(model, validation)
        return float(errors(model, validation, code).mean())
