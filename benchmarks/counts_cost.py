"""What counts cost: a cell, a whole fit, and many cells on disk from simulation to activities.

500 genes, 100 regulators, 5,000 edges, 3,000 counts a cell. "cell" infers cells under a learned decoder, "fit" learns
from cells in memory, "disk" simulates cells block by block, reads them backed, learns and infers, with activities in
a store. Every measurement is a process of its own, after a tiny call that compiles what there is; times are CPU
seconds. Results are saved after every measurement, and what is in them is not measured again.

    OMP_NUM_THREADS=1 python benchmarks/counts_cost.py --folder FOLDER --cells 1000000
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

_SIZES = {"n_vars": 500, "n_regulators": 100, "connectivity": 0.1}
_DATA = {
    "poisson": {"counts": "poisson", "library_size": 3000},
    "nb": {"counts": "nb", "dispersion": 0.5, "library_size": 3000},
}
_N_CELL, _N_FIT, _N_TRUTH = 2000, 3000, 10_000


def simulated(likelihood: str, n_obs: int, path: Path | None = None):
    """Cells with counts, their network, and the true activities of the first of them."""
    import grnrep as gr

    adata, net = gr.ds.simulate(
        n_obs, **_SIZES, **_DATA[likelihood], rng=0, path=path, progress=False
    )
    return adata, net, adata.obsm["true_activity"].iloc[:_N_TRUTH]


def recovery(activity: np.ndarray, truth: np.ndarray) -> float:
    """Mean over regulators of the correlation with the truth."""
    a, b = activity - activity.mean(0), truth - truth.mean(0)
    return float(((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0)).clip(min=1e-300)).mean())


def in_memory(part: str, likelihood: str, precision: str) -> dict:
    """Cost of inferring a cell, or of a fit."""
    from grnrep.core.als.fit import fit_decoder
    from grnrep.core.als.project import project
    from grnrep.core.network import Network
    from grnrep.core.signs import orient

    adata, net, truth = simulated(likelihood, _N_CELL if part == "cell" else _N_FIT)
    edges = adata.var_names.get_indexer(net["target"]), truth.columns.get_indexer(net["source"])
    network = Network.from_edges(*edges, net["weight"], adata.n_vars, truth.shape[1])
    counts = adata.layers["counts"].toarray().astype(precision)
    options = {"likelihood": likelihood, "ridge": 1e-3}
    if part == "cell":
        fit = fit_decoder(counts, network, **options)
        project(counts[:64], fit, network)
        began = time.process_time()
        activity = project(counts, orient(fit, network)[0], network)
    else:
        fit_decoder(counts[:64], network, max_iter=2, **options)
        began = time.process_time()
        activity = orient(fit_decoder(counts, network, **options), network)[0].activity
    spent = time.process_time() - began
    told = {"cpu_seconds": spent, "cpu_ms_cell": 1e3 * spent / len(counts)}
    return told | {"pearson": recovery(activity, truth.to_numpy())}


def counts_alone(source: Path, target: Path) -> None:
    """Move simulated cells to a file with counts as X: opening reads layers and true activities whole."""
    import h5py

    rough = target.with_suffix(".rough.h5ad")
    with h5py.File(source) as old, h5py.File(rough, "w") as new:
        new.attrs.update(old.attrs)
        old.copy("layers/counts", new, "X")
        for name in ("obs", "var"):
            old.copy(name, new)
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            new.create_group(name).attrs.update(
                {"encoding-type": "dict", "encoding-version": "0.1.0"}
            )
    source.unlink()
    rough.rename(target)


def on_disk(likelihood: str, n_obs: int, folder: Path) -> dict:
    """Simulate, fit and infer cells that memory does not hold."""
    import anndata

    import grnrep as gr

    path = folder / f"{likelihood}-{n_obs}.h5ad"
    part, store = path.with_suffix(".part.h5ad"), path.with_suffix(".activity.zarr")
    if not path.exists():
        part.unlink(missing_ok=True)
        _, net, truth = simulated(likelihood, n_obs, part)
        net.to_csv(path.with_suffix(".csv"), index=False)
        truth.to_parquet(path.with_suffix(".parquet"))
        counts_alone(part, path)
        return {}  # to be measured by a process that has held nothing yet
    import pandas as pd

    net = pd.read_csv(path.with_suffix(".csv"))
    adata = anndata.read_h5ad(path, backed="r")
    began = time.perf_counter(), time.process_time()
    gr.tl.fit(adata, net, likelihood=likelihood, activity_store=store, progress=False)
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    first = adata.obsm["grnrep"][:_N_TRUTH].compute()
    names = adata.uns["grnrep"]["regulators"].index
    truth = pd.read_parquet(path.with_suffix(".parquet"))[names].to_numpy()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "cpu_ms_cell": 1e3 * cpu / n_obs,
        "peak_mb": peak,
        "n_obs_learned": int(adata.uns["grnrep"]["params"]["n_obs_learned"]),
        "file_mb": path.stat().st_size / 1e6,
        "pearson": recovery(first, truth),
    }


def measure(job: dict, folder: Path) -> dict:
    """One measurement."""
    if job["part"] == "disk":
        return on_disk(job["likelihood"], job["n_obs"], folder)
    return in_memory(job["part"], job["likelihood"], job["precision"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where cells on disk are; without it there are none"
    )
    parser.add_argument("--cells", type=int, nargs="*", default=[1_000_000], help="on disk")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "counts_cost.json"
    )
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.folder)))
        return
    jobs = [
        {"part": part, "likelihood": likelihood, "precision": precision}
        for part in ("cell", "fit")
        for likelihood in _DATA
        for precision in ("float32", "float64")
        if part == "cell" or precision == "float32"
    ]
    if args.folder is not None:
        args.folder.mkdir(parents=True, exist_ok=True)
        jobs += [
            {"part": "disk", "likelihood": likelihood, "n_obs": n}
            for n in args.cells
            for likelihood in _DATA
        ]
    rows = json.loads(args.output.read_text()) if args.output.exists() else []
    for job in jobs:
        if any(job.items() <= row.items() for row in rows):
            continue
        found: dict = {}
        while not found:  # cells on disk are made by a process, and measured by another
            command = [sys.executable, __file__, "--one", json.dumps(job)]
            command += [] if args.folder is None else ["--folder", str(args.folder)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
        rows.append(job | {k: round(v, 5) for k, v in found.items()})
        print(rows[-1], flush=True)
        args.output.parent.mkdir(exist_ok=True)
        args.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
