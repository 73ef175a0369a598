"""Perturbed regulators found by grnrep and other methods: yeast inductions, E. coli knock-outs.

One row per data set, input and method. Input: expression as it is (raw), genes at mean 0 and standard
deviation 1 over samples (scaled), or, for methods that take each sample by itself and where expression is not
relative already, conditions less their controls (contrasts). Every regulator counts once; brackets are
95 % bootstrap intervals over regulators. Measurements are saved one by one and not repeated.

After it, for yeast, what network and samples allow at most: in how many samples the targets of the induced
regulator respond with the signs of the network at all, against genes drawn at random; and the AUROC of a method
that finds the regulator first in all of these samples and anywhere in the others.

Needs decoupler, and the files named by `load_yeast` and `load_ecoli` (or pymodulon).

    OMP_NUM_THREADS=1 python benchmarks/perturbation.py [--data-dir FOLDER] [--methods NAME ...]
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import grnrep as gr
from grnrep.validation import load_ecoli, load_yeast, perturbation_metrics, perturbed_conditions
from grnrep.validation.regulation.ecoli import NOT_INDEPENDENT, PARTLY_INDEPENDENT
from grnrep.validation.regulation.methods import regulator_activity
from grnrep.validation.regulation.perturbation import METRICS
from grnrep.validation.regulation.perturbation_set import PerturbationSet
from grnrep.validation.runs import Runs

SETS: dict[str, Callable[[str | None], PerturbationSet]] = {
    "yeast": load_yeast,
    "ecoli": load_ecoli,
}
BY_SAMPLE = ("ulm", "mlm", "viper")
METHODS = (*BY_SAMPLE, "vae", "nca", "grnrep", "grnrep, marginal")
DIGITS = {"direction": 2, "median_percentile": 0, "auroc": 3, "auprc": 3}
N_BOOT = 1000
# settled with the set in view: how a fit chooses its shrinkage, and which marginal score (docs/results.md)
IN_VIEW = {("yeast", "grnrep"), ("yeast", "grnrep, marginal"), ("ecoli", "grnrep, marginal")}


def inputs(data: PerturbationSet) -> dict[str, PerturbationSet]:
    found = {"raw": data, "scaled": data.scaled()}
    return found if data.relative else found | {"contrasts": data.contrasts()}


def measure(
    data: PerturbationSet, method: str, fit: Callable[[], AnnData], rng: int
) -> dict[str, object]:
    """Figures, and where every condition stands."""
    start = time.perf_counter()
    if method == "grnrep":
        activity = fit().obsm["grnrep"]
    elif method == "grnrep, marginal":
        activity = gr.get.activity(fit(), marginal=True).to_df()
    else:
        activity = regulator_activity(data.adata, data.net, method=method, rng=rng)
    seconds = time.perf_counter() - start
    options = {"perturbed": data.perturbed, "relative": data.relative}
    table = perturbation_metrics(activity, **options, n_boot=N_BOOT, rng=rng)
    conditions = perturbed_conditions(activity, **options)
    return {
        "figures": table.drop(columns=["n_regulators", "n_conditions"]).round(4).to_dict("index"),
        "n_regulators": int(table["n_regulators"].iloc[0]),
        "n_conditions": int(table["n_conditions"].iloc[0]),
        "percentile": conditions["percentile"].round(2).to_dict(),
        "seconds": round(
            seconds, 2
        ),  # of marginal scores without the fit, where that was made before
    }


def what_is_allowed(data: PerturbationSet, *, rng: int, n_draws: int = 10_000) -> dict[str, float]:
    """Count samples in which the regulator's targets respond, one-sided at 5 %, and the AUROC that allows."""
    x, draw, means, chances = data.adata.to_df(), np.random.default_rng(rng), [], []
    for regulator, edges in data.net.groupby("source"):
        sign, values = edges["weight"].to_numpy(), x.loc[regulator].to_numpy()
        means.append((x.loc[regulator, edges["target"]].to_numpy() * sign).mean())
        picks = draw.random((n_draws, len(values))).argpartition(len(sign), axis=1)[:, : len(sign)]
        chances.append(((values[picks] * sign).mean(1) >= means[-1]).mean())
    respond = np.array(chances) < 0.05
    return {
        "n_samples": len(means),
        "n_targets_rise": int(np.sum(np.array(means) > 0)),
        "n_targets_respond": int(respond.sum()),
        "auroc_at_most": float(np.where(respond, 1.0, 0.5).mean()),
    }


def readable(runs: Runs) -> pd.DataFrame:
    """One row per measurement, figures as "estimate [low, high]"."""
    rows = {}
    for row in runs.table().itertuples():
        cells = {
            name: "{estimate:.{d}f} [{low:.{d}f}, {high:.{d}f}]".format(**row.figures[name], d=d)
            for name, d in DIGITS.items()
        }
        cells["auroc per condition"] = f"{row.figures['auroc']['per_condition']:.3f}"
        cells |= {"seconds": row.seconds, "regulators": row.n_regulators}
        seen = "in view" if (row.set, row.method) in IN_VIEW else ""
        rows[row.set, row.method, row.input] = cells | {"": seen}
    order = [(s, m, i) for s in SETS for m in METHODS for i in ("raw", "scaled", "contrasts")]
    names = ["set", "method", "input"]
    return (
        pd.DataFrame.from_dict(rows, orient="index")
        .loc[[k for k in order if k in rows]]
        .rename_axis(names)
    )


def by_independence(runs: Runs, data: PerturbationSet) -> pd.DataFrame:
    """Mean percentile in E. coli, every regulator once, by what is known of where its edges come from."""
    regulator = data.perturbed.drop_duplicates("condition").set_index("condition")["regulator"]
    rows = {}
    for row in runs.table().itertuples():
        if row.set == "ecoli":
            once = pd.Series(row.percentile).groupby(regulator).mean()
            kind = once.index.map(
                lambda r: (
                    "none" if r in NOT_INDEPENDENT else "part" if r in PARTLY_INDEPENDENT else "all"
                )
            )
            rows[row.method, row.input] = once.groupby(kind).mean().round(1)
            sizes = kind.value_counts()
    found = pd.DataFrame(rows).T.rename_axis(["method", "input"])
    return found[sizes.index].rename(columns=lambda kind: f"{kind} ({sizes[kind]})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data-dir", help="folder with yeast/ and ecoli/; by default GRNREP_DATA_DIR"
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rng", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "perturbation.json"
    )
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of other packages
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    torch.set_num_threads(1)

    settings = {
        "rng": args.rng,
        "n_boot": N_BOOT,
        "metrics": METRICS,
        "decoupler": version("decoupler"),
    }
    runs = Runs(args.out, study="perturbation", settings=settings)
    for name in args.sets:
        for given, data in inputs(SETS[name](args.data_dir)).items():
            fit = cache(
                partial(
                    gr.tl.fit,
                    data.adata,
                    data.net,
                    rng=args.rng,
                    min_targets=1,
                    progress=False,
                    copy=True,
                )
            )
            for method in args.methods:
                key = {"set": name, "method": method, "input": given}
                if (given != "contrasts" or method in BY_SAMPLE) and runs.find(key) is None:
                    runs.add(key, measure(data, method, fit, args.rng))
                    print(f"measured {name}, {given}, {method}", flush=True)
    print(readable(runs).to_string())
    if "ecoli" in args.sets:
        print(
            "\nE. coli, mean percentile by how much of the regulator's edges is independent of the samples"
        )
        print(by_independence(runs, load_ecoli(args.data_dir)).to_string())
    if "yeast" in args.sets:
        print(
            "\n" + pd.Series(what_is_allowed(load_yeast(args.data_dir), rng=args.rng)).to_string()
        )


if __name__ == "__main__":
    main()
