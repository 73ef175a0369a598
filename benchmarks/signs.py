"""Is sign_confidence calibrated? The share of signs that are right, by confidence, in simulations.

240 genes, 30 regulators, automatic choices throughout. The sign of a regulator is right if its
activity correlates positively with the true one, however weakly. The last settings break the
assumption that activities are positive or skewed to the right; they are reported apart.
The constants in grnrep/core/signs.py were fitted on other draws of other settings.

    python benchmarks/signs.py --jobs 2
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData

import grnrep as gr

DATA = {
    "12 cells": {"n_obs": 12},
    "12 cells, noise 1": {"n_obs": 12, "noise_sd": 1.0},
    "30 cells, noise 0.5": {"n_obs": 30, "noise_sd": 0.5},
    "100 cells": {"n_obs": 100},
    "100 cells, shape 5, noise 1": {"n_obs": 100, "shape": 5.0, "noise_sd": 1.0},
    "300 cells, noise 2": {"n_obs": 300, "noise_sd": 2.0},
    "300 cells, few targets": {"n_obs": 300, "connectivity": 0.03, "noise_sd": 0.5},
    "1000 cells, shape 5, no noise": {"n_obs": 1000, "shape": 5.0, "noise_sd": 0.0},
    "100 cells, w > 0": {"n_obs": 100, "weight_low": 0.0, "noise_sd": 0.5},
    "20 cells, half zeros": {"n_obs": 20, "zero_fraction": 0.5},
    "100 cells, half zeros, w < 0": {"n_obs": 100, "zero_fraction": 0.5, "weight_high": 0.0},
    "100 cells, half zeros, shape 5": {"n_obs": 100, "zero_fraction": 0.5, "shape": 5.0},
    "300 cells, 70 % zeros": {"n_obs": 300, "zero_fraction": 0.7, "shape": 2.0},
    "300 cells, 70 % zeros, noise 1": {"n_obs": 300, "zero_fraction": 0.7, "noise_sd": 1.0},
    "300 cells, 70 % zeros, w > 0, noise 0.5": {
        "n_obs": 300,
        "zero_fraction": 0.7,
        "weight_low": 0.0,
        "noise_sd": 0.5,
    },
    "1000 cells, 90 % zeros, noise 0.5": {"n_obs": 1000, "zero_fraction": 0.9, "noise_sd": 0.5},
}
BROKEN = {
    "nearly symmetric, half zeros": {"n_obs": 300, "zero_fraction": 0.5, "shape": 50.0},
    "both signs": {"n_obs": 300, "activity": "normal"},
    "both signs, half zeros": {"n_obs": 300, "activity": "normal", "zero_fraction": 0.5},
    "positive, skewed to the left": {"n_obs": 300, "activity": "mirrored"},
    "skewed to the left, half zeros": {"n_obs": 300, "activity": "mirrored", "zero_fraction": 0.5},
}
# Options of corrupt_network; "one" keeps one sign per regulator.
PRIORS = {
    "no signs": {"hide_signs": 1.0},
    "one sign each": "one",
    "30 % signed, a fifth wrong": {"hide_signs": 0.7, "flip_signs": 0.06},
    "all signed, a fifth wrong": {"flip_signs": 0.2},
}
BINS = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0]
SOURCES = ["prior", "positive", "skewness"]
HIGH = 0.9


def simulate(setting: dict, seed: int) -> tuple[AnnData, pd.DataFrame]:
    """Draw from Eq. 6, or with activities that Eq. 6 does not have."""
    setting = {"n_vars": 240, "n_regulators": 30, "min_targets": 3, **setting}
    activity = setting.pop("activity", None)
    adata, net = gr.ds.simulate(**setting, rng=seed, progress=False)
    if activity is None:
        return adata, net
    rng = np.random.default_rng(seed)
    z = adata.obsm["true_activity"]
    z[:] = rng.standard_normal(z.shape, dtype=np.float32) if activity == "normal" else z.max() - z
    edges = net.pivot(index="source", columns="target", values="weight").fillna(0.0)
    weight = edges.reindex(index=z.columns, columns=adata.var_names, fill_value=0.0)
    p = z.to_numpy() @ weight.to_numpy() + rng.normal(scale=0.2, size=adata.shape)
    threshold = (
        np.quantile(p, setting["zero_fraction"], axis=0) if "zero_fraction" in setting else 0.0
    )
    adata.X = np.maximum(p - threshold, 0).astype(np.float32)
    return adata, net


def known(net: pd.DataFrame, prior: dict | str, seed: int) -> pd.DataFrame:
    """Leave the signs that a prior network would have."""
    if prior != "one":
        return gr.ds.corrupt_network(net, **prior, rng=seed)
    keep = net.groupby("source")["weight"].sample(1, random_state=seed).index
    return net.assign(weight=net["weight"].where(net.index.isin(keep)))


def run(task: tuple[str, str, int]) -> list[dict]:
    name, prior, seed = task
    adata, net = simulate({**DATA, **BROKEN}[name], seed)
    gr.tl.fit(adata, known(net, PRIORS[prior], seed), rng=seed, min_targets=1, progress=False)
    fit = adata.uns["grnrep"]
    table = fit["regulators"].join(gr.metrics.recovery(adata)["pearson"]).dropna(subset="pearson")
    return [
        {
            "data": name,
            "signs": prior,
            "seed": seed,
            "intercept": bool(fit["params"]["intercept"]),
            "regulator": regulator,
            "confidence": round(float(row.sign_confidence), 4),
            "source": row.sign_source,
            "pearson": round(float(row.pearson), 4),
        }
        for regulator, row in table.iterrows()
    ]


def interval(right: pd.Series, seed: pd.Series) -> tuple[float, float]:
    """95 % of the share, by drawing whole fits again: the signs of one fit are not independent."""
    groups = right.groupby(seed).agg(["sum", "size"]).to_numpy()
    if not len(groups):
        return np.nan, np.nan
    draw = np.random.default_rng(0).integers(len(groups), size=(2000, len(groups)))
    sums = groups[draw].sum(1)
    return tuple(np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975]))


def summarise(part: pd.DataFrame) -> pd.Series:
    """Summarise one group of regulators."""
    high = part[part["confidence"] >= HIGH]
    low, up = interval(high["right"], high["fit"])
    binned = part.groupby(pd.cut(part["confidence"], BINS, include_lowest=True), observed=True)
    gap = binned.apply(lambda b: abs(b["confidence"].mean() - b["right"].mean()) * len(b))
    return pd.Series(
        {
            "n": len(part),
            "right": part["right"].mean(),
            "n_high": len(high),
            "right_high": high["right"].mean(),
            "low": low,
            "up": up,
            "ece": gap.sum() / len(part),
        }
    )


def reliability(frame: pd.DataFrame) -> pd.DataFrame:
    """Confidence and share right in bins of confidence, by source."""
    groups = frame[frame["source"].isin(SOURCES)].groupby(
        ["source", pd.cut(frame["confidence"], BINS, include_lowest=True)], observed=True
    )
    bounds = groups.apply(
        lambda b: pd.Series(interval(b["right"], b["fit"]), ["low", "up"]), include_groups=False
    )
    means = groups.agg(
        n=("right", "size"), confidence=("confidence", "mean"), right=("right", "mean")
    )
    return means.join(bounds)


def records(table: pd.DataFrame) -> Iterator[dict]:
    """Rows with their index, as JSON has them."""
    for key, row in table.iterrows():
        names = key if isinstance(key, tuple) else (key,)
        yield {"group": [str(name) for name in names], **json.loads(row.round(4).to_json())}


def draw(table: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True, layout="constrained")
    for axis, source in zip(axes, SOURCES, strict=True):
        axis.plot([0.5, 1], [0.5, 1], color="grey", linewidth=1)
        axis.axhline(HIGH, color="grey", linestyle=":", linewidth=1)
        axis.axvline(HIGH, color="grey", linestyle=":", linewidth=1)
        axis.set(title=source, xlabel="sign confidence", xlim=(0.49, 1.01), ylim=(0.2, 1.03))
        if source in table.index.get_level_values(0):
            part = table.loc[source]
            error = np.maximum(0, [part["right"] - part["low"], part["up"] - part["right"]])
            axis.errorbar(
                part["confidence"], part["right"], error, fmt="o-", markersize=4, capsize=2
            )
            for x, n in zip(part["confidence"], part["n"], strict=True):
                axis.annotate(
                    f"{n:.0f}", (x, 0.21), ha="center", fontsize=7, color="0.3", rotation=90
                )
    axes[0].set_ylabel("share of signs right")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "signs.json"
    )
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    seeds = range(100_000, 100_000 + args.seeds)
    with ProcessPoolExecutor(args.jobs) as pool:
        fits = list(pool.map(run, product({**DATA, **BROKEN}, PRIORS, seeds)))
    frame = pd.DataFrame([row for rows in fits for row in rows])
    frame["right"] = frame["pearson"] > 0
    frame["fit"] = frame.groupby(["data", "signs", "seed"], sort=False).ngroup()
    main_part, broken = (frame[frame["data"].isin(list(part))] for part in (DATA, BROKEN))
    tables = {
        "all": main_part.groupby(lambda _: "all").apply(summarise, include_groups=False),
        "by source": main_part.groupby("source").apply(summarise, include_groups=False),
        "by signs": main_part.groupby("signs", sort=False).apply(summarise, include_groups=False),
        "by intercept": main_part.groupby("intercept").apply(summarise, include_groups=False),
        "by setting": main_part.groupby(["data", "signs"], sort=False).apply(
            summarise, include_groups=False
        ),
        "broken assumption": broken.groupby(["data", "signs"], sort=False).apply(
            summarise, include_groups=False
        ),
        "reliability": reliability(main_part),
    }
    for name, table in tables.items():
        print(f"\n{name}\n{table.round(3).to_string()}")
    args.output.parent.mkdir(exist_ok=True)
    saved = {name: [*records(table)] for name, table in tables.items()}
    args.output.write_text(json.dumps(saved, indent=1) + "\n")
    draw(tables["reliability"], args.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
