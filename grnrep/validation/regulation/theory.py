"""Theory shown: a linear decoder finds the principal subspace, and loads grow as Eq. 5 says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.linalg import subspace_angles
from torch import nn
from tqdm.auto import tqdm

from grnrep.core.als.fit import fit_decoder
from grnrep.core.load import decoder_load_from_encoder_load
from grnrep.core.network import Network
from grnrep.nn import Model, Representation, SquaredError, Trainer
from grnrep.nn._seed import seeded
from grnrep.pl._axes import BLUE, GREY, INK, ORANGE, VERMILION
from grnrep.validation.runs import Runs

_N, _N_FEATURES, _D = 300, 30, 4
_CLOSED: Final = (1, 3, 10, 30, 100, 300, 1000)  # alternations
_EPOCHS: Final = (1, 10, 30, 100, 300, 1000, 3000)
_PRECISION: Final = float(np.finfo(float).eps)
_RATIOS: Final = {2: BLUE, 10: ORANGE, 100: VERMILION}  # n / m


def principal_angle(decoder: np.ndarray, x: np.ndarray) -> float:
    """Largest angle, in rad, between what a linear decoder spans and the principal subspace of data.

    Parameters
    ----------
    decoder
        Weights, ``(n_features, d)``.
    x
        Data with mean zero, ``(n, n_features)``.

    Returns
    -------
    The angle, from 0 to π/2.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.validation import principal_angle
    >>> x = np.diag([3.0, 2.0, 1.0])
    >>> decoder = np.array([[1.0, 1.0], [1.0, -1.0], [0.0, 0.0]])  # spans the first two axes
    >>> round(principal_angle(decoder, x), 6), round(principal_angle(np.eye(3)[:, 1:], x), 4)
    (0.0, 1.5708)
    """
    _, _, components = np.linalg.svd(x, full_matrices=False)
    return float(subspace_angles(components[: decoder.shape[1]].T, decoder).max())


def theory_study(
    *,
    quick: bool = False,
    rng: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Learn a linear decoder with its representations, and measure the angle to the principal subspace.

    Minimising the distance of centred data to a linear manifold (Eq. 1) gives the principal subspace,
    though neither orthogonal vectors nor their order. Shown for the alternating solver of this package,
    on a network with all edges, and for gradients, by :class:`grnrep.nn.Trainer` with all samples in a batch.

    Parameters
    ----------
    quick
        One data set instead of 5.
    rng
        Seed of data and start values.
    out
        JSON file of the rows, continued where it is there; by default none is written.
    progress
        Whether to show a progress bar.

    Returns
    -------
    DataFrame with a row for each ``method``, ``replicate`` and number of ``steps``: ``angle``, the largest
    to the principal subspace, in rad, and ``excess_error``, the squared error beyond that of the
    principal subspace as a share of it.

    Raises
    ------
    ValueError
        If ``out`` holds other runs.

    References
    ----------
    Schuster & Krogh (2021), Section 2.1; Bourlard & Kamp (1988), Biol Cybern 59:291.

    Examples
    --------
    >>> from grnrep.validation import theory_study
    >>> table = theory_study(quick=True, progress=False)  # doctest: +SKIP
    """
    settings = {"n": _N, "n_features": _N_FEATURES, "d": _D, "rng": int(rng)}
    runs = Runs(None if out is None else Path(out), study="theory", settings=settings)
    keys = [
        {"method": m, "replicate": k}
        for k in range(1 if quick else 5)
        for m in ("alternation", "gradient")
    ]
    for key in tqdm(keys, desc="theory", disable=not progress):
        steps = _CLOSED if key["method"] == "alternation" else _EPOCHS
        if all(runs.find(key | {"steps": n}) is not None for n in steps):
            continue
        seed = np.random.default_rng([rng, key["replicate"]])
        x = seed.normal(size=(_N, _N_FEATURES)) @ seed.normal(size=(_N_FEATURES, _N_FEATURES))
        x = (x - x.mean(0)) / np.sqrt(_N_FEATURES)
        for n, decoder in (_alternate if key["method"] == "alternation" else _descend)(
            x, steps, rng
        ).items():
            row = {"angle": principal_angle(decoder, x), "excess_error": _excess(decoder, x)}
            runs.add(key | {"steps": n}, row)
    return runs.table()


def theory_figure(table: pd.DataFrame) -> Figure:
    """Draw Eq. 5, and how fast a linear decoder approaches the principal subspace.

    Parameters
    ----------
    table
        From :func:`theory_study`.

    Returns
    -------
    Figure; lines are means over data sets, bands their range.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import theory_figure
    >>> row = {"method": "alternation", "replicate": 0, "steps": 1, "angle": 0.5, "excess_error": 0.1}
    >>> len(theory_figure(pd.DataFrame([row])).axes)
    2
    """
    fig = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = fig.subplots(1, 2)
    loads = np.logspace(-3, 2, 200)
    for ratio, colour in _RATIOS.items():
        load = np.asarray(decoder_load_from_encoder_load(loads, n_vars=ratio, n_regulators=1))
        left.plot(loads, load, color=colour)
        left.annotate(
            f"n/m = {ratio}",
            (loads[-1], load[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colour,
        )
    left.plot(loads, loads, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    left.annotate("equal", (3e-3, 3e-3), xytext=(4, -10), textcoords="offset points", color=INK)
    for line in (left.axhline, left.axvline):
        line(1, color=GREY, linewidth=0.8, zorder=0)
    left.set(
        xscale="log",
        yscale="log",
        xlabel=r"encoder load $\alpha_e$",
        ylabel=r"decoder load $\alpha_d$",
        xlim=(1e-3, 1e2),
    )
    for (method, part), colour in zip(table.groupby("method"), (BLUE, ORANGE), strict=False):
        angle = part.groupby("steps")["angle"]
        mean = angle.mean()
        label = {"alternation": "alternation, iterations", "gradient": "gradients, epochs"}[
            str(method)
        ]
        right.plot(mean.index, mean, color=colour, marker="o", markersize=4, label=label)
        right.fill_between(
            mean.index, angle.min(), angle.max(), color=colour, alpha=0.2, linewidth=0
        )
    right.axhline(_PRECISION, color=GREY, linewidth=0.8)
    right.annotate(
        "machine precision", (1, _PRECISION), (0, 3), textcoords="offset points", fontsize=8
    )
    right.set(
        xscale="log", yscale="log", xlabel="steps", ylabel="largest principal angle to PCA, rad"
    )
    right.legend(frameon=False)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    left.set_title("loads of an encoder and of its decoder (Eq. 5)")
    right.set_title("a linear decoder finds the principal subspace")
    return fig


def _alternate(x: np.ndarray, steps: tuple[int, ...], rng: int) -> dict[int, np.ndarray]:
    """Decoders after so many iterations of the exact solver, on a network with all edges."""
    gene, regulator = np.divmod(np.arange(_N_FEATURES * _D), _D)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), _N_FEATURES, _D)
    found = {}
    for n in steps:
        fit = fit_decoder(
            x, network, likelihood="gaussian", ridge=1e-6, max_iter=n, tol=1e-14, rng=rng
        )
        found[n] = fit.weight.reshape(_N_FEATURES, _D)
    return found


def _descend(x: np.ndarray, steps: tuple[int, ...], rng: int) -> dict[int, np.ndarray]:
    """Decoders after so many epochs of gradients, all samples in a batch."""
    with seeded(rng):
        decoder = nn.Linear(_D, _N_FEATURES, bias=False)
        start = torch.randn(len(x), _D, dtype=torch.float64)
    decoder.double()
    model = Model(Representation(len(x), _D, init=start), decoder, loss=SquaredError())
    found = {}

    def keep(epoch: int, model: Model) -> None:
        if epoch in steps:
            found[epoch] = decoder.weight.detach().double().numpy().copy()

    # the loss is a mean over samples, so the gradient of each has a factor of 1/n
    trainer = Trainer(
        epochs=max(steps),
        batch_size=len(x),
        lr=1e-2,
        lr_representation=len(x) / 30,
        momentum=0.9,
        rng=rng,
        progress=False,
    )
    trainer.fit(model, torch.as_tensor(x), on_epoch=keep)
    return found


def _excess(decoder: np.ndarray, x: np.ndarray) -> float:
    """Squared error of the best reconstructions beyond that of the principal subspace, by the latter."""
    basis, _ = np.linalg.qr(decoder)
    best = (np.linalg.svd(x, compute_uv=False)[decoder.shape[1] :] ** 2).sum()
    return float(((x - x @ basis @ basis.T) ** 2).sum() / best - 1)
