"""Decoder, autoencoder, and encoder on a trained decoder: what the experiments on images compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grnrep.nn.dense import freeze
from grnrep.nn.infer import errors, infer, reconstruct
from grnrep.nn.likelihoods import Bernoulli, SquaredError
from grnrep.nn.model import Code, Model
from grnrep.nn.precision import Bfloat16
from grnrep.nn.representation import Representation
from grnrep.nn.trainer import Trainer
from grnrep.nn.watch import Watch
from grnrep.validation.runs import Runs

MODELS = ("decoder", "autoencoder", "encoder_on_decoder")
_START = 0.01  # standard deviation of representations before training
_SHOWN = 8  # test images whose reconstructions are kept


@dataclass(frozen=True)
class Design:
    """Networks, built from a seed, noise model, units and training that the three models have in common."""

    encoder: Callable[[int], nn.Module]
    decoder: Callable[[int], nn.Module]
    loss: Callable[[], Bernoulli | SquaredError]
    d: int
    trainer: Trainer
    precision: str = "float32"  # of products in training

    def settings(self) -> dict[str, Any]:
        """What rows must have in common to be compared."""
        names = ("epochs", "batch_size", "lr", "weight_decay", "lr_representation", "momentum")
        return {name: getattr(self.trainer, name) for name in names}

    def loads(self, n: Any, n_pixels: int) -> dict[str, Any]:
        """Loads of the decoder, Eq. 3, and of the encoder, Eq. 4, at ``n`` training images."""
        parts = (self.encoder(0), self.decoder(0))
        encoder, decoder = (sum(p.numel() for p in part.parameters()) for part in parts)
        load = n * n_pixels / (decoder + n * self.d)
        return {"load_decoder": load, "load_encoder": n * self.d / encoder}


def train_missing(
    runs: Runs,
    design: Design,
    x: Tensor,
    test: Tensor,
    *,
    key: dict[str, Any],
    seed: int,
    models: Sequence[str],
    progress: bool,
    show: bool = False,
    watched: Sequence[int] = (),
) -> None:
    """Train the models of one draw of images that have no row yet.

    With ``show`` reconstructions of test images go to a file beside the rows; with epochs in ``watched``
    those after them too, and the test error of every epoch to the row.
    """
    decoder: nn.Module | None = None  # trained, as soon as there is one
    for kind in (kind for kind in MODELS if kind in models):
        row = key | {"model": kind}
        if runs.find(row) is not None:
            continue
        if kind == "encoder_on_decoder" and decoder is None:
            alone = new_model(design, len(x), kind="decoder", seed=seed)
            train(alone, design, x, test, seed=seed, progress=progress)
            decoder = alone.decoder
        model = new_model(design, len(x), kind=kind, seed=seed, decoder=decoder)
        watch = None
        if watched:
            watch = Watch(design.trainer, test, design.d, n_shown=_SHOWN, epochs=watched)
        name = "-".join(map(str, (runs.study, *row.values())))
        checkpoint = None
        if runs.path is not None and watch is None:  # which starts where the training does
            checkpoint = runs.path.with_name(f".{name}.checkpoint")
        result, code = train(
            model, design, x, test,
            seed=seed, checkpoint=checkpoint, progress=progress, on_epoch=watch,
        )  # fmt: skip
        if show and runs.path is not None:
            last = {design.trainer.epochs: reconstruct(model, code.z[:_SHOWN])}
            shown = last | (watch.shown if watch is not None else {})
            kept = {f"epoch{epoch}": _bytes(shown[epoch]) for epoch in sorted(shown)}
            kept = {"originals": _bytes(test[:_SHOWN])} | kept
            np.savez_compressed(runs.path.with_name(f"{name}.npz"), **kept)  # type: ignore[arg-type]
        size = x[0].numel()
        curve = {} if watch is None else {"curve": [loss / size for loss in watch.losses]}
        more = design.loads(len(x), size) | curve | {"precision": design.precision}
        runs.add(row, result | more)
        decoder = model.decoder if kind == "decoder" else decoder


def new_model(
    design: Design, n: int, *, kind: str, seed: int, decoder: nn.Module | None = None
) -> Model:
    """Build one of :data:`MODELS` for ``n`` training images; the last one around a trained ``decoder``."""
    low = Bfloat16 if design.precision == "bfloat16" else lambda network: network
    source = low(design.encoder(2 * seed + 1))  # not the numbers that the decoder was drawn with
    if kind == "decoder":
        generator = torch.Generator().manual_seed(seed)
        start = _START * torch.randn(n, design.d, generator=generator)
        source = Representation(n, design.d, init=start)
    part = low(design.decoder(2 * seed))
    if kind == "encoder_on_decoder":
        if decoder is None:
            raise ValueError("encoder_on_decoder needs a trained decoder")
        part = freeze(decoder)
    model = Model(source, part, loss=design.loss())
    # torch takes the format alone, though none of the types that it declares does
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def train(
    model: Model,
    design: Design,
    x: Tensor,
    test: Tensor,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: bool = True,
    on_epoch: Callable[[int, Model], None] | None = None,
) -> tuple[dict[str, float], Code]:
    """Train a model; mean losses per pixel on both sets of images, seconds, and the test images' codes."""
    trainer = replace(design.trainer, rng=seed, checkpoint=checkpoint, progress=progress)
    start = time.perf_counter()
    trainer.fit(model, x, on_epoch=on_epoch)
    trained = time.perf_counter()
    source = model.source
    known = Code(source.table.detach()) if isinstance(source, Representation) else infer(model, x)
    train_error = float(errors(model, x, known).mean())
    inferred = time.perf_counter()
    code = trainer.infer(model, test)
    return {
        "train_error": train_error / x[0].numel(),
        "test_error": float(errors(model, test, code).mean()) / x[0].numel(),
        "train_seconds": trained - start,
        "test_seconds": time.perf_counter() - inferred,
    }, code


def draw(n_all: int, n: int, seed: int) -> np.ndarray:
    """Indices of ``n`` of ``n_all`` images; a smaller draw with the same seed is a part of a larger one."""
    return np.random.default_rng(seed).permutation(n_all)[:n]


def draw_balanced(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Indices of ``per_class`` images of every class, drawn at random, one class after the other."""
    order = np.random.default_rng(seed).permutation(len(labels))
    parts = [order[labels[order] == label][:per_class] for label in np.unique(labels)]
    short = min(len(part) for part in parts)
    if short < per_class:
        raise ValueError(
            f"per_class must be at most {short}, the images of the smallest class; found {per_class}"
        )
    return np.concatenate(parts)


def tensor(images: np.ndarray) -> Tensor:
    """Images (n, channels, height, width) as a tensor, in the order of memory that convolutions like."""
    x = torch.from_numpy(np.ascontiguousarray(images))
    return x.contiguous(memory_format=torch.channels_last)


def _bytes(images: Tensor) -> np.ndarray:
    return (255 * images.clamp(0, 1)).round().byte().cpu().numpy()
