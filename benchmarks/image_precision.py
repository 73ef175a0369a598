"""What products in bfloat16 do to the errors of the studies on images: the same rows, both ways, seed by seed.

    GRNREP_DATA_DIR=... OMP_NUM_THREADS=1 python benchmarks/image_precision.py           # half an hour on one core

Rows in bfloat16 are benchmarks/results/image_precision_NAME.json, those in single precision the study's own, in
docs/results/NAME.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from _pages import DOCS

from grnrep.validation import cifar10_study, mnist_study
from grnrep.validation.runs import Runs


def main() -> None:
    for name, study, setting in (
        ("cifar10", cifar10_study, {"sizes": (100,), "kinds": ("4x4",)}),
        ("mnist", mnist_study, {"sizes": (2000,)}),
    ):
        out = Path(__file__).with_name("results") / f"image_precision_{name}.json"
        options = {"seeds": range(3), "precision": "bfloat16", "progress": False}
        low = study(**setting, **options, out=out)
        path = DOCS / f"{name}.json"
        exact = Runs(path, study=name, settings=json.loads(path.read_text())["settings"]).table()
        exact = exact[exact["precision"] == "float32"]
        key = [column for column in ("n_train", "per_class", "kind", "model") if column in low]
        both = low.merge(exact, on=[*key, "seed"], suffixes=("_low", "_exact"))
        rows = both.groupby(key, sort=False).apply(compared, include_groups=False)
        print(rows.to_string(float_format="{:.5f}".format))


def compared(part: pd.DataFrame) -> pd.Series:
    """Mean test errors both ways, the spread over seeds in single precision, and the paired difference."""
    low, exact = part["test_error_low"], part["test_error_exact"]
    difference = low - exact
    return pd.Series(
        {
            "seeds": len(part),
            "float32": exact.mean(),
            "sd": exact.std(),
            "bfloat16": low.mean(),
            "difference": difference.mean(),
            "sd of differences": difference.std(),
            "seconds, ratio": part["train_seconds_low"].sum() / part["train_seconds_exact"].sum(),
        }
    )


if __name__ == "__main__":
    main()
