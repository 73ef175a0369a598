"""Corrupted networks: 0 to 60 % of the edges missing and as many false, grnrep beside other methods.

1,000 genes, 100 regulators, connectivity 0.1, w ~ U(-1, 1), noise sd 0.2, 1,000 cells. Signed correlation
with the true activities, mean over regulators and seeds. "none": the network has no signs; "all": it has
all of them, those of false edges drawn at random. The oracle has the true network and weights.
"repair" is grnrep with ``repair=True``; where the installed version has no such option, it is left out.

    python benchmarks/networks.py [--seeds 3] [--methods grnrep repair ulm mlm tfa nca]
"""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import grnrep as gr
from grnrep.core.exact import project
from grnrep.core.fitted import Fit
from grnrep.core.network import Network

FRACTIONS = (0.0, 0.2, 0.4, 0.6)
METHODS = ("oracle", "grnrep", "repair", "ulm", "mlm", "tfa", "nca")
SIZE = {"n_obs": 1000, "n_vars": 1000, "n_regulators": 100, "connectivity": 0.1, "noise_sd": 0.2}


def activity(
    method: str, adata: AnnData, net: pd.DataFrame, true: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Activities, and the table of edges where the method has learned one."""
    if method in ("ulm", "mlm"):
        # unknown signs count as activating, which is all that these methods can do
        signed = net.assign(weight=np.sign(net["weight"]).fillna(1.0).replace(0.0, 1.0))
        return gr.validation.peer_activity(adata, signed, method=method), None
    if method == "tfa":
        return gr.validation.tfa_activity(adata, net), None
    if method == "nca":
        return gr.validation.nca_activity(adata, net, max_iter=100), None
    if method == "oracle":
        return oracle(adata, true), None
    fitted = gr.tl.fit(
        adata, net, rng=seed, progress=False, copy=True, **({"repair": True} if method == "repair" else {})
    )
    return fitted.obsm["grnrep"], fitted.uns["grnrep"]["network"]


def oracle(adata: AnnData, true: pd.DataFrame) -> pd.DataFrame:
    """Project the cells on the decoder that made them."""
    regulators = pd.Index(sorted(true["source"].unique()))
    network = Network.from_edges(
        adata.var_names.get_indexer(true["target"]),
        regulators.get_indexer(true["source"]),
        np.zeros(len(true)),
        adata.n_vars,
        len(regulators),
    )
    weight = np.zeros((adata.n_vars, len(regulators)))
    weight[adata.var_names.get_indexer(true["target"]), regulators.get_indexer(true["source"])] = true[
        "weight"
    ]
    fit = Fit(
        weight=weight[network.gene, network.regulator],
        bias=None,
        activity=np.zeros((0, len(regulators))),
        ridge=np.full(len(regulators), 1e-3),
    )
    values = project(np.asarray(adata.X), fit, network, link="relu")
    return pd.DataFrame(values, index=adata.obs_names, columns=regulators)


def edges_found(before: pd.DataFrame, after: pd.DataFrame, true: pd.DataFrame) -> dict[str, float]:
    """Precision and recall of the edges that are not dropped, and what share of the edges was changed."""
    kept = after[after["status"] != "dropped"] if "status" in after else after
    sets = [set(zip(net["source"], net["target"], strict=True)) for net in (before, kept, true)]
    given, found, truth = sets
    return {
        "precision": len(found & truth) / max(1, len(found)),
        "recall": len(found & truth) / len(truth),
        "changed": len(given ^ found) / len(given),
    }


def run(fraction: float, signs: str, seed: int, methods: list[str]) -> list[dict]:
    adata, true = gr.ds.simulate(**SIZE, rng=seed, progress=False)
    net = gr.ds.corrupt_network(
        true, missing=fraction, false=fraction, hide_signs=1.0 if signs == "none" else 0.0, rng=seed
    )
    truth = adata.obsm["true_activity"]
    rows = []
    for method in methods:
        start = time.perf_counter()
        found, edges = activity(method, adata, net, true, seed)
        seconds = time.perf_counter() - start
        pearson = found.corrwith(truth[found.columns]).reindex(truth.columns).fillna(0.0)
        row = {"corrupted": fraction, "signs": signs, "seed": seed, "method": method}
        rows.append({**row, "pcc": pearson.mean(), "abs_pcc": pearson.abs().mean(), "seconds": seconds})
        if method == "repair":
            rows[-1] |= edges_found(net, edges, true)
        print({key: round(v, 4) if isinstance(v, float) else v for key, v in rows[-1].items()}, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--signs", nargs="+", default=["none", "all"], choices=["none", "all"])
    parser.add_argument("--fractions", nargs="+", type=float, default=list(FRACTIONS))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "networks.json")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of other packages
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    methods = list(args.methods)
    if "repair" in methods and "repair" not in inspect.signature(gr.tl.fit).parameters:
        print("this version of grnrep.tl.fit has no repair: left out")
        methods.remove("repair")
    rows = [
        row
        for seed in range(args.seeds)
        for signs in args.signs
        for fraction in args.fractions
        for row in run(fraction, signs, seed, methods)
    ]
    frame = pd.DataFrame(rows)
    table = frame.groupby(["signs", "method", "corrupted"], sort=False)[["pcc", "abs_pcc", "seconds"]].mean()
    print(table["pcc"].unstack().round(4).to_string())
    print(table["seconds"].unstack().round(1).to_string())
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
