"""Corrupted networks: 0 to 60 % of the edges missing and as many false, grnrep beside other methods.

1,000 genes, 100 regulators, connectivity 0.1, w ~ U(-1, 1), noise sd 0.2, 1,000 cells. Signed correlation
with the true activities, mean over regulators and seeds. "none": the network has no signs; "all": it has
all of them, those of false edges drawn at random. The oracle has the true network and weights;
"repair" is grnrep with ``repair=True``, "tfa" the pseudo-inverse, "vae" the masked autoencoder. A regulator
that is constant counts as 0. Of repair also precision and recall of the edges that are not dropped,
precision of those kept and added, the largest ``fdr`` stated, and the share of the edges that changed.

    python benchmarks/networks.py [--seeds 3] [--methods grnrep repair ulm mlm viper tfa nca vae]
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
import warnings
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import grnrep as gr
from grnrep.core.als.project import project
from grnrep.core.fitted import Fit
from grnrep.core.network import Network

FRACTIONS = (0.0, 0.2, 0.4, 0.6)
METHODS = ("oracle", "grnrep", "repair", "ulm", "mlm", "viper", "tfa", "nca", "vae")
SIZE = {"n_obs": 1000, "n_vars": 1000, "n_regulators": 100, "connectivity": 0.1, "noise_sd": 0.2}


def activity(
    method: str, adata: AnnData, net: pd.DataFrame, true: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Activities, and the table of edges where the method has repaired them."""
    if method in ("ulm", "mlm", "viper"):
        # unknown signs count as activating, which is all that these methods can do
        signed = net.assign(weight=np.sign(net["weight"]).fillna(1.0).replace(0.0, 1.0))
        return gr.validation.peer_activity(adata, signed, method=method), None
    if method == "tfa":
        return gr.validation.tfa_activity(adata, net), None
    if method == "nca":
        return gr.validation.nca_activity(adata, net, max_iter=100), None
    if method == "vae":
        return gr.validation.masked_vae_activity(adata, net, rng=seed, progress=False), None
    if method == "oracle":
        return oracle(adata, true), None
    fitted = gr.tl.fit(
        adata, net, repair=method == "repair", rng=seed, min_targets=1, progress=False, copy=True
    )
    return fitted.obsm["grnrep"], fitted.uns["grnrep"]["repair"] if method == "repair" else None


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
    weight[adata.var_names.get_indexer(true["target"]), regulators.get_indexer(true["source"])] = (
        true["weight"]
    )
    fit = Fit(
        weight=weight[network.gene, network.regulator],
        bias=None,
        activity=np.zeros((0, len(regulators))),
        ridge=np.full(len(regulators), 1e-3),
    )
    values = project(np.asarray(adata.X), fit, network)
    return pd.DataFrame(values, index=adata.obs_names, columns=regulators)


def edges_found(table: pd.DataFrame, true: pd.DataFrame) -> dict[str, float]:
    """Precision and recall of the edges that are not dropped, and what share of the edges was changed."""
    right = pd.MultiIndex.from_frame(table[["source", "target"]]).isin(
        pd.MultiIndex.from_frame(true[["source", "target"]])
    )
    inside, added = table["status"] != "dropped", table["status"] == "added"
    groups = {"precision": inside, "precision_kept": inside & ~added, "precision_added": added}
    return {
        **{
            name: float(right[group].mean()) if group.any() else None
            for name, group in groups.items()
        },
        "recall": float(right[inside].sum() / len(true)),
        "largest_fdr": float(table["fdr"].max()),
        "changed": float((inside != table["prior"]).sum() / table["prior"].sum()),
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
        found_pcc = {"pcc": float(pearson.mean()), "abs_pcc": float(pearson.abs().mean())}
        rows.append({**row, **found_pcc, "seconds": seconds})
        if edges is not None:
            rows[-1] |= edges_found(edges, true)
        print(
            {key: round(v, 4) if isinstance(v, float) else v for key, v in rows[-1].items()},
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--signs", nargs="+", default=["none", "all"], choices=["none", "all"])
    parser.add_argument("--fractions", nargs="+", type=float, default=list(FRACTIONS))
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "networks.json"
    )
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of other packages
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    record = {
        "settings": SIZE | {"seeds": args.seeds, "signs": args.signs, "fractions": args.fractions},
        "versions": {name: version(name) for name in ("grnrep", "decoupler", "numpy", "torch")},
        "machine": platform.machine(),
        "rows": [],
    }
    args.output.parent.mkdir(exist_ok=True)
    for seed, signs, fraction in product(range(args.seeds), args.signs, args.fractions):
        record["rows"] += run(fraction, signs, seed, args.methods)
        args.output.write_text(json.dumps(record, indent=1) + "\n")
    frame = pd.DataFrame(record["rows"])
    for name in ("pcc", "seconds"):
        table = frame.groupby(["signs", "method", "corrupted"], sort=False)[name].mean().unstack()
        print(name, table.round(4).to_string(), sep="\n")
    if "repair" in args.methods:
        found = frame[frame["method"] == "repair"].groupby(["signs", "corrupted"], sort=False)
        print(
            found[["precision", "precision_kept", "precision_added", "recall", "changed"]]
            .mean()
            .round(4)
        )


if __name__ == "__main__":
    main()
