"""Recovery from two batches with gene-wise shifts of sd 1: with the covariate, and without it.

1,000 genes, 100 regulators, connectivity 0.1, w ~ U(-1, 1), noise sd 0.2, no signs given. The
shifts are inside the ReLU of Eq. 6. PCC is the signed Pearson correlation with the truth, as a
mean over regulators. "nested" is a design in which a third of the regulators is twice as active in
the second batch: what differs between batches cannot be told from the shifts.

    OMP_NUM_THREADS=1 python benchmarks/batches.py
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import grnrep as gr

N_VARS, N_REGULATORS, CONNECTIVITY, NOISE_SD = 1000, 100, 0.1, 0.2


def simulate(n_obs: int, seed: int, *, nested: bool) -> tuple[ad.AnnData, ad.AnnData, pd.DataFrame]:
    """Shifted cells, the same cells without shifts, and the network without signs."""
    rng = np.random.default_rng(seed)
    mask = rng.random((N_VARS, N_REGULATORS)) < CONNECTIVITY
    w = mask * rng.uniform(-1, 1, mask.shape)
    batch = np.arange(n_obs) % 2
    z = rng.gamma(1.0, size=(n_obs, N_REGULATORS))
    if nested:
        z[:, ::3] *= 1 + batch[:, None]
    p = z @ w.T + NOISE_SD * rng.standard_normal((n_obs, N_VARS))
    gene, regulator = np.nonzero(mask)
    net = pd.DataFrame({"source": [f"TF{j}" for j in regulator], "target": [f"g{i}" for i in gene]})
    cells = [f"c{k}" for k in range(n_obs)]
    columns = [f"TF{j}" for j in range(N_REGULATORS)]

    def data(p: np.ndarray) -> ad.AnnData:
        return ad.AnnData(
            np.maximum(p, 0).astype(np.float32),
            obs=pd.DataFrame(
                {"batch": pd.Categorical(np.array(["one", "two"])[batch])}, index=cells
            ),
            var=pd.DataFrame(index=[f"g{i}" for i in range(N_VARS)]),
            obsm={"true_activity": pd.DataFrame(z, index=cells, columns=columns)},
        )

    return data(p + np.outer(batch, rng.standard_normal(N_VARS))), data(p), net


def run(n_obs: int, seed: int, *, nested: bool) -> list[dict]:
    shifted, free, net = simulate(n_obs, seed, nested=nested)
    fits = {
        "no batches": (free, {}),
        "batches, covariate": (shifted, {"covariates": ["batch"]}),
        "batches, ignored": (shifted, {}),
    }
    rows = []
    for name, (adata, options) in fits.items():
        start = time.perf_counter()
        gr.tl.fit(adata, net, progress=False, **options)
        seconds = time.perf_counter() - start
        within = [adata[adata.obs["batch"] == level].copy() for level in ("one", "two")]
        row = {
            "data": name,
            "n_obs": n_obs,
            "seed": seed,
            "nested": nested,
            "seconds": round(seconds, 2),
        }
        row["pearson"] = round(gr.metrics.recovery(adata)["pearson"].mean(), 5)
        row["within"] = round(
            np.mean([gr.metrics.recovery(a)["pearson"].mean() for a in within]), 5
        )
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "batches.json"
    )
    args = parser.parse_args()
    settings = [(n, nested) for nested in (False, True) for n in (200, 1000)]
    rows = [
        row
        for n, nested in settings
        for seed in range(args.seeds)
        for row in run(n, seed, nested=nested)
    ]
    table = pd.DataFrame(rows).groupby(["nested", "n_obs", "data"], sort=False)
    print(table[["pearson", "within", "seconds"]].agg(["mean", "std"]).round(4).to_string())
    args.output.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
