"""How often 95 % intervals contain the truth, over load, in the setting of the paper's Fig. 4.

n=1000 genes, m=100 regulators, connectivity 0.1, w ~ U(-1, 1), no signs given. Held out are 100
cells of the same network. An interval is mean ± 1.96 standard deviations.

- posterior: `sample_posterior`; held-out cells by `project` with its decoder and `activity_sd`

The scale of a regulator is not identified: before intervals are compared with the truth, every
regulator is aligned with it by one factor, of the regression of true on learned activities of the
fitted cells through the origin. Weights are divided by the same factor.

    python benchmarks/intervals.py
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import grnrep as gr
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.choose.ridge import choose_ridge
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.posterior.laplace import Spread, activity_sd
from grnrep.core.posterior.sample import sample_posterior
from grnrep.core.signs import orient

SIZES = {"n_vars": 1000, "n_regulators": 100, "connectivity": 0.1, "weight_low": -1.0}
N_HELD_OUT = 100


def simulate(n_cells: int, noise: float, seed: int):
    options = {"noise_sd": noise, "rng": seed, "progress": False}
    both, net = gr.ds.simulate(N_HELD_OUT + n_cells, **SIZES, **options)
    truth = both.obsm["true_activity"]
    gene, regulator = (
        both.var_names.get_indexer(net["target"]),
        truth.columns.get_indexer(net["source"]),
    )
    network = Network.from_edges(gene, regulator, np.zeros(len(net)), both.n_vars, truth.shape[1])
    weight = net["weight"].to_numpy()[np.lexsort((regulator, gene))]
    held, cells = both[:N_HELD_OUT].X, both[N_HELD_OUT:].X
    truth = truth.to_numpy(dtype=np.float64)
    return cells, truth[N_HELD_OUT:], held, truth[:N_HELD_OUT], network, weight


def covered(estimate: np.ndarray, sd: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(np.abs(estimate - truth) <= 1.96 * sd))


def pcc(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean([np.corrcoef(a[:, j], b[:, j])[0, 1] for j in range(a.shape[1])]))


def judge(fit: Fit, sd, held_sd, edge_sd, variance, data) -> dict:
    """Align with the truth, then count."""
    _, truth, held, held_truth, network, weight = data
    z, held_z = fit.activity, project(held, fit, network)
    factor = (z * truth).sum(0) / (z**2).sum(0)
    size = np.abs(factor)
    edge = factor[network.regulator]
    return {
        "cells": covered(z * factor, sd * size, truth),
        "held_out": covered(held_z * factor, held_sd(held_z) * size, held_truth),
        "edges": covered(fit.weight / edge, edge_sd / np.abs(edge), weight),
        "pcc": pcc(z, truth),
        "pcc_held_out": pcc(held_z, held_truth),
        "noise": float(np.sqrt(variance.mean())),
    }


def posterior(fit: Fit, data, seed: int) -> dict:
    x, _, held, _, network, _ = data
    found, *_ = sample_posterior(x, fit, network, rng=seed).orient(network)

    def held_sd(z: np.ndarray) -> np.ndarray:
        square = np.square(z).mean(0)
        spread = Spread(found.weight_sd, found.noise_variance, square)
        return activity_sd(held, replace(found.fit, activity=z), network, spread)

    counts = judge(
        found.fit,
        found.activity_sd,
        held_sd,
        found.weight_sd,
        found.noise_variance,
        data,
    )
    return counts | {"rhat": float(np.median(found.rhat))}


def run(n_cells: int, noise: float, seed: int) -> list[dict]:
    data = simulate(n_cells, noise, seed)
    x, network = data[0], data[4]
    start = time.perf_counter()
    fit = fit_decoder(x, network, ridge=choose_ridge(x, network, rng=seed), rng=seed)
    load = gr.metrics.decoder_load(n_cells, 1000, n_regulators=100, n_edges=network.n_edges)
    about = {"n": n_cells, "load": round(load, 2), "noise_sd": noise, "seed": seed}
    rows = [about | {"method": "fit", "pcc": pcc(orient(fit, network)[0].activity, data[1])}]
    rows[0]["seconds"] = time.perf_counter() - start
    start = time.perf_counter()
    found = posterior(fit, data, seed)
    rows.append(about | {"method": "posterior"} | found | {"seconds": time.perf_counter() - start})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", type=int, nargs="+", default=[25, 50, 100, 250, 1000])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.2, 1.0])
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "intervals.json"
    )
    args = parser.parse_args()
    args.output.parent.mkdir(exist_ok=True)
    rows = []
    for seed, noise, n_cells in product(range(args.seeds), args.noise, args.cells):
        rows += run(n_cells, noise, seed)
        args.output.write_text(json.dumps(rows, indent=1) + "\n")
    keys = ["noise_sd", "n", "method"]
    print(
        pd.DataFrame(rows)
        .groupby(keys)
        .mean(numeric_only=True)
        .drop(columns="seed")
        .round(4)
        .to_string()
    )


if __name__ == "__main__":
    main()
