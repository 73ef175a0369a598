"""What sizes of prior weights add to their signs: recovery of activities and of weights on simulated data.

Footprints: 14 pathways, 80 targets each of 700 genes, standard normal activities; weights are a random sign times a
log-normal(0, 1) size, as skewed as coefficients of PROGENy; noise sd 2, log-normal(.5) over genes; the identity link.
Eq. 6: `gr.ds.simulate`, 300 genes, 30 regulators, connectivity .1, weights U(-1, 1), noise sd 1.

What the network says of an edge:

- signs: its sign, as by default
- true: its true weight
- noisy: the true weight times log-normal(0, .5)
- wrong: true signs, with the sizes of the other edges of the regulator in random order

Correlation with the truth, a mean over regulators, then over seeds, of activities over cells and of weights over the
edges of a regulator; the error is the standard error of the mean difference from signs.

    OMP_NUM_THREADS=1 python benchmarks/magnitudes.py
"""

from __future__ import annotations

import argparse
import json
import logging
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import grnrep as gr

N_SEEDS = 5
CELLS = {"footprints": (15, 40, 150), "Eq. 6": (40, 100, 400)}
PRIORS = ("signs", "true", "noisy", "wrong")


def footprints(n_obs: int, seed: int) -> tuple[AnnData, pd.DataFrame]:
    """Pathways whose targets respond more or less, in bulk samples."""
    rng, n_vars, m, n_targets = np.random.default_rng(seed), 700, 14, 80
    genes, pathways = [f"gene{i:03d}" for i in range(n_vars)], [f"path{j:02d}" for j in range(m)]
    weight = np.zeros((n_vars, m))
    for j in range(m):
        targets = rng.choice(n_vars, n_targets, replace=False)
        size = rng.lognormal(0, 1, n_targets)
        weight[targets, j] = rng.choice([-1, 1], n_targets) * size / np.sqrt(np.mean(size**2))
    z = rng.standard_normal((n_obs, m))
    noise = 2 * rng.lognormal(0, 0.5, n_vars)
    x = z @ weight.T + noise * rng.standard_normal((n_obs, n_vars))
    adata = AnnData(x.astype(np.float32), var=pd.DataFrame(index=genes))
    adata.obsm["true_activity"] = pd.DataFrame(z, adata.obs_names, pathways)
    gene, path = np.nonzero(weight)
    ends = {"source": np.take(pathways, path), "target": np.take(genes, gene)}
    return adata, pd.DataFrame({**ends, "weight": weight[gene, path]})


def equation_6(n_obs: int, seed: int) -> tuple[AnnData, pd.DataFrame]:
    sizes = {"n_vars": 300, "n_regulators": 30, "connectivity": 0.1, "noise_sd": 1.0}
    return gr.ds.simulate(n_obs, **sizes, rng=seed, progress=False)


DATA = {"footprints": footprints, "Eq. 6": equation_6}


def known(net: pd.DataFrame, prior: str, seed: int) -> pd.DataFrame:
    """The network with what is known of its weights."""
    rng, size = np.random.default_rng(seed), net["weight"].abs()
    if prior == "noisy":
        size = size * rng.lognormal(0, 0.5, len(net))
    if prior == "wrong":
        size = size.groupby(net["source"]).transform(lambda part: rng.permutation(part.to_numpy()))
    return net.assign(weight=np.sign(net["weight"]) * size)


def measure(name: str, n_obs: int, prior: str, seed: int) -> dict[str, object]:
    adata, net = DATA[name](n_obs, seed)
    gr.tl.fit(adata, known(net, prior, seed), magnitudes=prior != "signs", rng=seed, progress=False)
    fit = adata.uns["grnrep"]
    edges = fit["network"].merge(net, on=["source", "target"], suffixes=("_prior", ""))
    weights = edges.groupby("source")[["learned", "weight"]].corr().xs("learned", level=1)["weight"]
    return {
        "data": name,
        "cells": n_obs,
        "prior": prior,
        "seed": seed,
        "load": round(fit["params"]["effective_load"], 2),
        "activities": round(float(gr.metrics.recovery(adata)["pearson"].mean()), 4),
        "weights": round(float(weights.mean()), 4),
        "sign_variance": fit["params"].get("sign_variance"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    default = Path(__file__).parent / "results" / "magnitudes.json"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    rows = []
    for name in DATA:
        for n_obs, prior, seed in product(CELLS[name], PRIORS, range(args.seeds)):
            rows.append(measure(name, n_obs, prior, seed))
            print(rows[-1], flush=True)
    args.output.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    table = pd.DataFrame(rows)
    for what in ("activities", "weights"):
        by_seed = table.pivot(index=["data", "cells", "seed"], columns="prior", values=what)
        beyond = by_seed.sub(by_seed["signs"], axis=0)[list(PRIORS[1:])]
        groups = beyond.groupby(["data", "cells"], sort=False)
        summary = by_seed.groupby(["data", "cells"], sort=False)[list(PRIORS)].mean()
        print(what, summary.join(groups.sem().add_prefix("se ")).round(3).to_string(), sep="\n")


if __name__ == "__main__":
    main()
