"""How good activities by a kept decoder are, beside a new fit, as the new data grow.

Simulated: a decoder is learned from 2,000 cells × 500 genes (50 regulators, connectivity .1, noise sd .5, 70 % of
the values zero, prior signs), saved and loaded; new cells come from the same network, either measured alike or by
another laboratory, where every gene has another gain, log-normal with the sd below. Correlation of every regulator
with its truth over the new cells, signed, mean; ulm with the same signs for comparison.

Blood cells: half of `scanpy.datasets.pbmc68k_reduced()` (350 cells) is kept as a decoder with CollecTRI; of the
other half so many cells are new. Mean AUROC of lineage regulators as in `pbmc.py`, for those whose lineages are
among the new cells and not all of them.

Rows are saved as they come, and those already there are skipped.

    OMP_NUM_THREADS=1 python benchmarks/kept.py [--seeds 5] [--out benchmarks/results/kept.json]
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from pbmc import EXPECTED, LABELS
from sklearn.metrics import roc_auc_score

import grnrep as gr
from grnrep.validation.runs import Runs

SIZES = (10, 30, 100, 300, 1000, 3000)
BLOOD_SIZES = (50, 100, 200, 350)
LEARNED = 2000
SETTING = {
    "n_vars": 500, "n_regulators": 50, "connectivity": 0.1, "noise_sd": 0.5, "zero_fraction": 0.7
}  # fmt: skip
GAIN_SDS = {"alike": 0.0, "gains .2": 0.2, "gains .5": 0.5}
METHODS = ("kept decoder", "new fit", "ulm")


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kept.json")
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    runs = Runs(args.out, study="kept", settings={"learned": LEARNED, **SETTING})
    for seed in range(args.seeds):
        simulated(runs, seed)
        blood(runs, seed)
    table = runs.table()
    for column in ("pearson", "auroc"):
        found = table.dropna(subset=[column]).pivot_table(
            index=["data", "cells"], columns="method", values=column, aggfunc=["mean", "std"]
        )
        print(found.round(3).to_string())
    seconds = table.pivot_table(index=["data", "cells"], columns="method", values="seconds")
    print(seconds.round(2).to_string())
    print(f"saved {args.out}")


def simulated(runs: Runs, seed: int) -> None:
    """Correlations with the truth of one draw: kept decoder, new fits and ulm at all sizes."""
    keys = [
        {"data": name, "cells": n, "method": method, "seed": seed}
        for name, n, method in product(GAIN_SDS, SIZES, METHODS)
    ]
    if all(runs.find(key) for key in keys):
        return
    drawn, net = gr.ds.simulate(LEARNED + max(SIZES), rng=seed, progress=False, **SETTING)
    net = net.assign(weight=np.sign(net["weight"]))
    old, new = drawn[:LEARNED].copy(), drawn[LEARNED:].copy()
    model = kept(old, net)
    gain = np.random.default_rng(seed).standard_normal(new.n_vars)
    for key in keys:
        if runs.find(key) is None:
            cells = new[: key["cells"]].copy()
            cells.X = cells.X * np.exp(GAIN_SDS[key["data"]] * gain).astype(np.float32)
            activity, seconds = infer(key["method"], cells, net, model)
            truth = cells.obsm["true_activity"]
            pearson = activity.reindex(columns=truth.columns).corrwith(truth).fillna(0).mean()
            runs.add(key, {"pearson": pearson, "seconds": seconds})
            print(key, round(pearson, 3), flush=True)


def blood(runs: Runs, seed: int) -> None:
    """AUROC of lineage regulators in new cells of one split."""
    keys = [
        {"data": data, "cells": n, "method": method, "seed": seed}
        for data, n, method in product(("blood", "blood, marginal"), BLOOD_SIZES, METHODS)
        if method != "ulm" or data == "blood"
    ]
    if all(runs.find(key) for key in keys):
        return
    adata = sc.datasets.pbmc68k_reduced()
    cells = AnnData(adata.raw.X.toarray(), obs=adata.obs[[LABELS]], var=adata.raw.var[[]])
    cells = cells[np.random.default_rng(seed).permutation(len(cells))]
    half = len(cells) // 2
    net = gr.ds.collectri()
    model = kept(cells[:half].copy(), net)
    for key in keys:
        if runs.find(key) is None:
            new = cells[half : half + key["cells"]].copy()
            marginal = key["data"].endswith("marginal")
            activity, seconds = infer(key["method"], new, net, model, marginal=marginal)
            areas = aurocs(activity, new.obs[LABELS])
            runs.add(key, {"auroc": np.mean(areas), "judged": len(areas), "seconds": seconds})
            print(key, round(np.mean(areas), 3), flush=True)


def kept(adata: AnnData, net: pd.DataFrame) -> AnnData:
    """A decoder as a user has it who did not learn it: from a file."""
    gr.tl.fit(adata, net, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        gr.io.save(adata, Path(folder) / "model.zarr.zip")
        return gr.io.load(Path(folder) / "model.zarr.zip")


def infer(
    method: str, new: AnnData, net: pd.DataFrame, model: AnnData, *, marginal: bool = False
) -> tuple[pd.DataFrame, float]:
    """Activities of new cells, and how long they took."""
    start = time.perf_counter()
    if method == "ulm":
        activity = gr.validation.peer_activity(new, net)
        return activity, time.perf_counter() - start
    if method == "new fit":
        gr.tl.fit(new, net, progress=False)
    else:
        gr.tl.transform(new, model, progress=False)
    return gr.get.activity(new, marginal=marginal).to_df(), time.perf_counter() - start


def aurocs(activity: pd.DataFrame, labels: pd.Series) -> list[float]:
    """Of every lineage regulator, whose lineages are some of the cells and not all."""
    areas = []
    for name, (expected, _) in EXPECTED.items():
        positive = labels.isin(expected)
        if name in activity and 0 < positive.sum() < len(positive):
            areas.append(roc_auc_score(positive, activity[name]))
    return areas


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
