"""The decoder alone against the autoencoder, size by size, on MNIST and CIFAR-10 (paper, Fig. 2 and 3)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from grnrep.ds.images import cifar10, mnist
from grnrep.nn.conv import cifar_decoder, cifar_encoder, mnist_decoder, mnist_encoder
from grnrep.nn.likelihoods import Bernoulli, SquaredError
from grnrep.nn.trainer import Trainer
from grnrep.validation.images import models as trained
from grnrep.validation.images.models import MODELS, Design, draw, draw_balanced, tensor
from grnrep.validation.runs import Runs

logger = logging.getLogger("grnrep")

MNIST_SIZES = (500, 1000, 2000, 4000, 8000, 15000)
CIFAR_SIZES = (50, 100, 500, 1000, 5000)
SEEDS = (0, 1, 2, 3, 4)
KINDS = {"1x1": 256, "4x4": 1024}
_TEST_SEED, _N_TEST, _TEST_PER_CLASS = 2021, 1000, 100
_WATCHED = (50, 100, 200, 400)
_QUICK_EPOCHS: Final = 40
MNIST: Final = Design(
    lambda seed: mnist_encoder(20, rng=seed),
    lambda seed: mnist_decoder(20, rng=seed),
    Bernoulli,
    20,
    Trainer(epochs=200, batch_size=64, lr=1e-3, weight_decay=1e-5, lr_representation=2e-2),
)
CIFAR: Final = {
    kind: Design(
        lambda seed, kind=kind: cifar_encoder(kind, rng=seed),  # type: ignore[misc]
        lambda seed, kind=kind: cifar_decoder(kind, rng=seed),  # type: ignore[misc]
        partial(SquaredError, link="sigmoid"),
        d,
        Trainer(epochs=100, batch_size=64, lr=1e-4, weight_decay=1e-5, lr_representation=1e-1),
    )
    for kind, d in KINDS.items()
}


def mnist_study(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    sizes: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    models: Sequence[str] = MODELS,
    epochs: int | None = None,
    device: str | None = None,
    precision: str = "float32",
    rng: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a decoder, an autoencoder, and an encoder on the trained decoder on subsets of MNIST.

    The networks are those of Table 1 with 20 linear units between them, the loss is binary cross-entropy,
    and the rates are the paper's. The paper leaves the size of a batch and the reduction of the
    loss open: here a batch has 64 images, and the loss is summed over pixels and averaged over a batch.
    All models are tested on the same 1,000 test images. Representations of test images without
    an encoder are found by the descent of the training, the decoder frozen.

    Parameters
    ----------
    data_dir
        As in :func:`grnrep.ds.mnist`.
    quick
        500 images, one seed and 40 epochs: some minutes.
    sizes, seeds
        Numbers of training images, and seeds of draws, start values and batches; by default
        all of the paper's range, 500 to 15,000, and five seeds.
    models
        Among ``"decoder"``, ``"autoencoder"`` and ``"encoder_on_decoder"``; the last needs the first.
    epochs
        Passes over the images; by default the paper's 200.
    device
        Where to compute; by default the CPU.
    precision
        Of products while gradients are asked: ``"float32"`` or ``"bfloat16"`` (:class:`grnrep.nn.Bfloat16`).
    rng
        Added to every seed.
    out
        File of the rows, JSON, continued where it is there, in the middle of a training too;
        reconstructions of eight test images by the first seed go beside it as ``.npz``. By default none is
        written.
    progress
        Whether to show progress bars.

    Returns
    -------
    DataFrame with a row per size, seed and model: ``train_error`` and ``test_error``, binary
    cross-entropy per pixel, loads of decoder and encoder, seconds since the last start, and ``precision``.

    Raises
    ------
    ValueError, OSError
        As :func:`grnrep.ds.mnist`, or if an argument is out of range.

    References
    ----------
    Schuster & Krogh, "A manifold learning perspective on representation learning", Entropy 2021.

    Examples
    --------
    >>> from grnrep.validation import mnist_study
    >>> table = mnist_study("data", quick=True)  # doctest: +SKIP
    """
    unknown = [model for model in models if model not in MODELS]
    if unknown or not models:
        raise ValueError(f"models must be among {', '.join(MODELS)}; found {list(models)}")
    if "encoder_on_decoder" in models and "decoder" not in models:
        raise ValueError("models must name decoder beside encoder_on_decoder, trained on it")
    sizes = tuple(sizes) if sizes is not None else MNIST_SIZES[:1] if quick else MNIST_SIZES
    seeds = tuple(seeds) if seeds is not None else SEEDS[:1] if quick else SEEDS
    design = _designed(MNIST, epochs, quick, device, precision)
    images = mnist(data_dir=data_dir)
    if min(sizes) < 1 or max(sizes) > len(images.train):
        raise ValueError(f"sizes must lie between 1 and {len(images.train)}; found {sizes}")
    settings = design.settings() | {"n_test": _N_TEST}
    runs = Runs(None if out is None else Path(out), study="mnist", settings=settings)
    test = tensor(images.test[draw(len(images.test), _N_TEST, _TEST_SEED)])
    for seed in (seed + rng for seed in seeds):
        for n in sizes:
            x = tensor(images.train[draw(len(images.train), n, seed)])
            trained.train_missing(
                runs, design, x, test,
                key={"n_train": n, "seed": seed}, seed=seed, models=models, progress=progress,
                show=seed == seeds[0] + rng,
            )  # fmt: skip
    return runs.table()


def cifar10_study(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    sizes: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
    epochs: int | None = None,
    device: str | None = None,
    precision: str = "float32",
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
        50 images of every class, one seed, the 4x4 networks and 40 epochs: some minutes.
    sizes, seeds
        Images of every class, and seeds of draws, start values and batches; by default the
        paper's and 1,000. Sizes beyond the data at hand are left out, with a warning.
    kinds
        ``"1x1"`` (representations of 256 values) and ``"4x4"`` (1,024).
    epochs
        Passes over the images; by default the paper's 100.
    device, precision, rng, out, progress
        As in :func:`mnist_study`.

    Returns
    -------
    DataFrame with a row per size, seed, kind and model: ``train_error`` and ``test_error``, squared
    error per pixel value, loads of decoder and encoder, seconds since the last start, ``precision``, and the test error
    of every epoch (``curve``, for the first seed).

    Raises
    ------
    ValueError, OSError
        As :func:`grnrep.ds.cifar10`, or if an argument is out of range.

    Examples
    --------
    >>> from grnrep.validation import cifar10_study
    >>> table = cifar10_study("data", quick=True)  # doctest: +SKIP
    """
    sizes = tuple(sizes) if sizes is not None else CIFAR_SIZES[:1] if quick else CIFAR_SIZES
    seeds = tuple(seeds) if seeds is not None else SEEDS[:1] if quick else SEEDS
    kinds = tuple(kinds) if kinds is not None else ("4x4",) if quick else tuple(KINDS)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"kinds must be among {', '.join(KINDS)}; found {list(kinds)}")
    designs = {kind: _designed(CIFAR[kind], epochs, quick, device, precision) for kind in kinds}
    images = cifar10(data_dir=data_dir, allow_subset=True, progress=progress)
    sizes = _available(sizes, images.train_labels)
    settings = designs[kinds[0]].settings() | {"n_test": 10 * _TEST_PER_CLASS}
    settings |= {"data": images.note or "official"}
    runs = Runs(None if out is None else Path(out), study="cifar10", settings=settings)
    test = tensor(images.test[draw_balanced(images.test_labels, _TEST_PER_CLASS, _TEST_SEED)])
    for seed in (seed + rng for seed in seeds):
        for size in sizes:
            x = tensor(images.train[draw_balanced(images.train_labels, size, seed)])
            for kind, design in designs.items():
                first = seed == seeds[0] + rng
                trained.train_missing(
                    runs, design, x, test,
                    key={"per_class": size, "seed": seed, "kind": kind}, seed=seed,
                    models=MODELS[:2], progress=progress, show=first,
                    watched=_WATCHED if first else (),
                )  # fmt: skip
    return runs.table()


def _designed(
    design: Design, epochs: int | None, quick: bool, device: str | None, precision: str
) -> Design:
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision must be 'float32' or 'bfloat16'; found {precision!r}")
    epochs = (_QUICK_EPOCHS if quick else design.trainer.epochs) if epochs is None else epochs
    trainer = replace(design.trainer, epochs=epochs, device=device)
    return replace(design, trainer=trainer, precision=precision)


def _available(sizes: Sequence[int], labels: np.ndarray) -> tuple[int, ...]:
    most = int(np.bincount(labels).min())
    kept = tuple(size for size in sizes if 1 <= size <= most)
    left = ", ".join(str(size) for size in sizes if size not in kept)
    if not kept:
        raise ValueError(
            f"sizes must lie between 1 and {most}, the images of every class; found {sizes}"
        )
    if left:
        said = "cifar10: sizes %s are left out: there are %d images of every class"
        logger.warning(said, left, most)
    return kept
