"""One run on a Dask cluster of several processes over a store of many cells: time by stage, and by workers.

1,000 genes, 200 regulators, 10,000 edges with signs, 10 % of the values above zero, simulated block by block into a
zarr store. Every measurement is a process of its own with a cluster of its own, whose workers have one thread each;
activities go to a store. "look" is the pass that reads and sums, "learn" is choice and learning, in the process that
called, "infer" the pass that infers and writes. Workers are up, and have imported and compiled, before the clock
starts. CPU seconds are of all processes. Rows are saved as they come, and those already there are skipped.

    OMP_NUM_THREADS=1 python benchmarks/cluster.py --folder FOLDER --cells 2000000
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

SETTING = {"n_vars": 1000, "n_regulators": 200, "connectivity": 0.05, "zero_fraction": 0.9}
N_TRUTH = 10_000  # first cells, whose activities are compared with the truth


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where stores are, and stay")
    parser.add_argument("--cells", type=int, nargs="*", default=[2_000_000])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "cluster.json"
    )
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measured(args.one, args.folder)))
        return
    rows = json.loads(args.out.read_text()) if args.out.exists() else []
    for n_cells in args.cells:
        for n_workers in args.workers:
            job = {"cells": n_cells, "workers": n_workers}
            if any(job.items() <= row.items() for row in rows):
                continue
            prepare(n_cells, args.folder)
            command = [sys.executable, __file__, "--folder", str(args.folder)]
            command += ["--one", json.dumps(job)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            args.out.write_text(json.dumps(rows, indent=1) + "\n")
            print(rows[-1], flush=True)
    print(pd.DataFrame(rows).to_string(index=False))


def prepare(n_cells: int, folder: Path) -> None:
    """Simulate a store, with its network and the true activities of the first cells, unless it is there."""
    import grnrep as gr

    store = folder / f"{n_cells}.zarr"
    if (folder / f"{n_cells}.parquet").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(store, ignore_errors=True)
    adata, net = gr.ds.simulate(n_cells, **SETTING, path=store, rng=0, progress=False)
    net.assign(weight=np.sign(net["weight"])).to_csv(folder / f"{n_cells}.csv", index=False)
    adata.obsm["true_activity"].iloc[:N_TRUTH].to_parquet(folder / f"{n_cells}.parquet")


def measured(job: dict[str, int], folder: Path) -> dict[str, float]:
    """One run: seconds of every stage, CPU seconds and peak memory of all processes, correlation."""
    import distributed

    import grnrep as gr
    from grnrep.tl import _run

    store, activity = (folder / f"{job['cells']}{end}.zarr" for end in ("", ".activity"))
    net = pd.read_csv(folder / f"{job['cells']}.csv")
    spent: dict[str, float] = {}

    def timed(name: str) -> None:
        function = getattr(_run, name)

        def call(*args, **options):
            start = time.perf_counter()
            result = function(*args, **options)
            spent[name] = time.perf_counter() - start
            return result

        setattr(_run, name, call)

    workers = {"n_workers": job["workers"], "threads_per_worker": 1, "memory_limit": "6GB"}
    with (
        distributed.LocalCluster(**workers, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        some = ad.experimental.read_lazy(store)[:20_000]
        gr.tl.fit(some, net, activity_store=activity, progress=False)
        shutil.rmtree(activity)
        for name in ("look", "infer"):
            timed(name)
        before, start = sum(client.run(cpu_seconds).values()) + cpu_seconds(), time.perf_counter()
        adata = ad.experimental.read_lazy(store)
        gr.tl.fit(adata, net, activity_store=activity, progress=False)
        seconds = time.perf_counter() - start
        cpu = sum(client.run(cpu_seconds).values()) + cpu_seconds() - before
        peaks = client.run(peak_mb)
    first = np.asarray(adata.obsm["grnrep"][:N_TRUTH])
    found = pd.DataFrame(first, columns=adata.uns["grnrep"]["regulators"].index)
    truth = pd.read_parquet(folder / f"{job['cells']}.parquet").reset_index(drop=True)
    written = sum(file.stat().st_size for file in activity.rglob("*") if file.is_file())
    stored = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    shutil.rmtree(activity)
    return {
        **job,
        "seconds": round(seconds, 2),
        "look": round(spent["look"], 2),
        "learn": round(seconds - sum(spent.values()), 2),
        "infer": round(spent["infer"], 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mb_caller": round(peak_mb()),
        "peak_mb_worker": round(max(peaks.values())),
        "bytes_a_cell": round(stored / job["cells"]),
        "written_a_cell": round(written / job["cells"]),
        "pearson": round(float(found.corrwith(truth).mean()), 4),
    }


def cpu_seconds() -> float:
    """Of this process so far."""
    return time.process_time()


def peak_mb() -> float:
    """Most memory of this process so far."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
