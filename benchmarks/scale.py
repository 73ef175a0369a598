"""Time and memory from 10,000 to 1,000,000 cells on disk, beside decoupler's ulm and mlm.

2,000 genes, 700 regulators, 40,000 edges with signs, 10 % of the values above zero, CSR in h5ad. What is
timed is all that a user waits for after imports: opening the file, the method, its results. grnrep learns
edge weights and infers the activities of all cells, from data opened with backed="r"; from 100,000 cells on
activities go to a store on disk. ulm and mlm learn nothing; they run on data in memory, as they are called.
"read" only reads the file, block by block; "read, cached" does so when the system has it in memory already.
"rates" are the speeds that the model of the cost is made of.

Every measurement is a process of its own (_scale_measure.py), after a tiny call that compiles and loads what
there is, and after the system was told to forget the file. A peer that would take longer than --limit or
more than --memory is extrapolated from its two largest sizes, and marked so. Results are saved after every
measurement, and what is in them is not measured again.

    python benchmarks/scale.py
    python benchmarks/scale.py --subsample     # correlation with the truth by cells learned from
    python benchmarks/scale.py --cells 10000 --methods grnrep --again
    python benchmarks/scale.py --genes 300 --regulators 50 --edges 1500 --cells 2000 --output quick.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# no numpy or pandas here: this process waits beside the one that is measured
METHODS = ("read", "read, cached", "rates", "grnrep", "ulm", "mlm")
PEERS = ("ulm", "mlm")
CELLS = (10_000, 50_000, 100_000, 1_000_000)
SUBSAMPLE_CELLS, MAX_CELLS = 20_000, (1000, 2000, 4000, 8000, 16_000)
_MEASURED = "measured"
_MARK = "measured: "  # as in _scale_measure.py
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMBA", "NUMEXPR")
_KEY = ("part", "method", "cells", "max_cells", "threads", "genes", "regulators", "edges")


def jobs(args: argparse.Namespace) -> list[dict]:
    """All measurements that were asked for."""
    setting = {name: getattr(args, name) for name in ("threads", "genes", "regulators", "edges")}
    if args.subsample:
        wanted = [(method, SUBSAMPLE_CELLS, None) for method in PEERS if method in args.methods]
        wanted += [("grnrep", SUBSAMPLE_CELLS, n) for n in MAX_CELLS]
    else:
        wanted = [
            (method, n, args.max_cells if method == "grnrep" else None)
            for n in args.cells
            for method in METHODS
            if method in args.methods and (method != "rates" or n == args.cells[0])
        ]
    part = "subsample" if args.subsample else "scale"
    return [
        {"part": part, "method": m, "cells": n, "max_cells": k, **setting} for m, n, k in wanted
    ]


def same(row: dict, job: dict, *, but: str = "") -> bool:
    """Whether both are the same measurement."""
    return all(row[name] == job[name] for name in _KEY if name != but)


def prepared(job: dict, folder: Path) -> dict:
    """Job with its files, which are written if they are not there."""
    data = folder / f"{job['genes']}_{job['regulators']}_{job['edges']}_{job['cells']}.h5ad"
    endings = {"data": ".h5ad", "net": ".net.csv", "truth": ".truth.parquet"}
    job = job | {name: str(data.with_suffix(ending)) for name, ending in endings.items()}
    if not data.exists():
        print(f"writing {data}", flush=True)
        written = measure(job | {"method": "simulate"}, None)
        if written["how"] != _MEASURED:
            raise SystemExit(f"{data}: {written['how']}")
    return job


def measure(job: dict, limit: float | None) -> dict:
    """Run a job in a process of its own; say what became of it."""
    variables = {f"{name}_NUM_THREADS": str(job["threads"]) for name in _THREADS}
    command = [sys.executable, str(Path(__file__).with_name("_scale_measure.py")), json.dumps(job)]
    load, options = (
        os.getloadavg()[0],
        {"env": os.environ | variables, "capture_output": True, "text": True},
    )
    try:
        done = subprocess.run(command, timeout=limit, check=False, **options)
    except subprocess.TimeoutExpired:
        return {"how": f"stopped after {limit:g} s"}
    found = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode != 0 or not found:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"how": f"failed ({done.returncode}): {reason[:200]}"}
    return {"how": _MEASURED, "load_before": load, **json.loads(found[0].removeprefix(_MARK))}


def extrapolated(job: dict, rows: list[dict], limit: float, memory: float) -> dict | None:
    """What a peer would take, on the line through its two largest sizes, where that is too much to run."""
    smaller = [row for row in rows if same(row, job, but="cells") and row["how"] == _MEASURED]
    smaller = sorted(
        (row for row in smaller if row["cells"] < job["cells"]), key=lambda row: row["cells"]
    )
    if job["method"] not in PEERS or len(smaller) < 2:
        return None
    first, last = smaller[-2:]
    times = (job["cells"] - first["cells"]) / (last["cells"] - first["cells"])
    names = ("seconds", "cpu_seconds", "peak_mb")
    taken = {name: first[name] + times * (last[name] - first[name]) for name in names}
    if taken["seconds"] <= limit and taken["peak_mb"] <= 1000 * memory:
        return None
    return {"how": f"extrapolated from {first['cells']:,} and {last['cells']:,}", **taken}


def save(path: Path, rows: list[dict]) -> None:
    """Replace the results as a whole: an interruption leaves the last ones."""
    rounded = [
        {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()} for row in rows
    ]
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(rounded, indent=1) + "\n")
    temporary.replace(path)


def predicted(row: dict, speed: dict) -> float:
    """CPU milliseconds of the iterations of a cell, by the model of the cost."""
    return (
        1e-6
        * row["iterations"]
        * (speed["n_edges"] * speed["ns_edge"] + speed["n_genes"] * speed["ns_gene"])
    )


def show(rows: list[dict]) -> None:
    """Print measurements, and ratios between them."""
    heads = ("cells", "method", "wall s", "CPU s", "peak MB", "ms a cell", "PCC", "how")
    print("\n" + " | ".join(heads))
    for row in sorted(rows, key=lambda row: row["cells"]):
        name = row["method"] + (f", {row['max_cells']}" if row["max_cells"] is not None else "")
        if "seconds" not in row:
            print(f"{row['cells']:,} | {name} | | | | | | {row['how']}")
            continue
        per_cell, pcc = (
            1e3 * row["seconds"] / row["cells"],
            f"{row['pcc']:.4f}" if "pcc" in row else "",
        )
        numbers = f"{row['seconds']:.1f} | {row['cpu_seconds']:.1f} | {row['peak_mb']:,.0f} | {per_cell:.3f}"
        print(f"{row['cells']:,} | {name} | {numbers} | {pcc} | {row['how']}")
    known = {
        (row["method"], row["cells"]): row
        for row in rows
        if row["part"] == "scale" and "seconds" in row
    }
    speed = next((row for (method, _), row in known.items() if method == "rates"), None)
    for (method, n), ours in sorted(known.items(), key=lambda item: item[0][1]):
        if method != "grnrep":
            continue
        ratios = []
        for other in ("ulm", "mlm", "read", "read, cached"):
            theirs = known.get((other, n))
            if theirs is not None:
                ratios.append(f"time/{other} {ours['seconds'] / theirs['seconds']:.2f}")
            if theirs is not None and other in PEERS:
                ratios.append(f"memory/{other} {ours['peak_mb'] / theirs['peak_mb']:.2f}")
        tenth = known.get((method, n // 10))
        if tenth is not None:
            ratios.append(f"time/time({n // 10:,}) {ours['seconds'] / tenth['seconds']:.2f}")
        parts = (f"{part} {ours[f'{part}_seconds']:.1f} s" for part in ("look", "learn", "infer"))
        told = f"learned from {ours['n_obs_learned']:,}, {ours['iterations']:.1f} iterations a cell"
        print(f"\n{n:,} cells: {', '.join(ratios)}\n  {', '.join(parts)}; {told}")
        if speed is not None and ours["iterations"] > 0 and ours["dense_iterations"] == 0:
            found, model = 1e3 * ours["infer_cpu_seconds"] / n, predicted(ours, speed)
            print(
                f"  inferring a cell: {found:.3f} ms of CPU, of which iterations by the model {model:.3f} ms"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    number = {"type": int, "metavar": "N"}
    parser.add_argument("--cells", **number, nargs="+", default=list(CELLS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--genes", **number, default=2000)
    parser.add_argument("--regulators", **number, default=700)
    parser.add_argument("--edges", **number, default=40_000, help="expected number")
    parser.add_argument(
        "--max-cells", default="auto", help="cells to learn from: a number, auto, or all"
    )
    parser.add_argument("--threads", **number, default=2)
    parser.add_argument(
        "--limit", type=float, default=1800, help="seconds that a measurement may take"
    )
    parser.add_argument("--memory", type=float, default=16, help="GB that a peer may take")
    parser.add_argument(
        "--subsample", action="store_true", help="correlation by cells learned from, instead"
    )
    parser.add_argument("--again", action="store_true", help="measure anew what is in the results")
    parser.add_argument("--write-only", action="store_true", help="write the data, measure nothing")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "grnrep_scale")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "scale.json"
    )
    args = parser.parse_args()
    if args.max_cells not in ("auto", "all"):
        args.max_cells = int(args.max_cells)
    args.folder.mkdir(parents=True, exist_ok=True)
    rows, wanted = json.loads(args.output.read_text()) if args.output.exists() else [], jobs(args)
    for job in wanted:
        if args.write_only:
            prepared(job, args.folder)
            continue
        known = [row for row in rows if same(row, job)]
        if known and not args.again:
            continue
        found = extrapolated(job, rows, args.limit, args.memory)
        if found is None:
            found = measure(prepared(job, args.folder), args.limit)
        rows = [row for row in rows if row not in known] + [job | found]
        save(args.output, rows)
        print(f"{job['method']}, {job['cells']:,} cells: {found}", flush=True)
    show([row for row in rows if any(same(row, job) for job in wanted)])


if __name__ == "__main__":
    main()
