"""Experiments that ``grnrep validate`` knows by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def _yeast(data_dir: Path | None, rng: int) -> pd.DataFrame:
    """Find the induced regulator in 179 inductions of single regulators in yeast."""
    from grnrep.validation import yeast_induction

    return yeast_induction(data_dir, rng=rng).rename_axis(["method", "metric"])


# from a folder with data and a seed to a table with named rows
STUDIES: dict[str, Callable[[Path | None, int], pd.DataFrame]] = {"yeast": _yeast}
