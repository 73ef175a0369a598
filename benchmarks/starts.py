"""How often the exact solver ends with regulators in each other's place, by where it starts.

400 genes, 50 regulators, connectivity 0.1, noise 0.2, no signs given. A fit counts as trapped
if its worst regulator has |PCC| < 0.9.

    python benchmarks/starts.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

import grnrep as gr
from grnrep.core.als.fit import fit_decoder
from grnrep.core.network import Network

SETTINGS = [
    {"n_obs": 100, "shape": 1.0, "weight_low": -1.0},
    {"n_obs": 50, "shape": 5.0, "weight_low": -1.0},
    {"n_obs": 100, "shape": 5.0, "weight_low": -1.0},
    {"n_obs": 100, "shape": 5.0, "weight_low": 0.0},
]


def starts(
    network: Network, true_weight: np.ndarray, seed: int
) -> dict[str, tuple[Network, np.ndarray | None]]:
    signed = Network(
        network.gene, network.regulator, np.sign(true_weight), network.n_genes, network.n_regulators
    )
    draws = np.random.default_rng(seed).standard_normal(network.n_edges)
    return {
        "random draws": (network, draws),
        "principal components (default)": (network, None),
        "prior signs": (signed, signed.sign),
        "prior signs, principal components (default)": (signed, None),
    }


def run(setting: dict, seed: int) -> list[dict]:
    adata, net = gr.ds.simulate(
        n_vars=400,
        n_regulators=50,
        connectivity=0.1,
        noise_sd=0.2,
        rng=seed,
        progress=False,
        **setting,
    )
    truth = adata.obsm["true_activity"]
    gene, regulator = (
        adata.var_names.get_indexer(net["target"]),
        truth.columns.get_indexer(net["source"]),
    )
    network = Network.from_edges(gene, regulator, np.zeros(len(net)), adata.n_vars, truth.shape[1])
    order = np.lexsort((regulator, gene))
    rows = []
    for name, (given, start) in starts(network, net["weight"].to_numpy()[order], seed).items():
        fit = fit_decoder(adata.X, given, start=start, rng=seed)
        worst = pd.DataFrame(fit.activity, truth.index, truth.columns).corrwith(truth).abs().min()
        rows.append(
            {**setting, "start": name, "seed": seed, "worst": worst, "iterations": len(fit.history)}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "starts.json"
    )
    args = parser.parse_args()
    rows = [row for setting in SETTINGS for seed in range(args.seeds) for row in run(setting, seed)]
    frame = pd.DataFrame(rows).assign(trapped=lambda f: f["worst"] < 0.9)
    groups = frame.groupby(["n_obs", "shape", "weight_low", "start"])
    print(groups.agg(trapped=("trapped", "mean"), iterations=("iterations", "median")).to_string())
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
