"""Fits that are killed at random moments and called again end with the same result, to the last bit.

A process fits cells that are on disk, with a checkpoint and activities in a store on disk. It is killed
(SIGKILL) after a random share of the time that a whole fit takes, and called again, until it ends; then
activities, weights and the record are compared with those of a fit that nobody killed, and the next one
begins, until there were --kills kills.

OMP_NUM_THREADS=1 python benchmarks/kills.py [--kills 20] [--cells 20000]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

import grnrep as gr

SCRIPT = """
import sys, anndata, pandas as pd, grnrep as gr
data, net, store, checkpoint, out = sys.argv[1:]
adata, net = anndata.read_h5ad(data, backed="r"), pd.read_csv(net)
print("begins", flush=True)
gr.tl.fit(adata, net, checkpoint=checkpoint, activity_store=store, block_size=500, progress=False)
gr.io.save(adata, out, overwrite=True)
print("ends", flush=True)
"""


def content(store: Path, model: Path) -> dict[str, np.ndarray]:
    """Activities, and the numbers of the record."""
    found = {"activity": anndata.read_zarr(store).to_df().to_numpy()}
    record = gr.io.load(model).uns["grnrep"]
    for name, table in record.items():
        if isinstance(table, pd.DataFrame):
            found |= {f"{name}, {column}": table[column].to_numpy() for column in table}
    return found


def differing(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> list[str]:
    """Names of what is not the same."""
    names = sorted(found.keys() | wanted.keys())
    return [n for n in names if n not in found or n not in wanted or not _same(found[n], wanted[n])]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and pd.DataFrame(a).equals(pd.DataFrame(b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--rng", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kills.json")
    args = parser.parse_args()
    folder, draw = Path(tempfile.mkdtemp()), np.random.default_rng(args.rng)
    sizes = {"n_vars": 500, "n_regulators": 100, "connectivity": 0.05, "zero_fraction": 0.8}
    _, net = gr.ds.simulate(args.cells, **sizes, path=folder / "data.h5ad", rng=args.rng, progress=False)
    net.to_csv(folder / "net.csv", index=False)
    (folder / "run.py").write_text(SCRIPT)

    def start(name: str) -> subprocess.Popen:
        places = ("data.h5ad", "net.csv", f"{name}.activity.zarr", f"{name}.checkpoint", f"{name}.model.zarr")
        command = [sys.executable, folder / "run.py", *(folder / place for place in places)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        return process

    def result(name: str) -> dict[str, np.ndarray]:
        return content(folder / f"{name}.activity.zarr", folder / f"{name}.model.zarr")

    start("first").wait()  # compiles what there is to compile
    began, whole = time.perf_counter(), start("whole")
    whole.wait()
    seconds, wanted = time.perf_counter() - began, result("whole")
    print(f"{args.cells:,} cells, {seconds:.1f} s without a kill", flush=True)
    fits, kills = [], 0
    while kills < args.kills:
        name, moments = f"fit{len(fits)}", []
        while True:
            process, moment = start(name), draw.uniform(0, 0.9 * seconds)
            try:
                process.wait(timeout=moment if kills < args.kills else None)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                checkpoint, store = (folder / f"{name}.{part}" for part in ("checkpoint", "activity.zarr"))
                begun, ended = checkpoint.exists(), store.exists()
                if ended and not begun:  # the fit had ended, and the kill came too late
                    shutil.rmtree(store)
                else:
                    kills += 1
                    stages = len(list(checkpoint.iterdir())) if begun else 0
                    kill = {"after": round(moment, 2), "files_in_checkpoint": stages, "store": ended}
                    moments.append(kill)
        wrong = differing(result(name), wanted) if process.returncode == 0 else ["it failed"]
        left = [part for part in folder.iterdir() if part.name.startswith((f".{name}", f"{name}.checkpoint"))]
        fits.append({"kills": moments, "differing": wrong, "left_behind": [part.name for part in left]})
        print(f"fit {len(fits)}: killed {len(moments)} times; differing: {wrong or 'nothing'}", flush=True)
        for part in folder.glob(f"{name}.*"):
            shutil.rmtree(part)
    shutil.rmtree(folder)
    settings = {"cells": args.cells, "rng": args.rng, **sizes, "seconds": round(seconds, 1)}
    args.out.write_text(json.dumps({"settings": settings, "kills": kills, "fits": fits}, indent=1) + "\n")
    print(f"{kills} kills in {len(fits)} fits; {sum(bool(fit['differing']) for fit in fits)} fits differ")


if __name__ == "__main__":
    main()
