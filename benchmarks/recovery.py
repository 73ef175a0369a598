"""Recovery of the true regulators over load, in the setting of the paper's Fig. 4, beside other methods.

n=1000 genes, m=100 regulators, connectivity 0.1, w ~ U(low, 1). Held out are 100 cells of the same
network, the same ones for every number of training cells. PCC is the Pearson correlation of a
regulator with its truth over cells, signed, as a mean over regulators and for the worst one. A
regulator that a method leaves out or gives the same activity in all cells counts as 0; the column
`undefined` says how often that was (training and held-out cells together).

- exact, gradient: `gr.tl.fit` and `gr.tl.fit_gradient` without signs, and `gr.tl.transform` of the held-out cells
- oracle: the same projection with the true weights, so what inference alone can reach
- ulm, mlm (decoupler) and tfa (pseudo-inverse of the network): true signs, or all edges positive,
  which is the same for w ~ U(0, 1). They and the oracle treat every cell by itself: how many there
  are changes nothing but the time

Rows are saved as they come, and those already in the output are skipped: start again to go on.

    python benchmarks/recovery.py                                # everything
    python benchmarks/recovery.py --methods exact --again        # one method again
    python benchmarks/recovery.py --figure-only --against benchmarks/results/recovery_first.json
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
from functools import partial
from importlib.metadata import version
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _recovery_figure import draw, tables, worse

import grnrep as gr
from grnrep.core.als.project import project
from grnrep.core.fitted import Fit
from grnrep.core.network import Network

SIZES = {"n_vars": 1000, "n_regulators": 100, "connectivity": 0.1}
N_HELD_OUT = 100
DATA = ("n", "low", "noise", "seed")
EXACT_GRID = (12, 15, 18, 24, 33, 43, 50, 70, 100, 200, 500, 2000, 10_000)
# numbers of cells and of seeds, where the command line does not say; the recipe and mlm are slow
GRIDS = {
    "exact": (EXACT_GRID, 10),
    "gradient": ((50, 100, 200, 500, 2000), 3),
    "mlm, true signs": ((500,), 10),
    "mlm, no signs": ((500,), 10),
}
EVERY_CELL_ALONE = ((500, 10_000), 10)


def split(n: int, low: float, noise: float, seed: int):
    """Simulate training cells, held-out cells, which come first, and their network."""
    options = {"weight_low": low, "noise_sd": noise, "rng": seed, "progress": False}
    both, net = gr.ds.simulate(N_HELD_OUT + n, **SIZES, **options)
    return both[N_HELD_OUT:].copy(), both[:N_HELD_OUT].copy(), net


def learned(train, held_out, net, *, key: str, solver: str, seed: int, **limit: int) -> dict:
    options = {
        "intercept": False,
        "key_added": key,
        "rng": seed,
        "progress": False,
    }
    start = time.perf_counter()
    fit = {"exact": gr.tl.fit, "gradient": gr.tl.fit_gradient}[solver]
    fit(train, net[["source", "target"]], **options, **limit)
    seconds = time.perf_counter() - start
    gr.tl.transform(held_out, train, key=key, progress=False)
    history = train.uns[key]["history"]["objective"]
    return {
        "train_mse": gr.metrics.reconstruction(train, key=key)["mse"].mean(),
        "test_mse": gr.metrics.reconstruction(held_out, key=key)["mse"].mean(),
        "objective": history[-1],
        "iterations": len(history),
        "converged": bool(train.uns[key]["params"]["converged"]),
        "seconds": seconds,
    }


def oracle(train, held_out, net, *, key: str, seed: int) -> dict:
    """Project cells with the true weights and the ridge of the exact solver's default, 1e-4 of W'W."""
    edges = net.sort_values(["target", "source"])  # the order that Network keeps
    genes, gene = np.unique(edges["target"], return_inverse=True)
    names, regulator = np.unique(edges["source"], return_inverse=True)
    weight = edges["weight"].to_numpy(np.float64)
    network = Network.from_edges(gene, regulator, weight, len(genes), len(names))
    matrix = np.zeros((len(genes), len(names)))
    matrix[gene, regulator] = weight
    ridge = np.full(len(names), 1e-4 * (weight**2).sum() / len(names))
    fit = Fit(weight=weight, bias=None, activity=np.zeros((0, len(names))), ridge=ridge)
    out = {}
    for part, adata in (("test", held_out), ("train", train)):
        x = np.asarray(adata[:, genes].X)
        start = time.perf_counter()
        z = project(x, fit, network)
        out["seconds"] = time.perf_counter() - start
        out[f"{part}_mse"] = np.mean((np.maximum(z @ matrix.T, 0) - x) ** 2)
        adata.obsm[key] = pd.DataFrame(z, index=adata.obs_names, columns=names)
    return out


def regressed(train, held_out, net, *, key: str, method: str, signs: bool, seed: int) -> dict:
    prior = net.assign(weight=np.sign(net["weight"])) if signs else net[["source", "target"]]
    infer = gr.validation.tfa_activity if method == "tfa" else peer(method)
    held_out.obsm[key] = infer(held_out, prior)
    start = time.perf_counter()
    train.obsm[key] = infer(train, prior)
    return {"seconds": time.perf_counter() - start}


def peer(method: str):
    return partial(gr.validation.peer_activity, method=method)


METHODS = {
    "exact": partial(learned, solver="exact"),
    "gradient": partial(learned, solver="gradient"),
    "oracle": oracle,
    **{
        f"{method}, {name}": partial(regressed, method=method, signs=signs)
        for method in ("ulm", "mlm", "tfa")
        for name, signs in {"true signs": True, "no signs": False}.items()
    },
}


def correlations(adata, key: str, part: str) -> dict:
    found = gr.metrics.recovery(adata, key=key)
    known = found.fillna({"pearson": 0.0, "abs_pearson": 0.0})
    return {
        f"{part}_pcc": known["pearson"].mean(),
        f"{part}_abs": known["abs_pearson"].mean(),
        f"{part}_worst": known["pearson"].min(),
        "undefined": int(found["pearson"].isna().sum()),
    }


def loads(train, net) -> dict:
    x = train[:, net["target"].unique()].X
    sizes = {"n_regulators": net["source"].nunique(), "n_edges": len(net)}
    n_positive = gr.metrics.count_constraints(x)
    return {
        "load": gr.metrics.decoder_load(*x.shape, **sizes),
        "effective": gr.metrics.effective_load(n_positive, len(x), **sizes),
    }


def run(method: str, data: tuple, identity: dict) -> dict:
    train, held_out, net = data
    row = identity | loads(train, net)
    measured = METHODS[method](*data, key=method, seed=identity["seed"])
    ours, theirs = correlations(train, method, "train"), correlations(held_out, method, "test")
    row |= ours | theirs | {"undefined": ours["undefined"] + theirs["undefined"]} | measured
    return {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}


def identify(row: dict) -> tuple:
    """What makes a row unique; also their order in the output."""
    return (*(row[name] for name in DATA), list(METHODS).index(row["method"]))


def planned(args: argparse.Namespace) -> list[dict]:
    rows = []
    for method in args.methods:
        grid, n_seeds = GRIDS.get(method, EVERY_CELL_ALONE)
        seeds = range(n_seeds if args.seeds is None else args.seeds)
        for n, low, noise, seed in product(args.n_obs or grid, args.low, args.noise, seeds):
            rows.append({"method": method, "low": low, "noise": noise, "n": n, "seed": seed})
    return sorted(rows, key=identify)


def run_all(args: argparse.Namespace) -> list[dict]:
    """Run what is planned and not yet saved; save after every row."""
    settings, wanted, rows = current_settings(), planned(args), []
    if args.output.exists():
        saved = json.loads(args.output.read_text())
        if saved["settings"] != settings:
            raise SystemExit(
                f"{args.output} was made with other settings; move it or choose another --output\n"
                f"there: {saved['settings']}\nhere:  {settings}"
            )
        rows = saved["rows"]
    keys = {identify(row) for row in wanted}
    if args.again:
        rows = [row for row in rows if identify(row) not in keys]
    done = {identify(row) for row in rows}
    todo = [row for row in wanted if identify(row) not in done]
    print(f"{len(wanted) - len(todo)} of {len(wanted)} runs are there already", flush=True)
    warm_up([row["method"] for row in todo])
    for data_of, group in groupby(todo, key=lambda row: {name: row[name] for name in DATA}):
        data = split(**data_of)
        for identity in group:
            row = run(identity["method"], data, identity)
            rows = sorted([*rows, row], key=identify)
            save(args.output, settings, rows)
            regime = ", ".join(f"{name}={row[name]:g}" for name in DATA)
            print(
                f"{regime}, {row['method']}: {row['test_pcc']:.4f}, {row['seconds']:.2f} s",
                flush=True,
            )
    return rows


def warm_up(methods: list[str]) -> None:
    """Import and compile before anything is timed."""
    adata, net = gr.ds.simulate(20, 60, n_regulators=3, progress=False)
    for method in set(methods):
        METHODS[method](adata, adata.copy(), net, key=method, seed=0)


def current_settings() -> dict:
    packages = ("grnrep", "torch", "numpy", "scipy", "decoupler")
    return {
        **SIZES,
        "n_held_out": N_HELD_OUT,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in packages},
    }


def save(path: Path, settings: dict, rows: list[dict]) -> None:
    """Write one row a line, and put the file in place when it is complete."""
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(f'{{"settings": {json.dumps(settings)},\n"rows": [\n{lines}\n]}}\n')
    part.replace(path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD"
    )
    parser.add_argument(
        "--n-obs", nargs="+", type=int, help="training cells; by default each method's own"
    )
    parser.add_argument("--seeds", type=int, help="number of seeds; by default each method's own")
    parser.add_argument(
        "--low", nargs="+", type=float, default=[-1.0, 0.0], help="lower end of the weights"
    )
    parser.add_argument(
        "--noise", nargs="+", type=float, default=[0.0, 0.2], help="standard deviations"
    )
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "recovery.json"
    )
    parser.add_argument("--again", action="store_true", help="run also what is saved already")
    parser.add_argument(
        "--figure-only", action="store_true", help="run nothing, draw what is saved"
    )
    parser.add_argument(
        "--against", type=Path, help="older output; exit 1 where exact became worse"
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    rows = json.loads(args.output.read_text())["rows"] if args.figure_only else run_all(args)
    frame = pd.DataFrame(rows)
    print(tables(frame))
    draw(frame, args.output.with_suffix(".png"))
    if args.against is not None:
        older = pd.DataFrame(json.loads(args.against.read_text())["rows"])
        losses = worse(frame, older)
        print(losses)
        raise SystemExit(1 if losses.startswith("worse") else 0)


if __name__ == "__main__":
    main()
