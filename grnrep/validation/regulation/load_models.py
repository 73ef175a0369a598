"""The four models of the load study: what each learns from cells, and how well it does on new ones."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np
import pandas as pd
import torch

from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.fitted import Fit
from grnrep.core.load import decoder_load, encoder_load
from grnrep.core.network import Network
from grnrep.core.signs import orient
from grnrep.ds import simulate
from grnrep.nn import fit_gradient, project_gradient
from grnrep.validation.regulation.one_layer import train

MODELS: Final = ("decoder", "encoder", "autoencoder", "exact")
N_GENES, N_REGULATORS, N_TEST = 1000, 100, 100
WORLD: Final = {
    "n_vars": N_GENES,
    "n_regulators": N_REGULATORS,
    "connectivity": 0.1,
    "noise_sd": 0.0,
    "n_test": N_TEST,
}


class Recipe(TypedDict):
    """Epochs, batches and rates of the models that are trained by gradients."""

    epochs: int
    autoencoder_epochs: int
    batch_size: int
    weight_decay: float
    lr_decoder: float
    lr_representation: float
    momentum: float
    lr_encoder: float
    lr_autoencoder: float
    slope: float


# Section 3.3; the slope as the text has it, Table 3 prints 0.01
RECIPE: Final[Recipe] = {
    "epochs": 500,
    "autoencoder_epochs": 1000,
    "batch_size": 32,
    "weight_decay": 1e-5,
    "lr_decoder": 1e-3,
    "lr_representation": 1e-2,
    "momentum": 0.9,
    "lr_encoder": 1e-4,
    "lr_autoencoder": 1e-4,
    "slope": 0.1,
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """A training set, a test set of the same network, and the truth about the test set.

    Parameters
    ----------
    x, test
        Expression, ``(n, n_genes)`` and ``(n_test, n_genes)``.
    truth
        True activities of the test cells, regulators by name.
    network
        Edges without signs; regulators in the order of ``truth``.
    seed
        Of start values and batches.
    """

    x: np.ndarray
    test: np.ndarray
    truth: pd.DataFrame
    network: Network
    seed: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Learned:
    """A decoder, its representations of the training and of the test cells, and how long it took."""

    fit: Fit
    codes: np.ndarray
    seconds: float


def draw(n: int, replicate: int, *, weight_low: float, rng: int) -> Problem:
    """Simulate Eq. 6 without noise: the test cells come first, so that the training set is what differs."""
    adata, net = simulate(
        N_TEST + n,
        N_GENES,
        n_regulators=N_REGULATORS,
        connectivity=WORLD["connectivity"],
        noise_sd=WORLD["noise_sd"],
        weight_low=weight_low,
        rng=np.random.default_rng([rng, n, replicate]),
        progress=False,
    )
    truth = adata.obsm["true_activity"].iloc[:N_TEST]
    gene, regulator = (
        adata.var_names.get_indexer(net["target"]),
        truth.columns.get_indexer(net["source"]),
    )
    network = Network.from_edges(gene, regulator, np.zeros(len(net)), N_GENES, N_REGULATORS)
    return Problem(
        x=adata.X[N_TEST:],
        test=adata.X[:N_TEST],
        truth=truth,
        network=network,
        seed=replicate + 1000 * rng,
    )


def learn(
    model: str, problems: list[Problem], recipe: Recipe, decoders: list[Fit]
) -> list[Learned]:
    """Train a model on every problem; ``decoders`` are those that encoders are to be trained on."""
    if model == "decoder":
        return [_gradient(problem, recipe) for problem in problems]
    if model == "exact":
        return [_exact(problem) for problem in problems]
    return _encoders(problems, recipe, decoders if model == "encoder" else None)


def measure(problem: Problem, learned: Learned) -> dict[str, float]:
    """Loads, errors and correlations with the truth, by name; a constant representation says nothing: 0."""
    fit, network = learned.fit, problem.network
    names = problem.truth.columns
    codes = pd.DataFrame(learned.codes, index=problem.truth.index, columns=names)
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = codes.corrwith(problem.truth).fillna(0.0)
    oriented, _, _ = orient(fit, network)
    agree = np.bincount(network.regulator, oriented.weight * fit.weight, network.n_regulators)
    pcc = raw * np.where(agree < 0, -1.0, 1.0)
    n, m = len(problem.x), network.n_regulators
    return {
        "load": float(decoder_load(n, N_GENES, n_regulators=m, n_edges=network.n_edges)),
        "load_unmasked": float(decoder_load(n, N_GENES, n_regulators=m, n_edges=N_GENES * m)),
        "load_encoder": float(encoder_load(n, m, n_weights=(N_GENES + 1) * m)),
        "train_mse": _mse(problem.x, fit.activity, fit, network),
        "test_mse": _mse(problem.test, learned.codes, fit, network),
        "mean_mse": float(np.mean((problem.test - problem.x.mean(0, dtype=np.float64)) ** 2)),
        "pcc": float(pcc.mean()),
        "abs_pcc": float(raw.abs().mean()),
        "pcc_as_trained": float(raw.mean()),
        "worst_pcc": float(pcc.min()),
        "seconds": learned.seconds,
    }


def _gradient(problem: Problem, recipe: Recipe) -> Learned:
    start = time.perf_counter()
    fit = fit_gradient(
        problem.x,
        problem.network,
        epochs=recipe["epochs"],
        batch_size=recipe["batch_size"],
        lr=recipe["lr_decoder"],
        weight_decay=recipe["weight_decay"],
        lr_activity=recipe["lr_representation"],
        momentum=recipe["momentum"],
        rng=problem.seed,
        progress=False,
    )
    seconds = time.perf_counter() - start
    codes = project_gradient(problem.test, fit, problem.network, progress=False)
    return Learned(fit=fit, codes=codes, seconds=seconds)


def _exact(problem: Problem) -> Learned:
    start = time.perf_counter()
    fit = fit_decoder(problem.x, problem.network, rng=problem.seed)
    seconds = time.perf_counter() - start
    return Learned(fit=fit, codes=project(problem.test, fit, problem.network), seconds=seconds)


def _encoders(problems: list[Problem], recipe: Recipe, decoders: list[Fit] | None) -> list[Learned]:
    """Train encoders on frozen decoders, or autoencoders, side by side."""
    start = time.perf_counter()
    x, test = (
        torch.as_tensor(np.stack([getattr(p, part) for p in problems])) for part in ("x", "test")
    )
    mask, frozen = None, None
    if decoders is None:
        mask = torch.stack([_matrix(p.network, np.ones(p.network.n_edges)) for p in problems])
        epochs, lr = recipe["autoencoder_epochs"], recipe["lr_autoencoder"]
    else:
        pairs = zip(problems, decoders, strict=True)
        frozen = torch.stack([_matrix(p.network, fit.weight) for p, fit in pairs])
        epochs, lr = recipe["epochs"], recipe["lr_encoder"]
    model = train(
        x,
        mask=mask,
        decoder=frozen,
        seeds=[p.seed for p in problems],
        epochs=epochs,
        batch_size=recipe["batch_size"],
        lr=lr,
        weight_decay=recipe["weight_decay"],
        slope=recipe["slope"],
        progress=False,
    )
    seconds = (time.perf_counter() - start) / len(problems)
    both = zip(model.decoder, model.encode(x), model.encode(test), problems, strict=True)
    return [
        Learned(
            fit=Fit(
                weight=decoder[p.network.gene, p.network.regulator].double().numpy(),
                bias=None,
                activity=activity.double().numpy(),
            ),
            codes=codes.double().numpy(),
            seconds=seconds,
        )
        for decoder, activity, codes, p in both
    ]


def _matrix(network: Network, weight: np.ndarray) -> torch.Tensor:
    out = torch.zeros(network.n_genes, network.n_regulators)
    out[network.gene, network.regulator] = torch.as_tensor(weight, dtype=torch.float32)
    return out


def _mse(x: np.ndarray, z: np.ndarray, fit: Fit, network: Network) -> float:
    weight = _matrix(network, fit.weight).double().numpy()
    return float(np.mean((np.maximum(z @ weight.T, 0) - x) ** 2))
