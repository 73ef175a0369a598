"""MNIST: the decoder alone against the autoencoder on few images (Schuster & Krogh 2021, Fig. 2)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd
from torch import Tensor, nn

from grnrep.ds.images import mnist
from grnrep.nn.conv import mnist_decoder, mnist_encoder
from grnrep.nn.likelihoods import Bernoulli
from grnrep.nn.trainer import Trainer
from grnrep.validation.images.models import (
    MODELS,
    Design,
    draw,
    loads,
    new_model,
    settings_of,
    tensor,
    train,
)
from grnrep.validation.runs import Runs

logger = logging.getLogger("grnrep")

SIZES = (500, 1000, 2000, 4000, 8000, 15000)
SEEDS = (0, 1, 2)
_QUICK = ((500, 1000), (0,))
_N_TEST = 1000
_TEST_SEED = 2021
_TRAINER: Final = Trainer(
    epochs=200, batch_size=64, lr=1e-3, weight_decay=1e-5, lr_representation=2e-2, momentum=0.9
)
_D = 20


def mnist_study(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    sizes: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    models: Sequence[str] = MODELS,
    epochs: int | None = None,
    device: str | None = None,
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
        Sizes 500 and 1,000 and one seed: about ten minutes on two cores.
    sizes, seeds
        Numbers of training images, and seeds of draws, start values and batches; by default
        all of the paper's range, 500 to 15,000, and three seeds.
    models
        Among ``"decoder"``, ``"autoencoder"`` and ``"encoder_on_decoder"``; the last needs the first.
    epochs
        Passes over the images; by default the paper's 200.
    device
        Where to compute; by default the CPU.
    rng
        Added to every seed.
    out
        File of the rows, JSON, continued where it is there; by default none is written.
    progress
        Whether to show progress bars.

    Returns
    -------
    DataFrame with a row per size, seed and model: ``train_error`` and ``test_error``, binary
    cross-entropy per pixel, loads of decoder and encoder, and seconds.

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
        raise ValueError(
            "models must name decoder beside encoder_on_decoder, which is trained on it"
        )
    sizes = tuple(sizes) if sizes is not None else _QUICK[0] if quick else SIZES
    seeds = tuple(seeds) if seeds is not None else _QUICK[1] if quick else SEEDS
    epochs = _TRAINER.epochs if epochs is None else epochs
    images = mnist(data_dir=data_dir)
    if min(sizes) < 1 or max(sizes) > len(images.train):
        raise ValueError(f"sizes must lie between 1 and {len(images.train)}; found {sizes}")
    design = Design(
        lambda seed: mnist_encoder(_D, rng=seed),
        lambda seed: mnist_decoder(_D, rng=seed),
        Bernoulli,
        _D,
        replace(_TRAINER, epochs=epochs, device=device),
    )
    settings = settings_of(design.trainer) | {"n_test": _N_TEST}
    runs = Runs(None if out is None else Path(out), study="mnist", settings=settings)
    test = tensor(images.test[draw(len(images.test), _N_TEST, _TEST_SEED)])
    for seed in (seed + rng for seed in seeds):
        for n in sizes:
            x = tensor(images.train[draw(len(images.train), n, seed)])
            _add(runs, design, x, test, seed=seed, models=models, progress=progress)
    return runs.table()


def _add(
    runs: Runs,
    design: Design,
    x: Tensor,
    test: Tensor,
    *,
    seed: int,
    models: Sequence[str],
    progress: bool,
) -> None:
    """Train what is missing of one size and seed."""
    n = len(x)
    decoder: nn.Module | None = None  # trained, as soon as there is one
    for kind in MODELS:
        key = {"n_train": n, "seed": seed, "model": kind}
        if kind not in models or runs.find(key) is not None:
            continue
        if kind == "encoder_on_decoder" and decoder is None:
            alone = new_model(design, n, kind="decoder", seed=seed)
            train(alone, design, x, test, seed=seed, progress=progress)
            decoder = alone.decoder
        model = new_model(design, n, kind=kind, seed=seed, decoder=decoder)
        checkpoint = (
            None
            if runs.path is None
            else runs.path.with_name(f".mnist-{n}-{seed}-{kind}.checkpoint")
        )
        result = train(model, design, x, test, seed=seed, checkpoint=checkpoint, progress=progress)
        logger.info(
            "mnist: %d images, seed %d, %s: test error %.4f", n, seed, kind, result["test_error"]
        )
        runs.add(key, result | loads(design, n, x[0].numel()))
        decoder = model.decoder if kind == "decoder" else decoder
