"""Fits that are killed at random moments and called again end with the same result, to the last bit.

A process fits cells that are on disk, with a checkpoint and activities in a store on disk. It is killed
(SIGKILL) after a random share of the time that a whole fit takes, and called again, until it ends; then
activities, weights and the record are compared with those of a fit that nobody killed, and the next one
begins, until there were --kills kills.

Before that, a small fit ends at once before every seventh (--every) of all operations that it does to files,
some twice, at a random one of the second run too, and is called again: the content must be that of a fit
that nobody killed, and nothing else may be left in the folder.

OMP_NUM_THREADS=1 python benchmarks/kills.py [--kills 20] [--cells 20000] [--every 7]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def content(store: Path, record: dict[str, Any]) -> dict[str, np.ndarray]:
    """Activities, and the numbers of the record."""
    found = {"activity": anndata.read_zarr(store).to_df().to_numpy()}
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


CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate")
DIED = 9


def in_child(function: Callable[[], Any]) -> Any:
    """What a function gives in a process of its own; None if that died."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump(function(), pipe)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, DIED):
        raise RuntimeError(f"a process ended with {status}")
    return json.loads(found) if status == 0 else None


def end_before(at: int | None, folder: Path) -> list[str]:
    """End this process at once before operation ``at`` on files in a folder; the operations until then."""
    done: list[str] = []

    def hear(event: str, arguments: tuple) -> None:
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in CHANGES:
            return
        path = str(arguments[0])
        if Path(path).is_absolute() and not path.startswith(str(folder)):
            return
        if len(done) == at:
            os._exit(DIED)
        done.append(f"{event} {path}".replace(str(folder), ""))

    sys.addaudithook(hear)
    return done


def small_fit(folder: Path, at: int | None = None) -> dict[str, Any]:
    """Fit with a checkpoint and a store, until operation ``at``; operations, content, and what is left."""
    adata, net = gr.ds.simulate(30, 20, n_regulators=3, connectivity=0.4, rng=0, progress=False)
    options = {
        "intercept": True,
        "ridge": 1e-3,
        "sign_shrinkage": 0.0,
        "max_iter": 5,
        "max_cells": 15,
        "block_size": 8,
    }
    done = end_before(at, folder)
    where = {"checkpoint": folder / "run", "activity_store": folder / "activity.zarr"}
    gr.tl.fit(adata, net, **where, **options, progress=False)
    done = list(done)
    found = content(folder / "activity.zarr", adata.uns["grnrep"])
    sha = hashlib.sha256(repr([(name, values.tolist()) for name, values in found.items()]).encode())
    return {
        "done": done,
        "content": sha.hexdigest(),
        "left": sorted(part.name for part in folder.iterdir()),
    }


def systematic(every: int, rng: int) -> dict[str, Any]:
    """Die before each operation, go on, and say what went wrong."""
    draw, root = np.random.default_rng(rng), Path(tempfile.mkdtemp())

    def at_place(name: str) -> Path:
        (root / name).mkdir()
        return root / name

    in_child(lambda: small_fit(at_place("first")))  # compiles what there is to compile
    whole = in_child(lambda: small_fit(at_place("whole")))
    wrong, deaths = [], 0
    for at in range(0, len(whole["done"]), every):
        folder = at_place(f"at{at}")
        moments = [at] if at % 7 else [at, int(draw.integers(len(whole["done"])))]
        for moment in moments:
            deaths += (
                in_child(lambda folder=folder, moment=moment: small_fit(folder, moment)) is None
            )
        try:
            found = in_child(lambda folder=folder: small_fit(folder))
            fine = found["content"] == whole["content"] and found["left"] == ["activity.zarr"]
            problem = None if fine else found["left"]
        except RuntimeError as error:
            problem = str(error)
        if problem is not None:
            wrong.append(
                {"before": [whole["done"][moment] for moment in moments], "problem": problem}
            )
            print(wrong[-1], flush=True)
    shutil.rmtree(root)
    return {"operations": len(whole["done"]), "deaths": deaths, "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument(
        "--every", type=int, default=1, help="of how many operations of the small fit one is cut"
    )
    parser.add_argument("--rng", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "kills.json"
    )
    args = parser.parse_args()
    each = systematic(args.every, args.rng)  # first: a process that has fitted does not fork well
    print(
        f"{each['operations']} operations, {each['deaths']} deaths, {len(each['wrong'])} wrong",
        flush=True,
    )
    folder, draw = Path(tempfile.mkdtemp()), np.random.default_rng(args.rng)
    sizes = {"n_vars": 500, "n_regulators": 100, "connectivity": 0.05, "zero_fraction": 0.8}
    _, net = gr.ds.simulate(
        args.cells, **sizes, path=folder / "data.h5ad", rng=args.rng, progress=False
    )
    net.to_csv(folder / "net.csv", index=False)
    (folder / "run.py").write_text(SCRIPT)

    def start(name: str) -> subprocess.Popen:
        places = (
            "data.h5ad",
            "net.csv",
            f"{name}.activity.zarr",
            f"{name}.checkpoint",
            f"{name}.model.zarr",
        )
        command = [sys.executable, folder / "run.py", *(folder / place for place in places)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        return process

    def result(name: str) -> dict[str, np.ndarray]:
        record = gr.io.load(folder / f"{name}.model.zarr").uns["grnrep"]
        return content(folder / f"{name}.activity.zarr", record)

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
                checkpoint, store = (
                    folder / f"{name}.{part}" for part in ("checkpoint", "activity.zarr")
                )
                begun, ended = checkpoint.exists(), store.exists()
                if ended and not begun:  # the fit had ended, and the kill came too late
                    shutil.rmtree(store)
                else:
                    kills += 1
                    stages = len(list(checkpoint.iterdir())) if begun else 0
                    kill = {
                        "after": round(moment, 2),
                        "files_in_checkpoint": stages,
                        "store": ended,
                    }
                    moments.append(kill)
        wrong = differing(result(name), wanted) if process.returncode == 0 else ["it failed"]
        left = [
            part for part in folder.iterdir() if part.name.startswith((".", f"{name}.checkpoint"))
        ]
        fits.append(
            {"kills": moments, "differing": wrong, "left_behind": [part.name for part in left]}
        )
        print(
            f"fit {len(fits)}: killed {len(moments)} times; differing: {wrong or 'nothing'}",
            flush=True,
        )
        for part in folder.glob(f"{name}.*"):
            shutil.rmtree(part)
    shutil.rmtree(folder)
    settings = {"cells": args.cells, "rng": args.rng, **sizes, "seconds": round(seconds, 1)}
    found = {"settings": settings, "every_operation": each, "kills": kills, "fits": fits}
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(
        f"{kills} kills in {len(fits)} fits; {sum(bool(fit['differing']) for fit in fits)} fits differ"
    )


if __name__ == "__main__":
    main()
