"""How often 95 % intervals of a fit to counts contain the truth, in the setting of `counts.py`.

60 regulators, 1,000 genes, connectivity 0.05, no signs given; 300 cells of the same network are
held out. An interval is the fit ± 1.96 standard deviations.

- deviations: `curvature_spread` and `activity_sd`
- curvature: the inverse of the curvature of the likelihood at the fit, and nothing else

Size factors are the true ones, or totals over their median: what totals can be compared with are
activities over the total expression of their cell. "from the model" has counts whose rates are
those of the fitted model, a smooth ReLU without noise inside: there nothing but the estimate can err.

Before intervals are compared with the truth, every regulator is aligned with it by one factor,
of the regression of learned on true activities of the fitted cells through the origin. (That
of true on learned ones is smaller by the share of noise in the learned ones, 1 to 4 %, which is more
than the standard error of many weights; the columns `*_reversed` are by it.) Weights are divided
by the same factor. `edges_seen` and `edges_rare` are of genes with a mean of at least, or below, 0.5 counts.

    OMP_NUM_THREADS=1 python benchmarks/count_intervals.py
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

import grnrep as gr
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.counts import softness_of
from grnrep.core.network import Network
from grnrep.core.posterior.laplace import Systems, activity_sd
from grnrep.core.posterior.spread import curvature_spread
from grnrep.core.signs import orient

SIZES = {"n_vars": 1000, "n_regulators": 60, "connectivity": 0.05}
N_HELD_OUT = 300
SEEN = 0.5
DATA = {
    "Poisson, 3,000 counts": {"counts": "poisson", "library_size": 3000},
    "Poisson, 1,000 counts": {"counts": "poisson", "library_size": 1000},
    "NB 0.2, 3,000 counts": {"counts": "nb", "dispersion": 0.2, "library_size": 3000},
}
ROWS = ("true", "totals", "from the model")


class Data(NamedTuple):
    """Counts, size factors and true activities of held-out cells and then of the others; true weights."""

    counts: np.ndarray
    size_factors: np.ndarray
    truth: np.ndarray
    network: Network
    weight: np.ndarray


def simulate(setting: dict, n_cells: int, seed: int, kind: str) -> Data:
    adata, net = gr.ds.simulate(N_HELD_OUT + n_cells, **SIZES, **setting, rng=seed, progress=False)
    truth = adata.obsm["true_activity"]
    gene, regulator = (
        adata.var_names.get_indexer(net["target"]),
        truth.columns.get_indexer(net["source"]),
    )
    network = Network.from_edges(gene, regulator, np.zeros(len(net)), adata.n_vars, truth.shape[1])
    weight = net["weight"].to_numpy()[np.lexsort((regulator, gene))]
    counts = adata.layers["counts"].toarray().astype(np.float32)
    truth, total = truth.to_numpy(dtype=np.float64), np.asarray(adata.X).sum(1, dtype=np.float64)
    if kind == "totals":
        s = np.maximum(counts.sum(1, dtype=np.float64), 1.0)
        truth = truth / (total / total.mean())[:, None]
        unit = np.median(s[N_HELD_OUT:]) / total.mean()
    else:
        s = adata.obs["true_library_size"].to_numpy() / total
        unit = np.median(s[N_HELD_OUT:])
    weight, s = weight * unit, s / np.median(s[N_HELD_OUT:])
    if kind == "from the model":
        counts = from_model(truth, network, weight, s, setting, seed)
    return Data(counts, s, truth, network, weight)


def from_model(
    truth: np.ndarray, network: Network, weight: np.ndarray, s: np.ndarray, setting: dict, seed: int
) -> np.ndarray:
    """Counts of a smooth ReLU, whose softness is that of the mean rates that it gives."""
    p = np.zeros((len(truth), network.n_genes))
    for gene, regulator, w in zip(network.gene, network.regulator, weight, strict=True):
        p[:, gene] += w * truth[:, regulator]
    rate = np.maximum(p, 0)
    for _ in range(20):
        softness = softness_of(torch.as_tensor(rate.mean(0))).numpy()
        rate = np.logaddexp(0, p / softness) * softness
    draw = np.random.default_rng(seed)
    rate = rate * s[:, None]
    if setting["counts"] == "nb":
        rate = rate * draw.gamma(1 / setting["dispersion"], setting["dispersion"], rate.shape)
    return draw.poisson(rate).astype(np.float32)


def covered(estimate: np.ndarray, sd: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(np.abs(estimate - truth) <= 1.96 * sd)) if estimate.size else float("nan")


def judge(data: Data, fit: Fit, held: np.ndarray, sd, held_sd, edge_sd) -> dict:
    """Align with the truth, then count."""
    z, truth, new = fit.activity, data.truth[N_HELD_OUT:], data.truth[:N_HELD_OUT]
    cross = (z * truth).sum(0)
    found = {}
    for name, factor in {"": (truth**2).sum(0) / cross, "_reversed": cross / (z**2).sum(0)}.items():
        size, edge = np.abs(factor), factor[data.network.regulator]
        weight, se = fit.weight / edge, edge_sd / np.abs(edge)
        found["cells" + name] = covered(z * factor, sd * size, truth)
        found["held_out" + name] = covered(held * factor, held_sd * size, new)
        found["edges" + name] = covered(weight, se, data.weight)
        seen = fit.likelihood.arrays()["mean"][data.network.gene] >= SEEN
        for part, which in {"seen": seen, "rare": ~seen}.items():
            found[f"edges_{part}{name}"] = covered(weight[which], se[which], data.weight[which])
    return found


def curvature(counts: np.ndarray, s: np.ndarray, fit: Fit, network: Network):
    """Deviations of activities and of weights by the curvature alone."""
    at = Systems(fit, network)
    sd, system = np.empty(fit.activity.shape), torch.zeros_like(at.product)
    for block in at.cells(counts, s):
        sd[block.rows] = block.inverse.diagonal(dim1=1, dim2=2).sqrt().numpy()
        system += at.of_genes(block.curvature, block.z)
    ridge = torch.full_like(at.weight, 1e-6 * float(system.mean()))
    inverse, _ = at.inverse(system, ridge, at.weight[:, None])
    return sd, at.diagonal(inverse).sqrt().numpy()


def run(name: str, n_cells: int, seed: int, kind: str) -> list[dict]:
    setting = DATA[name]
    data = simulate(setting, n_cells, seed, kind)
    learn, rest = slice(N_HELD_OUT, None), slice(0, N_HELD_OUT)
    x, s, network = data.counts[learn], data.size_factors[learn], data.network
    new, new_s = data.counts[rest], data.size_factors[rest]
    start = time.process_time()
    fit, *_ = orient(
        fit_decoder(x, network, likelihood=setting["counts"], size_factors=s, ridge=1e-3), network
    )
    about = {"data": name, "size_factors": kind, "n": n_cells, "seed": seed}
    about["fit_seconds"] = time.process_time() - start
    truth = data.truth[learn]
    about["pcc"] = float(
        np.mean([np.corrcoef(fit.activity[:, j], truth[:, j])[0, 1] for j in range(truth.shape[1])])
    )
    held = project(new, fit, network, size_factors=new_s)
    of_new = replace(fit, activity=held)
    start = time.process_time()
    spread = curvature_spread(x, fit, network, size_factors=s)
    sd = activity_sd(x, fit, network, spread, size_factors=s)
    seconds = time.process_time() - start
    held_sd = activity_sd(new, of_new, network, spread, size_factors=new_s)
    rows = [
        about | {"method": "deviations"} | judge(data, fit, held, sd, held_sd, spread.weight_sd)
    ]
    rows[0] |= {"seconds": seconds}
    sd, se = curvature(x, s, fit, network)
    held_sd, _ = curvature(new, new_s, of_new, network)
    return [*rows, about | {"method": "curvature"} | judge(data, fit, held, sd, held_sd, se)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", type=int, nargs="+", default=[2000, 500, 200])
    parser.add_argument("--size-factors", nargs="+", choices=ROWS, default=list(ROWS))
    results = Path(__file__).parent / "results" / "count_intervals.json"
    parser.add_argument("--output", type=Path, default=results)
    args = parser.parse_args()
    args.output.parent.mkdir(exist_ok=True)
    settings = SIZES | {
        "held_out": N_HELD_OUT,
        "seeds": args.seeds,
        "cells": args.cells,
        "seen": SEEN,
    }
    rows = []
    for seed, kind, n_cells, name in product(
        range(args.seeds), args.size_factors, args.cells, DATA
    ):
        rows += run(name, n_cells, seed, kind)
        rounded = [
            {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows
        ]
        text = json.dumps({"settings": settings | {"data": DATA}, "rows": rounded}, indent=1)
        args.output.write_text(text + "\n")
    table = pd.DataFrame(rows).drop(columns="seed")
    keys = ["method", "size_factors", "data", "n"]
    print(table.groupby(keys, sort=False).mean(numeric_only=True).round(3).to_string())


if __name__ == "__main__":
    main()
