"""Which way regulators of blood cells point, without prior signs: by skewness, and by most of the weight.

Networks: CollecTRI without its signs. Data: the 700 cells of `scanpy.datasets.pbmc68k_reduced()` (targets of regulators
with at least 5), and 160 cells of pbmc3k (genes seen in a tenth of the cells, regulators with at least 20 targets);
logarithms of counts. A regulator points the right way if the sum of its weights times the signs of CollecTRI is
positive. Fits as by default, whose confidence is not shown as its record has no noise, and by evidence without free
factors.

GRNREP_DATA_DIR=... OMP_NUM_THREADS=1 python benchmarks/blood_signs.py
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc

import grnrep as gr
from grnrep._match import match
from grnrep._record import read_decoder
from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.learn import fit_evidence
from grnrep.core.network import Network
from grnrep.core.signs import orient


def blood(folder: Path) -> dict[str, tuple[ad.AnnData, int]]:
    """Data sets, and targets that a regulator has at least."""
    large = sc.datasets.pbmc68k_reduced().raw.to_adata()
    large.X = large.X.toarray()
    small = ad.read_h5ad(folder / "pbmc" / "pbmc3k_subset160.h5ad")
    small.X = np.asarray(small.to_df())
    return {"68k": (large, 5), "3k": (small[:, (small.X > 0).mean(0) > 0.1].copy(), 20)}


def share_right(
    weight: np.ndarray, network: Network, true: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which regulators point the right way, and of which anything can be said, ``(n_regulators,)`` bool."""
    agreement = np.bincount(network.regulator, weight * true, network.n_regulators)
    return agreement > 0, agreement != 0


def rows_of(name: str, data: ad.AnnData, min_targets: int, net: pd.DataFrame) -> list[dict]:
    known = match(net, data, min_targets=min_targets)
    true, x = known.network.sign, np.asarray(data[:, known.genes].X)
    bare = match(net[["source", "target"]], data, min_targets=min_targets).network
    gr.tl.fit(data, net[["source", "target"]], min_targets=min_targets, progress=False)
    activity = data.obsm["grnrep"].to_numpy(np.float64)
    fits = {"default": replace(read_decoder(data, "grnrep").fit, activity=activity)}
    fits["evidence"] = fit_evidence(x, bare, likelihood="tobit", assumptions=Assumptions())
    rows = []
    for kind, fit in fits.items():
        for skewness in (True, False):
            turned, confidence, source = orient(fit, bare, skewness=skewness)
            right, told = share_right(turned.weight, bare, true)
            told &= source == ("skewness" if skewness else "none")
            rows.append(
                {
                    "data": name,
                    "fit": kind,
                    "by": "skewness" if skewness else "most of the weight",
                    "regulators": int(told.sum()),
                    "confidence": round(float(confidence[told].mean()), 3)
                    if told.any() and kind == "evidence"
                    else None,
                    "right": round(float(right[told].mean()), 3) if told.any() else None,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("GRNREP_DATA_DIR"))
    default = Path(__file__).parent / "results" / "blood_signs.json"
    parser.add_argument("--output", type=Path, default=default)
    args = parser.parse_args()
    if not args.data_dir:
        raise SystemExit("pass --data-dir, or set GRNREP_DATA_DIR to a folder with networks/")
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    net = pd.read_csv(Path(args.data_dir) / "networks" / "collectri_human.csv")
    sets = blood(Path(args.data_dir)).items()
    rows = [row for name, (data, least) in sets for row in rows_of(name, data, least, net)]
    args.output.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    print(pd.DataFrame(rows).to_string())


if __name__ == "__main__":
    main()
