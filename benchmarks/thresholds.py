"""Thresholded genes: 90 % zeros, an intercept per gene, signs given or not, beside mlm and ulm.

3,000 cells, 1,000 genes, 100 regulators, connectivity 0.05, w ~ U(-1, 1), noise sd 0.2. The intercept
of a gene is minus the 90th percentile of its pre-activation. Everything else is left to "auto". Signed
PCC, mean over regulators, of the fitted cells and of 100 held-out cells.

    python benchmarks/thresholds.py
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import pandas as pd

import grnrep as gr

N_OBS, N_HELD_OUT = 3000, 100
SIZES = {
    "n_vars": 1000,
    "n_regulators": 100,
    "connectivity": 0.05,
    "noise_sd": 0.2,
    "zero_fraction": 0.9,
}


def pcc(adata, key: str) -> float:
    return float(gr.metrics.recovery(adata, key=key)["pearson"].mean())


def run(seed: int) -> list[dict]:
    both, net = gr.ds.simulate(N_OBS + N_HELD_OUT, rng=seed, progress=False, **SIZES)
    train, held_out = both[:N_OBS].copy(), both[N_OBS:].copy()
    signs = net.assign(weight=np.sign(net["weight"]))
    rows = []
    for name, prior in {"signs": signs, "no signs": net[["source", "target"]]}.items():
        start = time.perf_counter()
        gr.tl.fit(train, prior, rng=seed, progress=False)
        seconds = time.perf_counter() - start
        gr.tl.transform(held_out, train, progress=False)
        params = train.uns["grnrep"]["params"]
        row = {"method": f"grnrep, {name}", "seed": seed, "seconds": seconds}
        told = ("intercept", "ridge", "sign_shrinkage", "sign_variance", "effective_load")
        row |= {name: params[name] for name in told if name in params}
        rows.append(row | {"train": pcc(train, "grnrep"), "held_out": pcc(held_out, "grnrep")})
        for method in ("mlm", "ulm"):
            start = time.perf_counter()
            held_out.obsm["peer"] = gr.validation.peer_activity(held_out, prior, method=method)
            row = {
                "method": f"{method}, {name}",
                "seed": seed,
                "seconds": time.perf_counter() - start,
            }
            rows.append(row | {"held_out": pcc(held_out, "peer")})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "thresholds.json"
    )
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    rows = [row for seed in range(args.seeds) for row in run(seed)]
    groups = pd.DataFrame(rows).groupby("method", sort=False)
    table = groups[["train", "held_out", "seconds"]].mean()
    print(table.assign(held_out_sd=groups["held_out"].std()).to_string(float_format="%.4f"))
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(
        json.dumps({"settings": SIZES | {"n_obs": N_OBS}, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
