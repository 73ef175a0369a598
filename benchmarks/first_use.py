"""What a first use costs: imports, the first fit of an installation, and that of every later process.

    python benchmarks/first_use.py [--checkout FOLDER] [--repeats 3]

Every line is a process of its own; the least of the repeats counts. Another checkout is measured with the same
environment. The table of docs/install.md is made of two such runs.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIT = """
import grnrep as gr
adata, net = gr.ds.example()
gr.tl.fit(adata, net, progress=False)
"""
STAGES = {
    "`import grnrep as gr; gr.tl; gr.pl`": ("kept", "import grnrep as gr; gr.tl; gr.pl"),
    "`grnrep --help`": ("kept", "import sys; sys.argv[1:] = ['--help']; import grnrep.cli as c; c.app()"),
    "first process that fits": ("new", FIT),
    "later process that fits": ("kept", FIT),
    "`grnrep compile`": ("new", "from grnrep.core.kernels import compile_all; compile_all()"),
}  # fmt: skip


def measure(code: str, checkout: Path, cache: Path) -> tuple[float, float] | None:
    """Seconds and CPU seconds of a process; None where it fails, as older checkouts without a command do."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "NUMBA_CACHE_DIR": str(cache)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd="/", capture_output=True, check=False
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (wall, cpu) if run.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    checkout = asked.checkout.resolve()
    print("| process | seconds | CPU seconds |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept"
        measure(FIT, checkout, kept)  # what Python itself compiles is there from now on
        for stage, (which, code) in STAGES.items():
            times = []
            for repeat in range(asked.repeats):
                cache = (
                    kept if which == "kept" else Path(folder) / f"{stage}{repeat}".replace("/", "")
                )
                times.append(measure(code, checkout, cache))
            found = [pair for pair in times if pair is not None]
            wall, cpu = (f"{min(part):.1f}" for part in zip(*found, strict=True)) if found else "––"
            print(f"| {stage} | {wall} | {cpu} |", flush=True)


if __name__ == "__main__":
    main()
