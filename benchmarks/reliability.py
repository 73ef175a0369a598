"""Reliability, as a fit states it, beside the squared correlation of inferred and true activities.

`gr.ds.simulate`, 200 genes, connectivity .1, weights U(-1, 1); the network has signs. Means over regulators and
seeds: `found`, the squared correlation over cells; `stated`, the reliability; `seen`, the same by what the cells
are seen to vary, which weights that follow their noise add to; `posterior`, 1 - Σ_jj / C_jj with the learned prior
covariance C and no information in zeros. `rank` is the correlation of `found` and `stated` over regulators, a mean over
seeds.

    OMP_NUM_THREADS=1 python benchmarks/reliability.py
"""

from __future__ import annotations

import argparse
import json
import logging
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import grnrep as gr
from grnrep._match import match
from grnrep.core.als.learn import fit_evidence
from grnrep.core.choose.assumptions import least_assumed
from grnrep.core.reliability import kept_by_new_cells, reliability

# cells, regulators, noise sd, share of zeros (None: no threshold, about half)
SETTINGS = [
    (25, 20, 1.0, None),
    (60, 20, 1.0, None),
    (300, 20, 1.0, None),
    (300, 20, 4.0, None),
    (1500, 20, 8.0, None),
    (300, 20, 1.0, 0.75),
    (100, 40, 2.0, 0.75),
    (300, 20, 1.0, 0.9),
    (600, 20, 2.0, 0.9),
]
N_SEEDS = 3


def measure(n_obs: int, m: int, noise_sd: float, zeros: float | None, seed: int) -> dict:
    adata, net = gr.ds.simulate(
        n_obs, 200, n_regulators=m, connectivity=0.1, noise_sd=noise_sd, zero_fraction=zeros,
        rng=seed, progress=False,
    )  # fmt: skip
    matched = match(net, adata, min_targets=5)
    x, network = np.asarray(adata[:, matched.genes].X), matched.network
    assumed = least_assumed(n_obs, network, 0)
    fit = fit_evidence(x, network, likelihood="tobit", assumptions=assumed, rng=seed)
    true = adata.obsm["true_activity"][matched.regulators].to_numpy()
    pairs = zip(fit.activity.T, true.T, strict=True)
    found = np.array([np.corrcoef(a, b)[0, 1] ** 2 for a, b in pairs])
    share_zero = (x == 0).mean(0)
    seen = reliability(fit, network, share_zero)
    kept = kept_by_new_cells(fit, x, network, assumed)
    stated = reliability(fit, network, share_zero, kept=kept)
    w = np.zeros((network.n_genes, network.n_regulators))
    w[network.gene, network.regulator] = fit.weight
    told = (w * ((1 - share_zero) / fit.noise())[:, None]).T @ w
    after = np.linalg.inv(told + np.linalg.inv(fit.covariance)).diagonal()
    kind = "half" if zeros is None else f"{zeros:.0%}"
    return {
        "setting": f"{n_obs} cells, {m} regulators, noise {noise_sd:g}, {kind} zeros",
        "zeros": round(float(share_zero.mean()), 2),
        "seed": seed,
        "found": round(float(found.mean()), 3),
        "stated": round(float(stated.mean()), 3),
        "seen": round(float(seen.mean()), 3),
        "posterior": round(float((1 - after / fit.covariance.diagonal()).mean()), 3),
        "rank": round(float(np.corrcoef(found, stated)[0, 1]), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    default = Path(__file__).parent / "results" / "reliability.json"
    parser.add_argument("--output", type=Path, default=default)
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    rows = [measure(*setting, seed) for setting, seed in product(SETTINGS, range(N_SEEDS))]
    args.output.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    table = pd.DataFrame(rows).groupby("setting", sort=False).mean()
    print(table.drop(columns="seed").round(3).to_string())


if __name__ == "__main__":
    main()
