"""Where the activities of lineage regulators peak in blood cells, by ulm and by grnrep.

Scores of grnrep are of every regulator given all others, or, marginal, by itself.

Data: `scanpy.datasets.pbmc68k_reduced()`, part of scanpy, log-normalised expression of 700 cells
and 765 genes. Network: CollecTRI, a csv with source,target,weight.

python benchmarks/pbmc.py [--network networks/collectri_human.csv] [--out benchmarks/results/pbmc.json]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import scanpy as sc
from anndata import AnnData
from sklearn.metrics import roc_auc_score

import grnrep as gr

LABELS = "bulk_labels"
_COLUMNS = 3  # of the figure, which holds six methods
MIN_TARGETS = 5
B, MONO, DC, NK, CD34 = "CD19+ B", "CD14+ Monocyte", "Dendritic", "CD56+ NK", "CD34+"
CD8, CD8_NAIVE, CD4_NAIVE = (
    "CD8+ Cytotoxic T",
    "CD8+/CD45RA+ Naive Cytotoxic",
    "CD4+/CD45RA+/CD25- Naive T",
)
CD4_MEMORY, TREG = "CD4+/CD45RO+ Memory", "CD4+/CD25 T Reg"
T = [CD8, CD8_NAIVE, CD4_NAIVE, CD4_MEMORY, TREG]

# Lineages that need the regulator or are set apart by it, and who showed that. Chosen before any
# activity was computed. Regulators at work in most of these lineages (STATs, MYC, NF-kB, ...) say
# nothing here and are left out.
EXPECTED = {
    "PAX5": ([B], "Nutt 1999"),
    "EBF1": ([B], "Lin & Grosschedl 1995"),
    "POU2F2": ([B], "Corcoran 1993"),
    "SPI1": ([MONO, DC], "Scott 1994; DeKoter & Singh 2000"),
    "CEBPA": ([MONO, DC], "Zhang 1997"),
    "CEBPB": ([MONO, DC], "Mildner 2017"),
    "CEBPD": ([MONO, DC], "Balamurugan & Sterneck 2013"),
    "KLF4": ([MONO, DC], "Feinberg 2007"),
    "IRF8": ([B, DC], "Tamura 2000; Sichien 2016"),
    "CIITA": ([B, MONO, DC], "Reith & Mach 2001"),
    "RFX5": ([B, MONO, DC], "Reith & Mach 2001"),
    "TBX21": ([NK, CD8], "Gordon 2012; Intlekofer 2005"),
    "EOMES": ([NK, CD8], "Gordon 2012; Pearce 2003"),
    "RUNX3": ([NK, CD8], "Taniuchi 2002; Levanon 2014"),
    "LEF1": ([CD8_NAIVE, CD4_NAIVE], "Steinke 2014"),
    "TCF7": ([CD8_NAIVE, CD4_NAIVE], "Steinke 2014"),
    "GATA3": (T, "Ting 1996"),
    "ETS1": (T, "Muthusamy 1995"),
    "FOXP3": ([TREG], "Hori 2003"),
    "GATA1": ([CD34], "Pevny 1991"),
    "GATA2": ([CD34], "Tsai 1994"),
    "TAL1": ([CD34], "Shivdasani 1995"),
    "MYB": ([CD34], "Mucenski 1991"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", type=Path, help="by default networks/ in GRNREP_DATA_DIR")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pbmc.json")
    parser.add_argument("--rng", type=int, default=0)
    args = parser.parse_args()

    adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    adata.X = adata.X.toarray()
    net = usable(pd.read_csv(args.network or default_network()), adata)
    absent = [name for name in EXPECTED if name not in set(net["source"])]
    print(
        f"{adata.n_obs} cells, {adata.n_vars} genes, {net['source'].nunique()} regulators, {len(net)} edges"
    )
    print(f"fewer than {MIN_TARGETS} targets among the genes, so not judged: {', '.join(absent)}")

    runs = {
        "ulm": run_ulm,
        "ulm, genes scaled": run_ulm_scaled,
        "grnrep": run_grnrep,
        "grnrep, genes scaled": run_grnrep_scaled,
        "grnrep, marginal": run_marginal,
        "grnrep, marginal, genes scaled": run_marginal_scaled,
    }
    gr.validation.peer_activity(adata[:2], net, min_targets=MIN_TARGETS)  # compiles, so not timed
    tables, profiles, seconds = {}, {}, {}
    for name, run in runs.items():
        start = time.perf_counter()
        activity = run(adata, net, args.rng)
        seconds[name] = round(time.perf_counter() - start, 2)
        profiles[name] = by_label(activity, adata.obs[LABELS])
        tables[name] = judge(activity, profiles[name], adata.obs[LABELS])
    table = (
        pd.concat(tables, axis=1)
        .swaplevel(axis=1)
        .sort_index(axis=1, level=0, sort_remaining=False)
    )
    print(table[["peak", "as_expected", "auroc"]].to_string(float_format="{:.2f}".format))
    summary = pd.DataFrame({name: summarise(t) for name, t in tables.items()}).T.assign(
        seconds=seconds
    )
    print(summary.to_string())

    args.out.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "study": "pbmc",
        "settings": {"rng": args.rng, "min_targets": MIN_TARGETS, "labels": LABELS},
        "versions": {name: version(name) for name in ("grnrep", "decoupler", "scanpy", "torch")},
        "expected": {
            name: {"labels": labels, "source": source}
            for name, (labels, source) in EXPECTED.items()
        },
        "summary": summary.to_dict(orient="index"),
        "regulators": {name: t.to_dict(orient="index") for name, t in tables.items()},
    }
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    draw(profiles, list(tables["ulm"].index), args.out.with_suffix(".png"))
    print(f"saved {args.out} and {args.out.with_suffix('.png')}")


def default_network() -> Path:
    folder = os.environ.get("GRNREP_DATA_DIR")
    if not folder:
        raise SystemExit(
            "pass --network, or set GRNREP_DATA_DIR to a folder with networks/collectri_human.csv"
        )
    return Path(folder) / "networks" / "collectri_human.csv"


def usable(net: pd.DataFrame, adata: AnnData) -> pd.DataFrame:
    """Edges to the genes at hand, of regulators with enough of them."""
    net = net[net["target"].isin(adata.var_names)]
    return net[net.groupby("source")["target"].transform("size") >= MIN_TARGETS]


def run_ulm(adata: AnnData, net: pd.DataFrame, rng: int) -> pd.DataFrame:
    return gr.validation.peer_activity(adata, net, method="ulm", min_targets=MIN_TARGETS)


def run_ulm_scaled(adata: AnnData, net: pd.DataFrame, rng: int) -> pd.DataFrame:
    """Run ulm on genes of mean 0 and variance 1, so that no gene leads because it is high everywhere."""
    return run_ulm(sc.pp.scale(adata, copy=True), net, rng)


def run_grnrep(adata: AnnData, net: pd.DataFrame, rng: int) -> pd.DataFrame:
    return gr.tl.fit(adata, net, rng=rng, min_targets=1, progress=False, copy=True).obsm["grnrep"]


def run_grnrep_scaled(adata: AnnData, net: pd.DataFrame, rng: int) -> pd.DataFrame:
    return run_grnrep(sc.pp.scale(adata, copy=True), net, rng)


def run_marginal(adata: AnnData, net: pd.DataFrame, rng: int) -> pd.DataFrame:
    fitted = gr.tl.fit(adata, net, rng=rng, min_targets=1, progress=False, copy=True)
    return gr.get.activity(fitted, marginal=True).to_df()


def run_marginal_scaled(adata: AnnData, net: pd.DataFrame, rng: int) -> pd.DataFrame:
    return run_marginal(sc.pp.scale(adata, copy=True), net, rng)


def by_label(activity: pd.DataFrame, labels: pd.Series) -> pd.DataFrame:
    """Mean activity per label, z-scored over labels."""
    means = activity.groupby(labels, observed=True).mean()
    return (means - means.mean()) / means.std(ddof=0)


def judge(activity: pd.DataFrame, profile: pd.DataFrame, labels: pd.Series) -> pd.DataFrame:
    """Per regulator: label with the highest mean, whether expected, and AUROC of the expected cells."""
    rows = {}
    for name, (expected, _) in EXPECTED.items():
        if name in activity:
            peak = profile[name].idxmax()
            rows[name] = {
                "peak": peak,
                "as_expected": peak in expected,
                "auroc": roc_auc_score(labels.isin(expected), activity[name]),
                "by_chance": len(expected) / len(profile),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def summarise(table: pd.DataFrame) -> dict[str, float]:
    return {
        "judged": len(table),
        "peaks_as_expected": int(table["as_expected"].sum()),
        "by_chance": round(table["by_chance"].sum(), 1),
        "mean_auroc": round(table["auroc"].mean(), 3),
    }


def draw(profiles: dict[str, pd.DataFrame], regulators: list[str], path: Path) -> None:
    """Heat map per method; a dot marks where the literature expects the activity."""
    order = [B, DC, MONO, NK, CD8, CD8_NAIVE, CD4_NAIVE, CD4_MEMORY, TREG, CD34]
    rows = -(-len(profiles) // _COLUMNS)
    size = (4 * _COLUMNS, 4.5 * rows + 1.5)
    figure, axes = plt.subplots(
        rows, _COLUMNS, figsize=size, sharex=True, sharey=True, layout="constrained"
    )
    for axis, (name, profile) in zip(axes.flat, profiles.items(), strict=True):
        values = profile.loc[order, regulators].T
        image = axis.imshow(values, cmap="RdBu_r", vmin=-2.5, vmax=2.5, aspect="auto")
        dots = [(order.index(x), y) for y, name in enumerate(regulators) for x in EXPECTED[name][0]]
        axis.scatter(*zip(*dots, strict=True), s=10, color="black")
        axis.set_xticks(range(len(order)), order, rotation=45, ha="right")
        axis.set_yticks(range(len(regulators)), regulators)
        axis.set_title(name)
    figure.colorbar(image, ax=axes, label="mean activity, z-score over labels", shrink=0.5)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
