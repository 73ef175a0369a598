"""Load study: decoder, encoder and autoencoder on more and more cells (Schuster & Krogh 2021, Fig. 4)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm.auto import tqdm

from grnrep.core.fitted import Fit
from grnrep.validation.regulation.load_models import MODELS, RECIPE, WORLD, draw, learn, measure
from grnrep.validation.runs import Runs

logger = logging.getLogger("grnrep")

# decoder loads (Eq. 3, by edges) from 0.5 to 9.9
SIZES: Final = (5, 10, 12, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000, 2000, 5000, 10_000)
_QUICK_SIZES: Final = (5, 10, 20, 50, 100, 200, 500)
_REPLICATES, _QUICK_REPLICATES = 5, 2
_BAR: Final = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def load_study(
    *,
    quick: bool = False,
    sizes: Sequence[int] | None = None,
    replicates: int | None = None,
    models: Sequence[str] = MODELS,
    weight_low: float = 0.0,
    rng: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    r"""Train four models on more and more simulated cells; test reconstruction and regulators.

    Data are those of Eq. 6 with 1,000 genes, 100 regulators, a connectivity of 0.1 and no noise. For every
    training set there are 100 new cells of the same network to test on. No sign is given.

    ``"decoder"`` is the recipe of the paper (:func:`grnrep.nn.fit_gradient`), ``"encoder"`` a linear layer
    with a leaky ReLU trained on that decoder, frozen, ``"autoencoder"`` the same two layers trained
    together, and ``"exact"`` the solver of this package. Rates, epochs and batches are the paper's.

    What the paper leaves open is settled as follows:

    - Weights are uniform from 0 to 1, activities Gamma(1, 1). The paper gives no range; with this one
      what it says of decoder and encoder holds. With repression too (``weight_low=-1``) encoders need
      more cells.
    - The encoder has a bias, as torch's layers do by default; decoders have none, as in Eq. 6.
    - The loss is summed over genes where representations are learned, see
      :func:`grnrep.nn.fit_gradient`, and averaged over genes, torch's default, for encoders, to which
      this matters through the weight decay alone: summed, the autoencoder's test error at 500 cells
      was 0.40 instead of 0.21 (weights from -1 to 1, one data set).
    - The slope of the leaky ReLU is 0.1, as Section 3.3 says; Table 3 prints 0.01.
    - The sign of every regulator is settled for all models alike by
      ``grnrep.core.signs.orient``, from training data alone: activities are positive.
    - The load of Eq. 3 needs the number of weights. Those of the masked decoder are its edges
      (``load``). The paper seems to count all n · m, nine in ten of them zero (``load_unmasked``):
      only so does a load of 9 take 10,000 cells, as it says, and not 900.

    Parameters
    ----------
    quick
        2 replicates and up to 500 cells, instead of 5 and 10,000: some minutes.
    sizes, replicates
        Numbers of training cells, and of data sets for each of them; as above by default.
    models
        Which to train.
    weight_low
        Lower end of the range of the true weights, whose upper end is 1.
    rng
        Seed of data, start values and batches.
    out
        JSON file of the rows, continued where it is there; by default none is written.
    progress
        Whether to show a progress bar.

    Returns
    -------
    DataFrame with a row for each size, replicate and model: ``load``, ``load_unmasked``, ``load_encoder``
    (Eq. 4), ``train_mse``, ``test_mse``, ``mean_mse`` (of predicting the training mean of every gene),
    ``pcc`` (correlation with the true activities of the test cells, mean over regulators), ``abs_pcc``
    (mean of its absolute values), ``pcc_as_trained`` (before signs are settled), ``worst_pcc`` (lowest of
    a regulator) and ``seconds``.

    Raises
    ------
    ValueError
        If an argument is out of range, or ``out`` holds other runs.

    References
    ----------
    Schuster & Krogh, "A manifold learning perspective on representation learning", Entropy 2021,
    Section 3.3 and Fig. 4.

    Examples
    --------
    >>> from grnrep.validation import load_study
    >>> table = load_study(sizes=[5], replicates=1, models=["exact"], progress=False)
    >>> table[["n", "model", "load"]].round(2).to_dict("list")
    {'n': [5], 'model': ['exact'], 'load': [0.47]}
    """
    sizes = tuple(sizes) if sizes is not None else _QUICK_SIZES if quick else SIZES
    if replicates is None:
        replicates = _QUICK_REPLICATES if quick else _REPLICATES
    unknown = [name for name in models if name not in MODELS]
    if unknown or not models:
        raise ValueError(f"models must be among {', '.join(MODELS)}; found {list(models)}")
    if replicates < 1 or not sizes or min(sizes) < 1:
        raise ValueError(f"sizes and replicates must be at least 1; found {sizes} and {replicates}")
    settings = {**WORLD, **RECIPE, "weight_low": float(weight_low), "rng": int(rng)}
    runs = Runs(None if out is None else Path(out), study="load-study", settings=settings)
    keys: list[dict[str, Any]] = [
        {"n": n, "replicate": replicate, "model": model}
        for n in sizes
        for model in MODELS
        if model in models
        for replicate in range(replicates)
    ]
    todo = [key for key in keys if runs.find(key) is None]
    with tqdm(
        total=sum(map(_work, todo)), desc="load study", disable=not progress, bar_format=_BAR
    ) as bar:
        for n in dict.fromkeys(key["n"] for key in todo):
            _run_size(n, [key for key in todo if key["n"] == n], runs, bar)
    table = runs.table().set_index(["n", "replicate", "model"])
    return table.loc[[tuple(key.values()) for key in keys]].reset_index()


def _run_size(n: int, keys: list[dict[str, Any]], runs: Runs, bar: tqdm) -> None:
    """Train what is missing of one size, all replicates of a model together."""
    world = {name: runs.settings[name] for name in ("weight_low", "rng")}
    problems = {k: draw(n, k, **world) for k in sorted({key["replicate"] for key in keys})}
    decoders: dict[int, Fit] = {}
    for model in MODELS:
        wanted = {key["replicate"]: key for key in keys if key["model"] == model}
        if not wanted:
            continue
        bar.set_postfix_str(f", {n} cells, {model}")
        if model == "encoder":  # of an earlier run only the figures are left
            for k in wanted.keys() - decoders.keys():
                decoders[k] = learn("decoder", [problems[k]], RECIPE, [])[0].fit
        some = [problems[k] for k in wanted]
        learned = learn(model, some, RECIPE, [decoders[k] for k in wanted if k in decoders])
        for (k, key), problem, one in zip(wanted.items(), some, learned, strict=True):
            if model == "decoder":
                decoders[k] = one.fit
            result = measure(problem, one)
            runs.add(key, result)
            logger.debug(
                "load study: %s: test MSE %.3g, PCC %.4f", key, result["test_mse"], result["pcc"]
            )
            bar.update(_work(key))


def _work(key: dict[str, Any]) -> int:
    """About how long a run takes, in steps of training."""
    epochs = {"autoencoder": RECIPE["autoencoder_epochs"], "exact": 10}.get(
        key["model"], RECIPE["epochs"]
    )
    return epochs * -(-key["n"] // RECIPE["batch_size"])
