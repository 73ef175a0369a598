"""Recovery of the true regulators over load: both solvers on the setting of the paper's Fig. 4.

n=1000 genes, m=100 regulators, connectivity 0.1, w ~ U(low, 1), no signs given. Every
fit is scored on its own training cells and on 100 held-out cells of the same network.

    python benchmarks/recovery.py                    # both solvers, 5 seeds, N up to 2000
    python benchmarks/recovery.py --solvers exact --noise 0.2 --n-obs 500 10000
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import grnrep as gr

N_HELD_OUT = 100
SIZES = {"n_vars": 1000, "n_regulators": 100, "connectivity": 0.1}


def split(n_obs: int, seed: int, low: float, noise_sd: float):
    both, net = gr.ds.simulate(
        n_obs + N_HELD_OUT, weight_low=low, noise_sd=noise_sd, rng=seed, progress=False, **SIZES
    )
    return both[:n_obs].copy(), both[n_obs:].copy(), net


def score(adata) -> dict[str, float]:
    recovery = gr.metrics.recovery(adata)
    reconstruction = gr.metrics.reconstruction(adata)
    return {
        "pcc": recovery["pearson"].mean(),
        "abs_pcc": recovery["abs_pearson"].mean(),
        "min_pcc": recovery["pearson"].min(),
        "mse": reconstruction["mse"].mean(),
    }


def run(solver: str, n_obs: int, seed: int, low: float, noise_sd: float) -> dict[str, float | str]:
    train, held_out, net = split(n_obs, seed, low, noise_sd)
    start = time.perf_counter()
    gr.tl.fit(train, net[["source", "target"]], solver=solver, intercept=False, rng=seed, progress=False)
    seconds = time.perf_counter() - start
    gr.tl.transform(held_out, train, progress=False)
    params = train.uns["grnrep"]["params"]
    row = {"solver": solver, "n_obs": n_obs, "seed": seed, "low": low, "noise_sd": noise_sd}
    row |= {"load": params["decoder_load"], "effective_load": params["effective_load"], "seconds": seconds}
    row |= {f"train_{k}": v for k, v in score(train).items()}
    row |= {f"test_{k}": v for k, v in score(held_out).items()}
    return row


def table(rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows).drop(columns="seed")
    groups = frame.groupby(["low", "noise_sd", "solver", "n_obs"])
    shown = ["train_pcc", "train_abs_pcc", "train_mse", "test_pcc", "test_abs_pcc", "test_mse"]
    mean = groups[["load", "effective_load", *shown, "seconds"]].mean()
    mean.insert(5, "test_pcc_sd", groups["test_pcc"].std())
    mean.insert(6, "test_pcc_worst_tf", groups["test_min_pcc"].min())
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--solvers", nargs="+", default=["exact", "gradient"])
    parser.add_argument("--n-obs", nargs="+", type=int, default=[50, 100, 200, 500, 2000])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--low", nargs="+", type=float, default=[-1.0])
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "recovery.json")
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)

    rows = []
    for low in args.low:
        for noise_sd in args.noise:
            for n_obs in args.n_obs:
                for solver in args.solvers:
                    rows += [run(solver, n_obs, seed, low, noise_sd) for seed in range(args.seeds)]
                    print(table(rows).tail(1).to_string(header=len(rows) <= args.seeds), flush=True)
    print("\n" + table(rows).to_string(float_format=lambda v: f"{v:.4f}"))
    settings = {**SIZES, "n_held_out": N_HELD_OUT, "threads": torch.get_num_threads()}
    settings |= {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
