"""SERGIO DS4 to DS6: grnrep beside other methods. Needs decoupler and the files named by `load_sergio`.

Set before anything was run, and the same for every method: expression is log(1 + x), clean, or
after SERGIO's drop-outs (at the 45th and the 82nd percentile, those that its authors found in data of
10x Chromium) and Poisson counts; no library size is drawn, so none is divided out. The rows of all
regulators are hidden. The other two scales are run beside, to show what the choice of scale means.

A figure is the median over the ten regulators of the correlation between activity and own level,
each the mean of three simulations; brackets are 95 % bootstrap intervals over regulators.

    python benchmarks/sergio.py [--data-dir FOLDER]
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from grnrep.validation import load_sergio, sergio_recovery
from grnrep.validation.regulation.methods import METHODS
from grnrep.validation.regulation.sergio import SETS

DROPOUT = {"clean": None, "45": 45.0, "82": 82.0}
SCALES = ("log1p", "standard", "raw")
N_BOOT = 5000


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Median over regulators with its interval, and how often it is above that of the best other method."""
    wide = table.pivot_table(
        index="regulator", columns="method", values="pearson", sort=False
    )  # mean of replicates
    draw = np.random.default_rng(0).integers(len(wide), size=(N_BOOT, len(wide)))
    boot = pd.DataFrame(np.median(wide.to_numpy()[draw], axis=1), columns=wide.columns)
    median = wide.median()
    rows = {}
    for method in wide:
        others = median.drop(method)
        other = others.idxmax() if len(others) else None
        low, high = boot[method].quantile([0.025, 0.975])
        rows[method] = {
            "median": median[method],
            "low": low,
            "high": high,
            "mean": wide[method].mean(),
            "best_other": other,
            "above_best_other": np.nan if other is None else (boot[method] > boot[other]).mean(),
        }
    out = pd.DataFrame(rows).T.rename_axis("method")
    return out.join(table.groupby("method")["seconds"].mean())


def nested(net: pd.DataFrame) -> list[str]:
    """Regulators all of whose targets, among the genes that are shown, are targets of one other regulator."""
    net = net[~net["target"].isin(net["source"])]
    targets = net.groupby("source")["target"].agg(set)
    return [
        s for s in targets.index if any(targets[s] <= targets[o] for o in targets.index if o != s)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder with sergio/; by default GRNREP_DATA_DIR")
    parser.add_argument("--replicates", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--scales", nargs="+", default=list(SCALES))
    parser.add_argument("--rng", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "sergio.json"
    )
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of other packages
    logging.getLogger("grnrep").setLevel(logging.ERROR)

    _, net = load_sergio("DS4", data_dir=args.data_dir)
    print(f"regulators whose targets all are targets of one other: {', '.join(nested(net))}")
    summaries, details = {}, []
    for scale in args.scales:
        for label, dropout in DROPOUT.items():
            table = sergio_recovery(
                args.data_dir,
                methods=args.methods,
                replicates=args.replicates,
                dropout=dropout,
                scale=scale,
                rng=args.rng,
            )
            details.append(table.assign(scale=scale, dropout=label))
            for name in SETS:
                summaries[scale, label, name] = summarise(table[table["set"] == name])
    summary = pd.concat(summaries, names=["scale", "dropout", "set"]).reset_index()
    summary["shown"] = [f"{r.median:.3f} [{r.low:.2f}, {r.high:.2f}]" for r in summary.itertuples()]
    for scale in args.scales:
        print(f"\n{scale}")
        part = summary[summary["scale"] == scale]
        print(
            part.pivot_table(
                "shown", "method", ["dropout", "set"], aggfunc="first", sort=False
            ).to_string()
        )
    detail = pd.concat(details)
    print(f"\n{args.scales[0]}, per regulator, mean of replicates")
    first = detail[detail["scale"] == args.scales[0]]
    print(
        first.pivot_table("pearson", ["dropout", "set", "method"], "regulator", sort=False)
        .round(2)
        .to_string()
    )
    per_regulator = first.groupby(["scale", "dropout", "set", "method", "regulator"], sort=False)[
        "pearson"
    ]
    record = {
        "study": "sergio_recovery",
        "settings": {
            "replicates": args.replicates,
            "dropout": DROPOUT,
            "rng": args.rng,
            "n_boot": N_BOOT,
        },
        "versions": {name: version(name) for name in ("grnrep", "decoupler", "numpy", "torch")},
        "machine": platform.machine(),
        "nested": nested(net),
        "rows": json.loads(
            summary.drop(columns="shown").to_json(orient="records", double_precision=4)
        ),
        "regulators": json.loads(
            per_regulator.mean().reset_index().to_json(orient="records", double_precision=3)
        ),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nsaved {args.out}")


if __name__ == "__main__":
    main()
