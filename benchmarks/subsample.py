"""Correlation with the truth by the number of cells that the decoder is learned from.

10,000 cells, 1,000 genes, 100 regulators, connectivity 0.1, w ~ U(-1, 1), no signs. The activities of all
cells, and of 100 held-out ones, follow from the decoder.

    python benchmarks/subsample.py
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import pandas as pd

import grnrep as gr

N_OBS, N_HELD_OUT = 10_000, 100
LEARNED = (500, 1000, "auto", 5000, None)
SIZES = {"n_vars": 1000, "n_regulators": 100, "connectivity": 0.1}


def run(noise_sd: float, seed: int) -> list[dict]:
    both, net = gr.ds.simulate(
        N_OBS + N_HELD_OUT, noise_sd=noise_sd, rng=seed, progress=False, **SIZES
    )
    train, held_out = both[:N_OBS].copy(), both[N_OBS:].copy()
    rows = []
    for max_cells in LEARNED:
        start = time.perf_counter()
        options = {"max_cells": max_cells, "intercept": False, "rng": seed, "progress": False}
        gr.tl.fit(train, net[["source", "target"]], **options)
        row = {"noise_sd": noise_sd, "seed": seed, "asked": str(max_cells)}
        row |= {
            "seconds": time.perf_counter() - start,
            "pcc": gr.metrics.recovery(train)["pearson"].mean(),
        }
        gr.tl.transform(held_out, train, progress=False)
        row["learned"] = train.uns["grnrep"]["params"]["n_obs_learned"]
        rows.append(row | {"held_out": gr.metrics.recovery(held_out)["pearson"].mean()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--noise", nargs="+", type=float, default=[0.2, 1.0, 3.0])
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "subsample.json"
    )
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    rows = [row for noise in args.noise for seed in range(args.seeds) for row in run(noise, seed)]
    columns = ["learned", "pcc", "held_out", "seconds"]
    print(
        pd.DataFrame(rows)
        .groupby(["noise_sd", "asked"], sort=False)[columns]
        .mean()
        .round(5)
        .to_string()
    )
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(
        json.dumps({"settings": SIZES | {"n_obs": N_OBS}, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
