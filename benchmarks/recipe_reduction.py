"""What the paper leaves open of its gradient recipe: how the squared errors are reduced.

The paper gives rates (decoder 1e-3, representations 1e-2), not the reduction of the loss over
genes and cells. Adam takes the reduction as it comes, save for its weight decay; the plain descent
of the representations does not: there a reduction is a factor on the rate. So all reductions are
runs of ``fit_gradient`` with rate and decay converted, over the same grid of rates.

Prints and saves the signed Pearson correlation of the activities of 100 held-out cells with the
truth (mean over regulators and seeds; regulators whose training activities have a negative mean
are flipped).

    python benchmarks/recipe_reduction.py
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from grnrep.core.network import Network
from grnrep.nn import fit_gradient, project_gradient

N_GENES, N_REGULATORS, CONNECTIVITY, N_HELD_OUT, BATCH = 1000, 100, 0.1, 100, 32
REGIMES = {"U(-1,1)": (-1.0, 1.0), "U(0,1)": (0.0, 1.0)}
# reduction: factor on the squared error of a cell as the decoder sees it, and as its representation does
REDUCTIONS = {
    "sum over genes, mean over cells": (1 / BATCH, 1 / BATCH),  # that of fit_gradient
    "mean": (1 / (BATCH * N_GENES), 1 / (BATCH * N_GENES)),
    "sum": (1.0, 1.0),
}
LR, LR_ACTIVITY = (1e-4, 1e-3, 1e-2), (1e-3, 1e-2, 1e-1)
OUTPUT = Path(__file__).parent / "results" / "recipe_reduction.json"


def simulate(n_cells: int, regime: str, seed: int):
    """Eq. 6 without noise, activities Gamma(1, 1): x and z of training and held-out cells, network."""
    draw = np.random.default_rng(seed)
    mask = draw.random((N_GENES, N_REGULATORS)) < CONNECTIVITY
    weight = draw.uniform(*REGIMES[regime], mask.shape) * mask
    z = draw.gamma(1.0, 1.0, (n_cells + N_HELD_OUT, N_REGULATORS))
    x = np.maximum(z @ weight.T, 0).astype(np.float32)
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), *mask.shape)
    return x[:n_cells], x[n_cells:], z[n_cells:], network


def trial(n_cells, regime, seed, *, reduction, lr, lr_activity, epochs) -> dict:
    """Fit, project, and correlate; NaN where the descent diverged."""
    x, held_out, truth, network = simulate(n_cells, regime, seed)
    for_decoder, for_cells = REDUCTIONS[reduction]
    own = 1 / BATCH
    start = time.perf_counter()
    try:
        fit = fit_gradient(
            x,
            network,
            lr=lr,
            weight_decay=1e-5 * own / for_decoder,
            lr_activity=lr_activity * for_cells / own,
            epochs=epochs,
            rng=seed,
            progress=False,
        )
    except FloatingPointError:
        return {"pearson": np.nan, "abs_pearson": np.nan, "mse": np.nan, "seconds": np.nan}
    seconds = time.perf_counter() - start
    z = project_gradient(held_out, fit, network, epochs=200, progress=False)
    # a constant correlates with nothing
    z = (z - z.mean(0)) / np.where(z.std(0) > 0, z.std(0), np.inf)
    pearson = (z * (truth - truth.mean(0)) / truth.std(0)).mean(0)
    pearson *= np.where(fit.activity.mean(0) < 0, -1, 1)
    return {
        "pearson": pearson.mean(),
        "abs_pearson": np.abs(pearson).mean(),
        "mse": fit.history[-1],
        "seconds": seconds,
    }


def run(settings: list[dict], epochs: int, desc: str) -> pd.DataFrame:
    return pd.DataFrame([{**s, **trial(**s, epochs=epochs)} for s in tqdm(settings, desc=desc)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-cells", type=int, default=50, help="training cells of the grid")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()

    names = ("regime", "reduction", "lr", "lr_activity", "seed")
    grid = [
        {"n_cells": args.n_cells, **dict(zip(names, values, strict=True))}
        for values in product(REGIMES, REDUCTIONS, LR, LR_ACTIVITY, range(args.seeds))
    ]
    grid = run(grid, args.epochs, "grid")

    # a diverged run counts as nothing learned
    table = grid.fillna({"pearson": 0}).pivot_table(
        index=["regime", "reduction"], columns=["lr", "lr_activity"], values="pearson", sort=False
    )
    diverged = (
        grid.assign(diverged=grid["pearson"].isna())
        .groupby(["regime", "reduction"])["diverged"]
        .sum()
    )
    print(
        f"Held-out signed Pearson, {args.n_cells} cells, {args.epochs} epochs, {args.seeds} seeds"
    )
    print(table.round(3).to_string())
    print(f"\nRuns that diverged\n{diverged.to_string()}")

    args.output.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        **{name: value for name, value in vars(args).items() if name != "output"},
        "n_genes": N_GENES,
        "n_regulators": N_REGULATORS,
        "connectivity": CONNECTIVITY,
        "noise_sd": 0,
        "activities": "Gamma(1, 1)",
        "n_held_out": N_HELD_OUT,
        "batch_size": BATCH,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }
    content = {"settings": settings, "grid": _records(grid)}
    args.output.write_text(json.dumps(content, indent=1) + "\n")


def _records(table: pd.DataFrame) -> list[dict]:
    return json.loads(table.round(6).to_json(orient="records"))  # NaN becomes null


if __name__ == "__main__":
    main()
