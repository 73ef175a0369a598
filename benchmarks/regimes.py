"""Recovery of the true regulators where noise is not that of Eq. 6, beside other methods.

500 cells, 1,000 genes, 100 regulators, connectivity .05, weights ±U(.2, 1); what each name means stands in
`grnrep.validation.simulate_regime`. Two further data sets are `grnrep.ds.simulate`: noise that drowns
the single cell, and 90 % zeros. Everything that grnrep chooses is on "auto", but for what the
name of such a data set says.

Correlation of a regulator with its truth over cells, as a mean over regulators; a regulator that a method
leaves out counts as 0. Absolute for grnrep without signs, which orients a regulator by the data alone;
signed for all others.

- grnrep, no signs; grnrep, signs: `gr.tl.fit`
- ulm, mlm: decoupler, with signs; scaled: every gene divided by its standard deviation
- oracle: least squares on the true weights, linear also where expression is cut at zero; `noise`: genes
  weighted by their true noise; `noise, programmes`: true loadings of the programmes besides, so what can be
  reached where expression is not cut

Of grnrep also the correlation of learned with true weights over the edges of a regulator (a false edge has
true weight 0). Rows are saved as they come, and those already there are skipped: start again to go on.

    OMP_NUM_THREADS=1 python benchmarks/regimes.py
    OMP_NUM_THREADS=1 python benchmarks/regimes.py --methods grnrep --again       # after a change
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix

import grnrep as gr
from grnrep.validation import simulate_regime
from grnrep.validation.regulation.methods import regulator_activity
from grnrep.validation.regulation.regimes import REGIMES
from grnrep.validation.runs import Runs

SIZES = {"n_obs": 500, "n_vars": 1000, "n_regulators": 100, "connectivity": 0.05}
NOISY = {"n_obs": 6000, "n_vars": 200, "n_regulators": 20, "noise_sd": 2.0}
ZEROS = {"n_obs": 1000, "n_vars": 300, "n_regulators": 20, "noise_sd": 0.5, "zero_fraction": 0.9}
SMALL = {"n_obs": 20, "n_vars": 60, "n_regulators": 3, "noise_sd": 0.2}
N_SEEDS = 5
KEY = "grnrep"
NO_SIGNS = "grnrep, no signs"
Draw = Callable[[int], tuple[AnnData, pd.DataFrame]]  # from a seed


@dataclass(frozen=True)
class DataSet:
    """How a data set is drawn, and what the user of a fit knows of it."""

    draw: Draw
    fit_options: dict[str, object] = field(default_factory=dict)


def drawn_by_simulate(seed: int, **options: float) -> tuple[AnnData, pd.DataFrame]:
    """`gr.ds.simulate`, with the truth where `simulate_regime` has it."""
    adata, net = gr.ds.simulate(**options, rng=seed, progress=False)
    regulators = adata.obsm["true_activity"].columns
    place = adata.var_names.get_indexer(net["target"]), regulators.get_indexer(net["source"])
    adata.varm["true_weight"] = csr_matrix(
        (net["weight"], place), shape=(adata.n_vars, len(regulators))
    )
    adata.var["noise_sd"] = options["noise_sd"]
    return adata, net.assign(weight=np.sign(net["weight"]))


def drawn_as_regime(seed: int, name: str) -> tuple[AnnData, pd.DataFrame]:
    return simulate_regime(name, **SIZES, rng=seed)


DATA_SETS = {name: DataSet(partial(drawn_as_regime, name=name)) for name in REGIMES} | {
    "6,000 cells, noise sd 2": DataSet(partial(drawn_by_simulate, **NOISY), {"max_cells": None}),
    "90 % zeros": DataSet(partial(drawn_by_simulate, **ZEROS), {"intercept": True}),
}


def fitted(
    adata: AnnData, net: pd.DataFrame, options: dict, seed: int, *, signs: bool
) -> pd.DataFrame:
    known = net if signs else net[["source", "target"]]
    gr.tl.fit(adata, known, **options, min_targets=1, key_added=KEY, rng=seed, progress=False)
    return adata.obsm[KEY]


def by_peer(
    adata: AnnData, net: pd.DataFrame, options: dict, seed: int, *, method: str, scaled: bool
) -> pd.DataFrame:
    if scaled:
        spread = adata.X.std(axis=0)
        adata = adata.copy()
        adata.X = adata.X / np.where(spread > 0, spread, 1)
    return regulator_activity(adata, net, method=method, rng=seed)


def by_oracle(
    adata: AnnData,
    net: pd.DataFrame,
    options: dict,
    seed: int,
    *,
    noise: bool = False,
    programmes: bool = False,
) -> pd.DataFrame:
    """Least squares of centred genes on what is true, every gene divided by its noise where that is known."""
    regulators = adata.obsm["true_activity"].columns
    design, x = adata.varm["true_weight"].toarray(), adata.X - adata.X.mean(axis=0)
    if programmes and "true_loadings" in adata.varm:
        design = np.hstack([design, adata.varm["true_loadings"]])
    if noise:
        sd = adata.var["noise_sd"].to_numpy()
        design, x = design / sd[:, None], x / sd
    activity = np.linalg.lstsq(design, x.T, rcond=None)[0][: len(regulators)].T
    return pd.DataFrame(activity, index=adata.obs_names, columns=regulators)


METHODS: dict[str, Callable[..., pd.DataFrame]] = {
    NO_SIGNS: partial(fitted, signs=False),
    "grnrep, signs": partial(fitted, signs=True),
    **{
        f"{method}, {given}": partial(by_peer, method=method, scaled=given == "scaled")
        for method in ("ulm", "mlm")
        for given in ("raw", "scaled")
    },
    "oracle": by_oracle,
    "oracle: noise": partial(by_oracle, noise=True),
    "oracle: noise, programmes": partial(by_oracle, noise=True, programmes=True),
}
STARTS = {"grnrep": "grnrep", "peers": ("ulm", "mlm"), "oracles": "oracle"}
GROUPS = {group: [m for m in METHODS if m.startswith(start)] for group, start in STARTS.items()}


def measure(data_set: DataSet, method: str, seed: int) -> dict[str, object]:
    adata, net = data_set.draw(seed)
    start = time.perf_counter()
    activity = METHODS[method](adata, net, data_set.fit_options, seed)
    seconds = time.perf_counter() - start
    adata.obsm["measured"] = activity
    found = gr.metrics.recovery(adata, key="measured")
    known = found[["pearson", "abs_pearson"]].fillna(0.0)
    row = {
        "pcc": known["pearson"].mean(),
        "abs_pcc": known["abs_pearson"].mean(),
        "worst": known["pearson"].min(),
        "left_out": int(found["pearson"].isna().sum()),
    }
    if KEY in adata.uns:
        row |= weight_correlations(adata)
        row["converged"] = bool(adata.uns[KEY]["params"]["converged"])
    rounded = {name: round(x, 5) if isinstance(x, float) else x for name, x in row.items()}
    return rounded | {"seconds": round(seconds, 3)}


def weight_correlations(adata: AnnData) -> dict[str, float]:
    """Learned weights with true ones, over the edges of each regulator; means over regulators."""
    edges, regulators = adata.uns[KEY]["network"], adata.obsm["true_activity"].columns
    place = adata.var_names.get_indexer(edges["target"]), regulators.get_indexer(edges["source"])
    true = np.asarray(adata.varm["true_weight"][place]).ravel()
    both = pd.DataFrame({"learned": edges["learned"].to_numpy(), "true": true})
    by_regulator = both.groupby(edges["source"].to_numpy())
    found = by_regulator.apply(lambda part: part["learned"].corr(part["true"])).fillna(0.0)
    return {"weight_pcc": found.mean(), "weight_abs_pcc": found.abs().mean()}


def warm_up(methods: set[str]) -> None:
    """Import and compile before anything is timed."""
    for method in methods:
        METHODS[method](*drawn_by_simulate(0, **SMALL), {}, 0)


def tables(runs: Runs) -> str:
    """Mean over seeds (standard deviation), of activities and then of weights, in Markdown."""
    rows = runs.table()
    rows["activity"] = rows["abs_pcc"].where(rows["method"] == NO_SIGNS, rows["pcc"])
    parts = [table(rows, "activity")]
    if "weight_pcc" in rows:
        rows["weight"] = rows["weight_abs_pcc"].where(
            rows["method"] == NO_SIGNS, rows["weight_pcc"]
        )
        parts += ["Weights:", table(rows.dropna(subset="weight"), "weight")]
    return "\n\n".join(parts)


def table(rows: pd.DataFrame, figure: str) -> str:
    cells = rows.groupby(["regime", "method"])[figure].agg(["mean", "std"])
    methods = [name for name in METHODS if name in set(rows["method"])]
    out = [["regime", *methods], ["---"] * (1 + len(methods))]
    for regime in [name for name in DATA_SETS if name in set(rows["regime"])]:
        out.append([regime])
        for method in methods:
            there = (regime, method) in cells.index
            out[-1].append(readable(*cells.loc[(regime, method)]) if there else "")
    return "\n".join("| " + " | ".join(row) + " |" for row in out)


def readable(mean: float, sd: float) -> str:
    """Three places without a leading zero; one seed has no standard deviation."""
    text = f"{mean:.3f}" if np.isnan(sd) else f"{mean:.3f} ({sd:.3f})"
    return text.replace("0.", ".")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = {"metavar": "NAME", "nargs": "+"}
    parser.add_argument("--regimes", choices=DATA_SETS, default=list(DATA_SETS), **names)
    parser.add_argument(
        "--methods",
        choices=[*METHODS, *GROUPS],
        default=list(METHODS),
        help="single ones, or groups of them: grnrep, peers, oracles",
        **names,
    )
    parser.add_argument("--seeds", type=int, default=N_SEEDS, help="number of seeds")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "regimes.json"
    )
    parser.add_argument("--again", action="store_true", help="run also what is saved already")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    warnings.simplefilter("ignore")  # of other packages
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    settings = {
        "regimes": SIZES,
        "6,000 cells, noise sd 2": NOISY,
        "90 % zeros": ZEROS,
        "decoupler": version("decoupler"),
    }
    runs = Runs(args.output, study="regimes", settings=settings)
    methods = [single for name in args.methods for single in GROUPS.get(name, [name])]
    wanted = [
        {"regime": regime, "method": method, "seed": seed}
        for regime, seed, method in product(args.regimes, range(args.seeds), methods)
    ]
    todo = [key for key in wanted if args.again or runs.find(key) is None]
    print(f"{len(wanted) - len(todo)} of {len(wanted)} runs are there already", flush=True)
    warm_up({key["method"] for key in todo})
    for key in todo:
        row = measure(DATA_SETS[key["regime"]], key["method"], key["seed"])
        runs.add(key, row)
        print(
            f"{key['regime']}, {key['method']}, seed {key['seed']}: {row['pcc']:.3f} "
            f"(absolute {row['abs_pcc']:.3f}), {row['seconds']:.1f} s",
            flush=True,
        )
    print(tables(runs))


if __name__ == "__main__":
    main()
