"""Time and memory from 700 to 1,000,000 cells on disk, beside ulm, mlm, viper and a masked VAE.

2,000 genes, 700 regulators, 40,000 edges with signs, 10 % of the values above zero, CSR in h5ad; 700 cells
are simulated like all others. What is timed is all that a user waits for: opening the file, the method, its
results. grnrep learns edge weights and infers the activities of all cells, from data opened with
backed="r"; from 100,000 cells on activities go to a store on disk. "kept" learns nothing: it opens such
data, loads a decoder (gr.io.load) and infers the activities of all cells (gr.tl.transform). That decoder
was learned before, from 10,000 other cells with the same network and weights, and saved beside the data
in --folder, once for all numbers of cells, as the data are; remove its file to have it learned anew. The
others run on data in memory, as they are called: ulm, mlm and viper of decoupler, which learn nothing,
and the variational autoencoder of gr.validation. "read" only reads the file, block by block; "read,
cached" does so when the system has it in memory already. "rates" are the speeds that the model of the
cost is made of.

Every measurement is a process of its own (_scale_measure.py), after the system was told to forget the
files. Uses:

second  in a process that has called the method before, on a few cells: imports, compiled code are there.
        The system forgets the files after that.
first   the first in its process: from its first statement on, with all imports, those of the method and
        those that read the file. The installation has compiled its code before: by `grnrep compile`, as
        `make` does, and decoupler by a call. Files of packages are in the system's memory.
new     the same where nothing was compiled yet, as after a plain installation, at the smallest size alone.

What takes less than 10 s is measured three times, and the middle one counts. A peer that would take longer
than --limit or more than --memory is extrapolated from its two largest sizes, and where its second use takes
longer than 30 s the first is that and what a first one took more at the smallest size; both are marked.
Results are saved after every measurement, and what is in them is not measured again. With --busy, where
other programs compute too, rows are marked, and measured anew by the next run without. The page
docs/results/scale.md is made of the results by scale_page.py.

    python benchmarks/scale.py --methods read "read, cached" rates grnrep kept ulm             # 17 minutes
    python benchmarks/scale.py --methods mlm viper vae --cells 700 10000 50000 1000000         # 16 minutes
    python benchmarks/scale.py --cells 700 --genes 765 --regulators 162 --edges 2212           # 4 minutes
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

from _scale_show import show

# no numpy or pandas here: this process waits beside the one that is measured
PEERS = ("ulm", "mlm", "viper", "vae")
OURS = ("grnrep", "kept")
METHODS = ("read", "read, cached", "rates", *OURS, *PEERS)
USES = ("second", "first", "new")
CELLS = (700, 10_000, 50_000, 100_000, 1_000_000)
SUBSAMPLE_CELLS, MAX_CELLS = 20_000, (1000, 2000, 4000, 8000, 16_000)
AT_ONCE = 250_000  # cells that decoupler makes dense and works on at a time
_SHORT = 10  # seconds below which a measurement is repeated
_REPEATS = 3  # measurements of what is short
_LONG = 30  # seconds of a second use from which on the first one of a peer is not measured
_MEASURED = "measured"
_MARK = "measured: "  # as in _scale_measure.py
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMBA", "NUMEXPR")
SETTING = {"threads": 2, "genes": 2000, "regulators": 700, "edges": 40_000}
_KEY = ("part", "method", "use", "cells", "max_cells", *SETTING)


def jobs(args: argparse.Namespace) -> list[dict]:
    """All measurements that were asked for, from few cells to many."""
    setting = {name: getattr(args, name) for name in SETTING}
    sizes = sorted(args.cells)
    of_rates = next((n for n in sizes if n >= 10_000), sizes[-1])

    def uses(method: str, n: int) -> list[str]:
        if method not in (*OURS, *PEERS):
            return ["second"] if method != "rates" or n == of_rates else []
        compiles = method != "vae" and n == sizes[0]
        return [use for use in USES if use in args.uses and (use != "new" or compiles)]

    if args.subsample:
        wanted = [
            (method, "second", SUBSAMPLE_CELLS, None)
            for method in ("ulm", "mlm")
            if method in args.methods
        ]
        wanted += [("grnrep", "second", SUBSAMPLE_CELLS, n) for n in MAX_CELLS]
    else:
        wanted = [
            (method, use, n, args.max_cells if method == "grnrep" else None)
            for n in sizes
            for method in METHODS
            if method in args.methods
            for use in uses(method, n)
        ]
    part = "subsample" if args.subsample else "scale"
    return [
        {"part": part, "method": m, "use": use, "cells": n, "max_cells": k, **setting}
        for m, use, n, k in wanted
    ]


def same(row: dict, job: dict, *, but: tuple[str, ...] = ()) -> bool:
    """Whether both are the same measurement."""
    return all(row[name] == job[name] for name in _KEY if name not in but)


def prepared(job: dict, folder: Path) -> dict:
    """Job with its files, which are written if they are not there."""
    data = folder / f"{job['genes']}_{job['regulators']}_{job['edges']}_{job['cells']}.h5ad"
    endings = {"data": ".h5ad", "net": ".net.csv", "truth": ".truth.parquet"}
    job = job | {name: str(data.with_suffix(ending)) for name, ending in endings.items()}
    files = {"simulate": data}
    if job["method"] == "kept":
        # one for all numbers of cells
        setting = data.stem.removesuffix(f"_{job['cells']}")
        files["learn"] = folder / f"{setting}.decoder.zarr.zip"
        job["decoder"] = str(files["learn"])
    for method, path in files.items():
        if not path.exists():
            print(f"writing {path}", flush=True)
            written = measure(job | {"method": method, "use": "first"}, folder, None)
            if written["how"] != _MEASURED:
                raise SystemExit(f"{path}: {written['how']}")
    return job


def measure(job: dict, folder: Path, limit: float | None) -> dict:
    """Run a job in a process of its own; say what became of it."""
    command = [sys.executable, str(Path(__file__).with_name("_scale_measure.py")), json.dumps(job)]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as nothing:
        compiled = nothing if job["use"] == "new" else str(folder / "compiled")
        variables = {f"{name}_NUM_THREADS": str(job["threads"]) for name in _THREADS}
        # bytecode is there from the first process on, as where packages were installed
        variables |= {"NUMBA_CACHE_DIR": compiled, "PYTHONDONTWRITEBYTECODE": ""}
        options = {"env": os.environ | variables, "capture_output": True, "text": True}
        try:
            done = subprocess.run(command, timeout=limit, check=False, **options)
        except subprocess.TimeoutExpired:
            return {"how": f"stopped after {limit:g} s"}
    found = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode != 0 or not found:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"how": f"failed ({done.returncode}): {reason[:200]}"}
    return {"how": _MEASURED, "load_before": load, **json.loads(found[0].removeprefix(_MARK))}


def repeated(job: dict, folder: Path, limit: float) -> dict:
    """Measure; the middle one of several where it is short."""
    runs = [measure(job, folder, limit)]
    while len(runs) < _REPEATS and runs[-1].get("seconds", _SHORT) < _SHORT:
        runs.append(measure(job, folder, limit))
    if runs[-1]["how"] != _MEASURED:
        return runs[-1]
    return sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2] | {"runs": len(runs)}


def extrapolated(job: dict, rows: list[dict], limit: float, memory: float) -> dict | None:
    """What a peer would take, where that is too much to run, by what was measured of it."""
    if job["method"] not in PEERS or job["use"] == "new":
        return None
    return by_second(job, rows) if job["use"] == "first" else by_line(job, rows, limit, memory)


def by_line(job: dict, rows: list[dict], limit: float, memory: float) -> dict | None:
    """On the line through its two largest sizes."""
    smaller = [row for row in rows if same(row, job, but=("cells",)) and row["how"] == _MEASURED]
    smaller = sorted(
        (row for row in smaller if row["cells"] < job["cells"]), key=lambda row: row["cells"]
    )
    if len(smaller) < 2:
        return None
    first, last = smaller[-2:]

    def at(name: str, n: int) -> float:
        slope = (last[name] - first[name]) / (last["cells"] - first["cells"])
        return last[name] + slope * (n - last["cells"])

    taken = {name: at(name, job["cells"]) for name in ("seconds", "cpu_seconds")}
    # beyond what is worked on at a time, a score and a p-value
    at_once = job["cells"] if job["method"] == "vae" else min(job["cells"], AT_ONCE)
    results = 16e-6 * job["regulators"] * (job["cells"] - at_once)
    taken["peak_mb"] = at("peak_mb", at_once) + results
    if taken["seconds"] <= limit and taken["peak_mb"] <= 1000 * memory:
        return None
    return {"how": f"extrapolated from {first['cells']:,} and {last['cells']:,}", **taken}


def by_second(job: dict, rows: list[dict]) -> dict | None:
    """A long second use, and what the first took more at the smallest size where both were measured."""
    known = {
        (row["use"], row["cells"]): row
        for row in rows
        if same(row, job, but=("use", "cells")) and "seconds" in row
    }
    second = known.get(("second", job["cells"]))
    sizes = [
        n
        for use, n in sorted(known)
        if use == "first" and n < job["cells"] and ("second", n) in known
    ]
    if second is None or second["seconds"] < _LONG or not sizes:
        return None
    more, less = known["first", sizes[0]], known["second", sizes[0]]
    times = {name: second[name] + more[name] - less[name] for name in ("seconds", "cpu_seconds")}
    kept = {name: second[name] for name in ("peak_mb", "pcc") if name in second}
    return {"how": f"second use, and what a first takes more at {sizes[0]:,}", **times, **kept}


def save(path: Path, rows: list[dict]) -> None:
    """Replace the results as a whole: an interruption leaves the last ones."""
    rounded = [
        {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()} for row in rows
    ]
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(rounded, indent=1) + "\n")
    temporary.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    number = {"type": int, "metavar": "N"}
    parser.add_argument("--cells", **number, nargs="+", default=list(CELLS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--uses", nargs="+", choices=USES, default=list(USES))
    for name, default in SETTING.items():
        parser.add_argument(f"--{name}", **number, default=default)
    parser.add_argument(
        "--max-cells", default="auto", help="cells to learn from: a number, auto, or all"
    )
    parser.add_argument(
        "--limit", type=float, default=900, help="seconds that a measurement may take"
    )
    parser.add_argument("--memory", type=float, default=16, help="GB that a peer may take")
    parser.add_argument(
        "--subsample", action="store_true", help="correlation by cells learned from, instead"
    )
    parser.add_argument("--busy", action="store_true", help="other programs run: mark the rows")
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
    installed = set()
    for job in wanted:
        if args.write_only:
            prepared(job, args.folder)
            continue
        known = [row for row in rows if same(row, job)]
        if known and not args.again and (args.busy or not known[0].get("provisional")):
            continue
        # what is marked is no ground for a row that is not
        given = [row for row in rows if args.busy or not row.get("provisional")]
        found = extrapolated(job, given, args.limit, args.memory)
        if found is None:
            with_files = prepared(job, args.folder)
            if job["method"] not in installed:
                once = {"method": "install", "for": job["method"], "use": "first"}
                measure(with_files | once, args.folder, None)
                installed.add(job["method"])
            found = repeated(with_files, args.folder, args.limit)
        marked = {"provisional": True} if args.busy else {}
        rows = [row for row in rows if row not in known] + [job | marked | found]
        save(args.output, rows)
        print(f"{job['method']}, {job['use']} use, {job['cells']:,} cells: {found}", flush=True)
    show([row for row in rows if any(same(row, job) for job in wanted)])


if __name__ == "__main__":
    main()
