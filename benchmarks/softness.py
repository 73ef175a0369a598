"""How smooth the link of counts is, judged by real counts: what fits reach, by how softness follows means.

160 blood cells (pbmc3k) and CollecTRI without signs. The file has log-normalised values; a cell's smallest
value above zero stands for one count, which gives whole numbers back. τ is 0.2 times the mean of all genes
times (the gene's own by it) to the power in question; a smaller objective means that counts are likelier.

GRNREP_DATA_DIR=... OMP_NUM_THREADS=1 python benchmarks/softness.py
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from grnrep._match import match
from grnrep.core.als.fit import fit_decoder
from grnrep.core.likelihoods import counts as count_model

POWERS = (1.0, 0.75, 0.5)  # below, cells take many more steps
# share of cells that a gene is seen in, and targets of a regulator, at least
SEEN, TARGETS = 0.02, 20


def load(folder: Path) -> tuple[anndata.AnnData, pd.DataFrame, np.ndarray]:
    """Counts, network, and size factors over all genes."""
    adata = anndata.read_h5ad(folder / "pbmc" / "pbmc3k_subset160.h5ad")
    rates = np.expm1(
        np.asarray(adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X, dtype=float)
    )
    counts = rates / np.where(rates > 0, rates, np.inf).min(1, keepdims=True)
    if np.abs(counts - np.round(counts)).max() > 1e-6:
        raise SystemExit("values are no logarithms of normalised counts")
    counts = np.round(counts)
    total = counts.sum(1)
    seen = (counts > 0).mean(0) > SEEN
    adata = anndata.AnnData(counts[:, seen].astype(np.float32), obs=adata.obs, var=adata.var[seen])
    net = pd.read_csv(folder / "networks" / "collectri_human.csv")
    net = net[net["target"].isin(adata.var_names)]
    net = net[net.groupby("source")["target"].transform("size") >= TARGETS]
    return adata, net[["source", "target"]], total / np.median(total)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", default=os.environ.get("GRNREP_DATA_DIR"))
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "softness.json"
    )
    args = parser.parse_args()
    if not args.data_dir:
        raise SystemExit(
            "pass --data-dir, or set GRNREP_DATA_DIR to a folder with pbmc/ and networks/"
        )
    adata, net, size_factors = load(Path(args.data_dir))
    matched = match(net, adata)
    x = np.asarray(adata[:, matched.genes].X)
    rows = []
    for likelihood in ("poisson", "nb"):
        for intercept in (False, True):
            for power in POWERS:
                count_model._OWN = power
                model = {
                    "likelihood": likelihood,
                    "intercept": intercept,
                    "size_factors": size_factors,
                }
                fit = fit_decoder(x, matched.network, ridge=1e-3, **model)
                about = {"likelihood": likelihood, "intercept": intercept, "power": power}
                rows.append(about | {"objective": fit.history[-1], "iterations": len(fit.history)})
    table = pd.DataFrame(rows).pivot_table(
        "objective", ["likelihood", "intercept"], "power", sort=False
    )
    print((table.div(table[0.5], axis=0)).round(4).to_string())
    about = {"n_cells": len(x), "n_genes": x.shape[1], "n_regulators": matched.network.n_regulators}
    args.output.write_text(json.dumps({"settings": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
