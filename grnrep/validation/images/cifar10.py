"""CIFAR-10: the decoder alone against the autoencoder, size by size (Schuster & Krogh 2021, Fig. 3)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from torch import Tensor

from grnrep.ds.images import cifar10
from grnrep.nn.conv import cifar_decoder, cifar_encoder
from grnrep.nn.likelihoods import SquaredError
from grnrep.nn.trainer import Trainer
from grnrep.validation.images.models import (
    Design,
    Watch,
    draw_balanced,
    loads,
    new_model,
    settings_of,
    tensor,
    train,
)
from grnrep.validation.runs import Runs

logger = logging.getLogger("grnrep")

SIZES = (50, 100, 500, 5000)
SEEDS = (0, 1, 2, 3, 4)
KINDS = {"1x1": 256, "4x4": 1024}
_QUICK = ((50,), (0,))
_MODELS = ("decoder", "autoencoder")
_TEST_PER_CLASS, _TEST_SEED = 100, 2021
_GRID_EPOCHS, _N_GRID = (50, 100, 200, 400), 8
_TRAINER: Final = Trainer(
    epochs=100, batch_size=64, lr=1e-4, weight_decay=1e-5, lr_representation=1e-1, momentum=0.9
)


def cifar10_study(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    sizes: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
    epochs: int | None = None,
    device: str | None = None,
    rng: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train decoders and autoencoders on subsets of CIFAR-10 with as many images of every class.

    The networks are those of Table 2, the loss is the squared error, and the rates are the paper's.
    The paper leaves the size of a batch, the reduction of the loss and the momentum of the
    representations open: here a batch has 64 images, the loss is summed over pixels and
    averaged over a batch, and the momentum is 0.9 as for MNIST. All models are tested on the same
    1,000 test images, 100 of every class. Curves over epochs are kept for the first seed.

    Parameters
    ----------
    data_dir
        As in :func:`grnrep.ds.cifar10`; a subset that is there is used, and said.
    quick
        50 images of every class, one seed, the 1x1 networks: about ten minutes on two cores.
    sizes, seeds
        Images of every class, and seeds of draws, start values and batches; by default
        all of the paper's. Sizes beyond the data at hand are left out, with a warning.
    kinds
        ``"1x1"`` (representations of 256 values) and ``"4x4"`` (1,024).
    epochs
        Passes over the images; by default the paper's 100.
    device
        Where to compute; by default the CPU.
    rng
        Added to every seed.
    out
        File of the rows, JSON, continued where it is there; reconstructions of the first eight
        test images go beside it as ``.npz``. By default none is written.
    progress
        Whether to show progress bars.

    Returns
    -------
    DataFrame with a row per size, seed, kind and model: ``train_error`` and ``test_error``, squared
    error per pixel value, loads of decoder and encoder, seconds, and the test error of every epoch
    (``curve``, for the first seed).

    Raises
    ------
    ValueError, OSError
        As :func:`grnrep.ds.cifar10`, or if an argument is out of range.

    References
    ----------
    Schuster & Krogh, "A manifold learning perspective on representation learning", Entropy 2021.

    Examples
    --------
    >>> from grnrep.validation import cifar10_study
    >>> table = cifar10_study("data", quick=True)  # doctest: +SKIP
    """
    sizes = tuple(sizes) if sizes is not None else _QUICK[0] if quick else SIZES
    seeds = tuple(seeds) if seeds is not None else _QUICK[1] if quick else SEEDS
    kinds = tuple(kinds) if kinds is not None else ("1x1",) if quick else tuple(KINDS)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"kinds must be among {', '.join(KINDS)}; found {list(kinds)}")
    epochs = _TRAINER.epochs if epochs is None else epochs
    trainer = replace(_TRAINER, epochs=epochs, device=device)
    images = cifar10(data_dir=data_dir, allow_subset=True, progress=progress)
    sizes = _available(sizes, images.train_labels)
    settings = {
        **settings_of(trainer),
        "n_test": 10 * _TEST_PER_CLASS,
        "data": images.note or "official",
    }
    runs = Runs(None if out is None else Path(out), study="cifar10", settings=settings)
    test = tensor(images.test[draw_balanced(images.test_labels, _TEST_PER_CLASS, _TEST_SEED)])
    for seed in seeds:
        for size in sizes:
            x = tensor(images.train[draw_balanced(images.train_labels, size, seed + rng)])
            for kind in kinds:
                for model in _MODELS:
                    key = {"per_class": size, "seed": seed + rng, "kind": kind, "model": model}
                    if runs.find(key) is None:
                        _add(
                            runs,
                            _design(kind, trainer),
                            key,
                            x,
                            test,
                            curve=seed == seeds[0],
                            progress=progress,
                        )
    return runs.table()


def _design(kind: str, trainer: Trainer) -> Design:
    return Design(
        lambda seed: cifar_encoder(kind, rng=seed),
        lambda seed: cifar_decoder(kind, rng=seed),
        lambda: SquaredError(link="sigmoid"),
        KINDS[kind],
        trainer,
    )


def _add(
    runs: Runs,
    design: Design,
    key: dict[str, Any],
    x: Tensor,
    test: Tensor,
    *,
    curve: bool,
    progress: bool,
) -> None:
    """Train one model and keep its row, and its reconstructions where there is a curve."""
    watch = Watch(design, test, n_images=_N_GRID, epochs=_GRID_EPOCHS) if curve else None
    model = new_model(design, len(x), kind=key["model"], seed=key["seed"])
    result = train(model, design, x, test, seed=key["seed"], progress=progress, on_epoch=watch)
    name = "-".join(str(value) for value in key.values())
    logger.info("cifar10: %s: test error %.5f", name, result["test_error"])
    if watch is not None and runs.path is not None:
        grids: dict[str, Any] = {"originals": (255 * test[:_N_GRID]).round().byte().numpy()}
        grids |= {f"epoch{epoch}": images for epoch, images in watch.reconstructions.items()}
        np.savez_compressed(runs.path.with_name(f"cifar10-{name}.npz"), **grids)
    curves = {} if watch is None else {"curve": watch.losses}
    runs.add(key, result | loads(design, len(x), x[0].numel()) | curves)


def _available(sizes: Sequence[int], labels: np.ndarray) -> tuple[int, ...]:
    most = int(np.bincount(labels).min())
    kept = tuple(size for size in sizes if 1 <= size <= most)
    if len(kept) < len(sizes):
        left = ", ".join(str(size) for size in sizes if size not in kept)
        logger.warning(
            "cifar10: sizes %s are left out: there are %d images of every class", left, most
        )
    if not kept:
        raise ValueError(
            f"sizes must lie between 1 and {most}, the images of every class; found {sizes}"
        )
    return kept
