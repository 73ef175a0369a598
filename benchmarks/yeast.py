"""Yeast inductions: grnrep beside ulm, mlm and viper. Needs decoupler and the files named by `load_yeast`.

python benchmarks/yeast.py [--data-dir FOLDER] [--out benchmarks/results/yeast.json]
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from grnrep.validation import yeast_induction

METHODS = ("ulm", "mlm", "viper", "grnrep")
DIGITS = {"direction": 2, "median_percentile": 0, "auroc": 3, "auprc": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with yeast/; by default GRNREP_DATA_DIR")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "yeast.json")
    parser.add_argument("--n-boot", type=int, default=1000)
    parser.add_argument("--rng", type=int, default=0)
    args = parser.parse_args()

    settings = {"methods": METHODS, "ties": "magnitude", "n_boot": args.n_boot, "rng": args.rng}
    table = yeast_induction(args.data_dir, **settings)
    print(readable(table).to_string())
    print("Brackets: 95 % bootstrap intervals over the samples.")

    record = {
        "study": "yeast_induction",
        "settings": settings,
        "versions": {name: version(name) for name in ("grnrep", "decoupler", "numpy", "torch")},
        "machine": platform.machine(),
        "rows": table.reset_index().to_dict(orient="records"),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"saved {args.out}")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method, figures as "estimate [low, high]"."""

    def cell(row: pd.Series) -> str:
        digits = DIGITS[row.name[1]]
        return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(row["estimate"], row["low"], row["high"], d=digits)

    wide = table.apply(cell, axis=1).unstack(sort=False)[list(DIGITS)]
    first = table.groupby("method", sort=False)[["n_samples", "seconds"]].first()
    return wide.join(first.round({"seconds": 2}))


if __name__ == "__main__":
    main()
