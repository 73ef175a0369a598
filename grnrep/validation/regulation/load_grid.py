"""Grid search of the learning rates of the load study."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Final

import pandas as pd
from tqdm.auto import tqdm

from grnrep.core.fitted import Fit
from grnrep.validation.regulation.load_models import RECIPE, WORLD, Recipe, draw, learn, measure
from grnrep.validation.runs import Runs

_LR: Final = (1e-4, 1e-3, 1e-2)
_LR_REPRESENTATION: Final = (1e-3, 1e-2, 1e-1)
_LR_ENCODER: Final = (1e-5, 1e-4, 1e-3, 1e-2)
_N, _QUICK_N = 500, 100


def load_grid(
    *,
    quick: bool = False,
    n: int | None = None,
    replicates: int | None = None,
    weight_low: float = 0.0,
    rng: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Search learning rates for the models of the load study, each over powers of ten around the paper's.

    Decoders are tried with rates of 1e-4 to 1e-2 for weights and 1e-3 to 1e-1 for
    representations, encoders, on a decoder trained with the paper's rates, and autoencoders with
    1e-5 to 1e-2.

    Parameters
    ----------
    quick
        100 training cells and one data set, instead of 500 and 3.
    n, replicates
        Numbers of training cells and of data sets; as above by default.
    weight_low, rng, out, progress
        As in :func:`load_study`.

    Returns
    -------
    DataFrame with a row for each model, pair of rates and replicate: ``test_mse``, ``pcc`` and the other
    columns of :func:`load_study`. Where the training diverged they are NaN.

    Raises
    ------
    ValueError
        If ``out`` holds other runs.

    Examples
    --------
    >>> from grnrep.validation import load_grid
    >>> table = load_grid(quick=True)  # doctest: +SKIP
    >>> table.groupby(["model", "lr", "lr_representation"], dropna=False)["test_mse"].mean()  # doctest: +SKIP
    """
    n = n if n is not None else _QUICK_N if quick else _N
    replicates = replicates if replicates is not None else 1 if quick else 3
    settings = {**WORLD, **RECIPE, "weight_low": float(weight_low), "rng": int(rng)}
    runs = Runs(None if out is None else Path(out), study="load-grid", settings=settings)
    rates: list[tuple[str, float, float | None]] = [
        ("decoder", *pair) for pair in product(_LR, _LR_REPRESENTATION)
    ]
    rates += [(model, lr, None) for model in ("encoder", "autoencoder") for lr in _LR_ENCODER]
    decoders: dict[int, list[Fit]] = {}
    todo = list(product(range(replicates), rates))
    for k, (model, lr, lr_representation) in tqdm(todo, desc="grid", disable=not progress):
        key = {
            "n": n,
            "replicate": k,
            "model": model,
            "lr": lr,
            "lr_representation": lr_representation,
        }
        if runs.find(key) is not None:
            continue
        problem = draw(n, k, weight_low=weight_low, rng=rng)
        if model == "encoder" and k not in decoders:
            decoders[k] = [learn("decoder", [problem], RECIPE, [])[0].fit]
        # a model reads its own rate alone
        recipe: Recipe = {**RECIPE, "lr_decoder": lr, "lr_encoder": lr, "lr_autoencoder": lr}
        if lr_representation is not None:
            recipe["lr_representation"] = lr_representation
        try:
            result = measure(problem, learn(model, [problem], recipe, decoders.get(k, []))[0])
        except FloatingPointError:  # diverged
            result = {"test_mse": float("nan"), "pcc": float("nan")}
        runs.add(key, result)
    return runs.table()
