"""Yeast inductions: grnrep beside ulm, mlm and viper. Needs decoupler and the files named by `load_yeast`.

Then what network and samples allow at most: in how many samples the targets of the induced regulator
respond with the signs of the network at all, against genes drawn at random; and the AUROC of a method that
finds the regulator first in all of these samples and anywhere in the others.

python benchmarks/yeast.py [--data-dir FOLDER] [--out benchmarks/results/yeast.json]
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from grnrep.validation import load_yeast, yeast_induction

METHODS = ("ulm", "mlm", "viper", "grnrep")
DIGITS = {"direction": 2, "median_percentile": 0, "auroc": 3, "auprc": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with yeast/; by default GRNREP_DATA_DIR")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "yeast.json"
    )
    parser.add_argument("--n-boot", type=int, default=1000)
    parser.add_argument("--rng", type=int, default=0)
    args = parser.parse_args()

    settings = {"methods": METHODS, "ties": "magnitude", "n_boot": args.n_boot, "rng": args.rng}
    table = yeast_induction(args.data_dir, **settings)
    print(readable(table).to_string())
    print("Brackets: 95 % bootstrap intervals over the samples.")

    allowed = what_is_allowed(args.data_dir, rng=args.rng)
    print(pd.Series(allowed).to_string())

    record = {
        "study": "yeast_induction",
        "settings": settings,
        "versions": {name: version(name) for name in ("grnrep", "decoupler", "numpy", "torch")},
        "machine": platform.machine(),
        "allowed": allowed,
        "rows": table.reset_index().to_dict(orient="records"),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"saved {args.out}")


def what_is_allowed(data_dir: str | None, *, rng: int, n_draws: int = 10_000) -> dict[str, float]:
    """Count samples in which the regulator's targets respond, one-sided at 5 %, and the AUROC that allows."""
    adata, net = load_yeast(data_dir)
    x, draw, means, chances = adata.to_df(), np.random.default_rng(rng), [], []
    for regulator, edges in net.groupby("source"):
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


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method, figures as "estimate [low, high]"."""

    def cell(row: pd.Series) -> str:
        digits = DIGITS[row.name[1]]
        return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(
            row["estimate"], row["low"], row["high"], d=digits
        )

    wide = table.apply(cell, axis=1).unstack(sort=False)[list(DIGITS)]
    first = table.groupby("method", sort=False)[["n_samples", "seconds"]].first()
    return wide.join(first.round({"seconds": 2}))


if __name__ == "__main__":
    main()
