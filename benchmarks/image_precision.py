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

STUDIES = {
    "cifar10": (cifar10_study, {"sizes": (100,), "kinds": ("4x4",)}),
    "mnist": (mnist_study, {"sizes": (2000,)}),
}


def main() -> None:
    for name, (study, setting) in STUDIES.items():
        study(**setting, seeds=range(3), precision="bfloat16", out=_path(name), progress=False)
        print(differences(name).to_string(float_format="{:.5f}".format))


def differences(name: str) -> pd.DataFrame:
    """Test errors both ways of every size and model: means over seeds, spread, and paired differences."""
    low, exact = _rows(_path(name)), _rows(DOCS / f"{name}.json")
    exact = exact[exact["precision"] == "float32"]
    key = [column for column in ("n_train", "per_class", "kind", "model") if column in low]
    both = low.merge(exact, on=[*key, "seed"], suffixes=("_low", "_exact"))
    parts = both.groupby(key, sort=False)
    return pd.DataFrame(
        [_compared(dict(zip(key, names, strict=True)), part) for names, part in parts]
    )


def _compared(names: dict, part: pd.DataFrame) -> dict:
    low, exact = part["test_error_low"], part["test_error_exact"]
    return names | {
        "seeds": len(part),
        "float32": exact.mean(),
        "bfloat16": low.mean(),
        "difference": (low - exact).mean(),
        "sd over seeds": exact.std(),
    }


def _path(name: str) -> Path:
    return Path(__file__).with_name("results") / f"image_precision_{name}.json"


def _rows(path: Path) -> pd.DataFrame:
    content = json.loads(path.read_text())
    return Runs(path, study=content["study"], settings=content["settings"]).table()


if __name__ == "__main__":
    main()
