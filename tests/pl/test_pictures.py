"""Pictures as they were looked at. Where one is to change: look at the new one, and put it into ``baseline``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.testing.compare import calculate_rms

import grnrep as gr

BASELINE = Path(__file__).parent / "baseline"
TOLERANCE = 12  # of 255 grey levels, root mean square: letters differ between versions of FreeType


def _adata(sign: float = 1.0) -> AnnData:
    """A fit and a comparison made up by hand; ``sign`` turns all differences and weights round."""
    names, draw = [f"TF{i}" for i in range(40)], np.random.default_rng(0)
    difference, scores = draw.normal(size=40), draw.gamma(2.0, 1.5, size=40)
    p = 10.0**-scores
    table = pd.DataFrame(
        {
            "std_err": np.abs(difference),
            "group": "ill", "regulator": names, "difference": sign * difference * scores,
            "scores": sign * difference * scores, "pvals": p, "pvals_adj": np.minimum(4 * p, 1),
            "reference": "rest", "dof": 8.0, "sd": 2.0, "unit": "sample", "marginal": False, "key": "grnrep",
        }
    )  # fmt: skip
    net = pd.DataFrame({"source": "P", "target": list("abcdefgh")})
    net["weight"] = [1.0, -1, 1, np.nan, 1, -1, np.nan, 1]
    net["learned"] = sign * np.array([1.2, -0.8, -0.4, 0.9, 0.3, 0.2, -1.1, 0.6])
    net["std_err"] = np.linspace(0.05, 0.4, 8)
    record = {"network": net, "regulators": pd.DataFrame(index=["P"]), "params": {}}
    return AnnData(np.ones((2, 2)), uns={"grnrep": record, "rank_regulators": table})


PICTURES = {
    "targets": lambda adata: gr.pl.targets(adata, "P"),
    "rank_regulators": lambda adata: gr.pl.rank_regulators(adata, "ill", n=8),
}


def _pixels(ax, path: Path) -> np.ndarray:
    ax.figure.savefig(path, dpi=50)
    return 255 * mpl.image.imread(path)[..., :3]


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_as_it_was(name, tmp_path):
    found = _pixels(PICTURES[name](_adata()), tmp_path / f"{name}.png")
    expected = 255 * mpl.image.imread(BASELINE / f"{name}.png")[..., :3]
    assert calculate_rms(expected, found) < TOLERANCE
    # and would not be if signs were turned round
    other = _pixels(PICTURES[name](_adata(-1.0)), tmp_path / "other.png")
    assert calculate_rms(expected, other) > 1.5 * TOLERANCE
