"""Repair where noise is not that of Eq. 6: what is added and dropped that should not be, and what is found.

20 % of the edges of a network are missing, and as many false ones are in it. Weights are ±U(.2, 1), noise has sd 1,
activities are gamma with mean and variance 1; of "Eq. 6" weights are U(-1, 1), noise has sd .2, and what is
negative is 0. By data set:

- plain: the same noise everywhere
- one factor, ten factors: programmes that move every gene, loadings normal with sd 1 and .5
- noise grows: sd e^(u / 2), u the mean of a value in standard deviations of its gene; under Eq. 6 .2 + .3 of the mean
- t noise: 2.5 degrees of freedom, the same sd
- noise per gene: log-normal(1) with mean 1
- correlated: half of the variance of all activities is shared
- hidden regulators: an eighth of the regulators has no edge in the network; they reach few genes each
- ReLU, factors: ten factors, noise per gene, every gene cut at its median

Reported, as means over seeds: share of false edges among those added, and of the missing ones that were found; share
of true edges dropped, and of false ones; mean correlation of activities with the truth of `gr.tl.fit` without and
with `repair=True`; seconds of `gr.tl.repair`.

    OMP_NUM_THREADS=1 python benchmarks/repair.py [--size 500 400 40] [--seeds 3] [--no-fits]
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import grnrep as gr


@dataclass(frozen=True)
class Setting:
    """How a data set differs from the plain one; see above."""

    factors: int = 0
    loading_sd: float = 0.0
    grows: bool = False
    heavy_tails: bool = False
    spread: float = 0.0
    correlated: bool = False
    hidden: float = 0.0
    relu: bool = False
    eq6: bool = False


SETTINGS = {
    "plain": Setting(),
    "one factor": Setting(factors=1, loading_sd=1.0),
    "ten factors": Setting(factors=10, loading_sd=0.5),
    "noise grows": Setting(grows=True),
    "t noise": Setting(heavy_tails=True),
    "noise per gene": Setting(spread=1.0),
    "correlated": Setting(correlated=True),
    "hidden regulators": Setting(hidden=0.125),
    "ReLU, factors": Setting(factors=10, loading_sd=0.5, spread=1.0, relu=True),
    "Eq. 6": Setting(eq6=True),
    "Eq. 6, one factor": Setting(eq6=True, factors=1, loading_sd=0.5),
    "Eq. 6, noise grows": Setting(eq6=True, grows=True),
    "Eq. 6, t noise": Setting(eq6=True, heavy_tails=True),
}
WRONG = 0.2
FREEDOM = 2.5


def draw(
    setting: Setting, seed: int, size: tuple[int, int, int], connectivity: float
) -> tuple[AnnData, pd.DataFrame]:
    """Expression and true edges."""
    n_obs, n_vars, m = size
    rng = np.random.default_rng(seed)
    true = rng.random((n_vars, m)) < connectivity
    low = 0.0 if setting.eq6 else 0.2
    w = true * rng.uniform(low, 1, true.shape) * rng.choice([-1.0, 1.0], true.shape)
    z = rng.gamma(1.0, size=(n_obs, m))
    if setting.correlated:
        shared = rng.gamma(1.0, size=(n_obs, 1))
        z = 1 + np.sqrt(0.5) * (z - 1) + np.sqrt(0.5) * (shared - 1)
    p = z @ w.T
    if setting.factors:
        loadings = setting.loading_sd * rng.normal(size=(n_vars, setting.factors))
        p += rng.normal(size=(n_obs, setting.factors)) @ loadings.T
    sd = 0.2 if setting.eq6 else 1.0
    noise = rng.standard_t(FREEDOM, p.shape) if setting.heavy_tails else rng.normal(size=p.shape)
    if setting.heavy_tails:
        noise /= np.sqrt(FREEDOM / (FREEDOM - 2))
    sd = sd * np.exp(setting.spread * rng.normal(size=n_vars) - setting.spread**2 / 2)
    if setting.grows and setting.eq6:
        sd = sd + 0.3 * np.maximum(p, 0)
    elif setting.grows:
        sd = sd * np.exp((p - p.mean(0)) / (2 * np.maximum(p.std(0), 1e-9)))
    x = p + sd * noise
    x = x - np.median(x, axis=0) if setting.relu else x
    x = np.maximum(x, 0) if setting.relu or setting.eq6 else x
    cells, genes = [f"cell{k}" for k in range(n_obs)], [f"gene{i:04d}" for i in range(n_vars)]
    regulators = [f"TF{j:03d}" for j in range(m)]
    adata = AnnData(
        x.astype(np.float32), pd.DataFrame(index=cells), pd.DataFrame(index=genes),
        obsm={"true_activity": pd.DataFrame(z, cells, regulators)},
    )  # fmt: skip
    target, source = np.nonzero(true)
    edges = {
        "source": np.array(regulators)[source],
        "target": np.array(genes)[target],
        "weight": w[target, source],
    }
    known = regulators[: m - round(setting.hidden * m)]
    adata.obsm["true_activity"] = adata.obsm["true_activity"][known]
    edges = pd.DataFrame(edges)
    return adata, edges[edges["source"].isin(known)].reset_index(drop=True)


def pairs(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[["source", "target"]].astype(str))


def share(which: np.ndarray, of: np.ndarray) -> float:
    return float((which & of).sum() / of.sum()) if of.any() else np.nan


def measure(
    name: str, seed: int, size: tuple[int, int, int], connectivity: float, wrong: float, *,
    signs: bool, fits: bool,
) -> dict[str, object]:  # fmt: skip
    """What repair did to one network."""
    adata, true = draw(SETTINGS[name], seed, size, connectivity)
    net = gr.ds.corrupt_network(
        true, missing=wrong, false=wrong, targets=adata.var_names, rng=1000 + seed
    )
    net["weight"] = np.sign(net["weight"]) if signs else np.nan
    start = time.perf_counter()
    gr.tl.repair(adata, net, min_targets=1, progress=False, rng=seed)
    seconds = time.perf_counter() - start
    table = adata.uns["repair"]
    right, prior = pairs(table).isin(pairs(true)), table["prior"].to_numpy()
    added, dropped = (table["status"].to_numpy() == s for s in ("added", "dropped"))
    n_missing = len(true) - (right & prior).sum()
    row = {
        "setting": name,
        "added": int(added.sum()),
        "false of added": share(~right, added),
        "found of missing": float((added & right).sum() / n_missing) if n_missing else np.nan,
        "dropped of true": share(dropped, right & prior),
        "dropped of false": share(dropped, ~right & prior),
        "false of kept": share(~right, prior & ~dropped),
    }
    for repaired in (False, True) if fits else ():
        gr.tl.fit(adata, net, repair=repaired, min_targets=1, progress=False, rng=seed)
        r = adata.obsm["grnrep"].corrwith(adata.obsm["true_activity"]).fillna(0)
        r = r.reindex(adata.obsm["true_activity"].columns, fill_value=0.0)
        row["after" if repaired else "before"] = float((r if signs else r.abs()).mean())
    return row | {"seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--size", nargs=3, type=int, default=[500, 400, 40])
    parser.add_argument("--connectivity", type=float, default=0.08)
    parser.add_argument(
        "--wrong", type=float, default=WRONG, help="share of edges, missing and false"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-signs", action="store_true")
    parser.add_argument("--no-fits", action="store_true", help="repair alone")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of other packages
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    rows = []
    for name, seed in product(args.settings, range(args.seeds)):
        rows.append(
            measure(
                name, seed, tuple(args.size), args.connectivity, args.wrong,
                signs=not args.no_signs, fits=not args.no_fits,
            )
        )  # fmt: skip
        line = [f"{k} {v:.3f}" if isinstance(v, float) else str(v) for k, v in rows[-1].items()]
        print(seed, *line, sep=", ", flush=True)
    table = pd.DataFrame(rows).groupby("setting", sort=False)
    print(table.mean().round(4).to_string())
    print(
        "worst", table[["false of added", "dropped of true"]].max().round(4).to_string(), sep="\n"
    )


if __name__ == "__main__":
    main()
