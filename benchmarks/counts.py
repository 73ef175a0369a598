"""Recovery of activities from counts: count likelihoods beside squared error on normalised counts.

60 regulators, 1,000 genes, connectivity 0.05, 2,000 cells. Total counts cannot tell a deep cell
from one with more expression, so that what can be recovered at most are true activities over the
total expression of their cell ("ceiling"). Methods with true weights learn nothing but activities.

    OMP_NUM_THREADS=1 python benchmarks/counts.py
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import grnrep as gr
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.choose.likelihood import choose_likelihood
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods import restored
from grnrep.core.likelihoods.counts import cell_size_factors, softness_of
from grnrep.core.network import Network
from grnrep.core.signs import orient

DATA = {
    "Poisson, 3,000 counts": {"counts": "poisson", "library_size": 3000},
    "Poisson, 1,000 counts": {"counts": "poisson", "library_size": 1000},
    "NB 0.1, 3,000 counts": {"counts": "nb", "dispersion": 0.1, "library_size": 3000},
    "NB 0.2, 3,000 counts": {"counts": "nb", "dispersion": 0.2, "library_size": 3000},
    "NB 0.5, 3,000 counts": {"counts": "nb", "dispersion": 0.5, "library_size": 3000},
    "NB 1, 3,000 counts": {"counts": "nb", "dispersion": 1.0, "library_size": 3000},
}
_TINY_RIDGE = 1e-3


def recovery(activity: np.ndarray, truth: np.ndarray) -> float:
    """Mean over regulators of the signed correlation with the truth."""
    a, b = activity - activity.mean(0), truth - truth.mean(0)
    return float(((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0)).clip(min=1e-300)).mean())


def run(setting: dict, seed: int, n_obs: int) -> list[dict]:
    adata, net = gr.ds.simulate(
        n_obs, 1000, n_regulators=60, connectivity=0.05, rng=seed, progress=False, **setting
    )
    truth = adata.obsm["true_activity"]
    edges = adata.var_names.get_indexer(net["target"]), truth.columns.get_indexer(net["source"])
    signed = Network.from_edges(*edges, net["weight"], adata.n_vars, truth.shape[1])
    unsigned = Network.from_edges(*edges, 0 * net["weight"], adata.n_vars, truth.shape[1])
    weight = net["weight"].to_numpy()[np.lexsort(edges[::-1])]
    counts = adata.layers["counts"].toarray().astype(np.float32)
    truth, x = truth.to_numpy(), np.asarray(adata.X)
    s, depth = cell_size_factors(counts)
    rates = (counts / s[:, None]).astype(np.float32)
    log = np.log1p(1e4 * counts / counts.sum(1, keepdims=True)).astype(np.float32)
    known = {
        "weight": weight,
        "bias": None,
        "activity": truth,
        "ridge": np.full(truth.shape[1], _TINY_RIDGE),
    }
    # the true noise has one size for all genes, and so has the softness that goes with true weights
    mean = np.full(adata.n_vars, counts.sum(dtype=np.float64) / s.sum() / adata.n_vars)
    phi = np.full(adata.n_vars, setting.get("dispersion", 0.0))
    parameters = {"mean": mean, "softness": softness_of(torch.as_tensor(mean)).numpy()}
    parameters |= {"dispersion": phi} if phi.any() else {}
    likelihood = restored("nb" if phi.any() else "poisson", parameters)
    oracle = Fit(**known, likelihood=likelihood, depth=depth)
    methods = {
        "ceiling": lambda: truth / x.sum(1, keepdims=True),
        "logarithms, true weights": lambda: project(log, Fit(**known), signed),
        "rates, true weights": lambda: project(rates, Fit(**known), signed),
        "counts, true weights": lambda: project(counts, oracle, signed),
        "logarithms, learned": lambda: (
            orient(fit_decoder(log, unsigned, ridge=1e-3), unsigned)[0].activity
        ),
        "rates, learned": lambda: (
            orient(fit_decoder(rates, unsigned, ridge=1e-3), unsigned)[0].activity
        ),
    }
    for likelihood in ("poisson", "nb"):
        for name, network in {"no signs": unsigned, "true signs": signed}.items():
            methods[f"{likelihood}, {name}"] = lambda likelihood=likelihood, network=network: (
                orient(fit_decoder(counts, network, likelihood=likelihood, ridge=1e-3), network)[
                    0
                ].activity
            )
    rows = []
    for method, activity in methods.items():
        began = time.perf_counter(), time.process_time()
        pcc = recovery(activity(), truth)
        wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
        rows.append({"method": method, "pearson": pcc, "seconds": wall, "cpu_seconds": cpu})
    chosen, _ = choose_likelihood(counts, unsigned)
    return [{**row, "seed": seed, "auto": chosen} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "counts.json"
    )
    args = parser.parse_args()
    rows = []
    for name, setting in DATA.items():
        for seed in range(args.seeds):
            rows += [{"data": name, **row} for row in run(setting, seed, args.cells)]
        part = pd.DataFrame([row for row in rows if row["data"] == name])
        print(f"\n{name}; auto: {sorted(set(part['auto']))}")
        columns = ["pearson", "seconds", "cpu_seconds"]
        print(part.groupby("method", sort=False)[columns].mean().round(4).to_string(), flush=True)
    args.output.parent.mkdir(exist_ok=True)
    rounded = [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows
    ]
    args.output.write_text(json.dumps(rounded, indent=1) + "\n")


if __name__ == "__main__":
    main()
