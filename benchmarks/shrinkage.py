"""What shrinking weights to the prior signs does where the truth is known: automatic against free.

400 genes, 50 regulators, connectivity 0.1, w ~ U(-1, 1), all signs given (in one setting 20 % of
them wrong). Signed correlation with the true activities, mean over regulators and seeds.

    python benchmarks/shrinkage.py
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import pandas as pd

import grnrep as gr

SETTINGS = {
    "noise 0.2, 50 cells": {"n_obs": 50},
    "noise 0.2, 300 cells": {"n_obs": 300},
    "noise 0.2, 300 cells, 20 % wrong signs": {"n_obs": 300, "flip": 0.2},
    "noise 1, 50 cells": {"n_obs": 50, "noise_sd": 1.0},
    "noise 1, 300 cells": {"n_obs": 300, "noise_sd": 1.0},
    "noise 3, 100 cells": {"n_obs": 100, "noise_sd": 3.0},
    "70 % zeros, 300 cells": {"n_obs": 300, "zero_fraction": 0.7},
    "90 % zeros, 100 cells": {"n_obs": 100, "zero_fraction": 0.9},
    "90 % zeros, 1000 cells": {"n_obs": 1000, "zero_fraction": 0.9},
}
FITS = {"auto": {}, "free": {"sign_shrinkage": 0.0, "ridge": 1e-4}}


def run(name: str, seed: int) -> list[dict]:
    setting = dict(SETTINGS[name])
    flip = setting.pop("flip", 0.0)
    adata, net = gr.ds.simulate(n_vars=400, n_regulators=50, rng=seed, progress=False, **setting)
    if flip:
        net = gr.ds.corrupt_network(net, flip_signs=flip, rng=seed)
    rows = []
    for fit, options in FITS.items():
        start = time.perf_counter()
        gr.tl.fit(adata, net, rng=seed, progress=False, **options)
        seconds = time.perf_counter() - start
        params = adata.uns["grnrep"]["params"]
        pcc = gr.metrics.recovery(adata)["pearson"].mean()
        chosen = {"ridge": params.get("ridge"), "prior": params.get("sign_shrinkage")}
        rows.append(
            {"setting": name, "fit": fit, "seed": seed, "pcc": pcc, "seconds": seconds, **chosen}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "shrinkage.json"
    )
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    rows = [row for name in SETTINGS for seed in range(args.seeds) for row in run(name, seed)]
    groups = pd.DataFrame(rows).groupby(["setting", "fit"], sort=False)
    table = groups.agg(
        pcc=("pcc", "mean"),
        sd=("pcc", "std"),
        seconds=("seconds", "mean"),
        ridge=("ridge", "median"),
        prior=("prior", "median"),
    )
    print(table.round(4).to_string())
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
