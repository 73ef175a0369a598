"""Write the page about the load study from its rows: docs/results/load-study.md, with its figures.

    grnrep validate load-study --out RESULTS
    python benchmarks/load_study_page.py RESULTS/load-study.json [--signed SIGNED.json]

SIGNED.json holds rows of ``load_study(weight_low=-1)``. Those of ``benchmarks/load_steps.py`` are taken from
``benchmarks/results/load_steps.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from _pages import DOCS, lines, write

from grnrep.validation import load_claims, load_figure
from grnrep.validation.regulation.load_models import MODELS
from grnrep.validation.runs import Runs

NAMES = {
    "decoder": "decoder",
    "encoder": "encoder on it",
    "autoencoder": "autoencoder",
    "exact": "exact solver",
}

INVERSIONS = Path(__file__).parent / "results" / "inversions.json"
STEPS = Path(__file__).parent / "results" / "load_steps.json"
TEMPLATE = Path(__file__).with_suffix(".md")


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows, and the content of the file."""
    content = json.loads(path.read_text())
    return Runs(path, study="load-study", settings=content["settings"]).table(), content


def cell(values: pd.Series, form: str) -> str:
    """Mean and standard deviation."""
    if values.empty:
        return ""
    return (
        f"{values.mean():{form}} ± {values.std():.1g}"
        if len(values) > 1
        else f"{values.mean():{form}}"
    )


def results(table: pd.DataFrame) -> str:
    models = [model for model in MODELS if model in set(table["model"])]
    head = ["cells", "load, all n · m", "load, edges"]
    head += [f"{what}, {NAMES[model]}" for what in ("MSE", "PCC") for model in models]
    rows = []
    for n, part in table.groupby("n"):
        by = {model: part[part["model"] == model] for model in models}
        row = [f"{n:,}", f"{part['load_unmasked'].mean():.2f}", f"{part['load'].mean():.2f}"]
        row += [cell(by[model]["test_mse"], ".2g") for model in models]
        rows.append(row + [cell(by[model]["pcc"], ".4f") for model in models])
    return lines(rows, head)


def claims(table: pd.DataFrame) -> str:
    said = {
        "decoder": "decoder well determined above a load of 1",
        "encoder": "encoder on the decoder needs at least 3.3",
        "autoencoder": "autoencoder needs about 9 for a similar error",
    }
    rows = []
    for row in load_claims(table).itertuples():
        found = (
            "at none tested"
            if pd.isna(row.n_from)
            else f"{row.load_from:.2f} ({int(row.n_from):,} cells)"
        )
        rows.append([said[row.model], row.counted, row.needs, found, row.verdict])
    return lines(rows, ["paper", "weights counted", "criterion", "holds here from", "verdict"])


def steps(path: Path) -> str:
    """What `load_steps.py` has found."""
    content = json.loads(path.read_text())
    table = Runs(path, study="load-steps", settings=content["settings"]).table()
    rows = [
        [
            f"{n:,}",
            f"{count:,}",
            *(cell(part[name], ".3g") for name in ("train_mse", "test_mse", "pcc")),
        ]
        for (n, count), part in table.groupby(["n", "steps"])
    ]
    return lines(rows, ["cells", "steps", "training MSE", "test MSE", "PCC"])


def inversions(path: Path) -> tuple[str, int, float]:
    """What `inversions.py` has found; the number of data sets, and the error left but for dead genes."""
    content = json.loads(path.read_text())
    table = Runs(path, study="inversions", settings=content["settings"]).table()
    rows = [
        [
            str(model),
            f"{part['inverted'].mean():.0f}",
            cell(part["abs_pcc"], ".5f"),
            cell(part["test_mse"], ".2g"),
            f"{part['dead_genes'].mean():.0f}",
            cell(part["mse_without_dead"], ".2g"),
        ]
        for model, part in table.groupby("model", sort=False)
    ]
    head = [
        "autoencoder",
        "inverted of 100",
        "absolute PCC",
        "test MSE",
        "dead of 1,000 genes",
        "MSE of the others",
    ]
    last = table[table["model"].str.startswith("turned over, ")]
    return lines(rows, head), table["replicate"].nunique(), last["mse_without_dead"].mean()


def rates(path: Path) -> tuple[str, int]:
    """What `grnrep validate load-grid` has found; the paper's rates in bold."""
    content = json.loads(path.read_text())
    settings = content["settings"]
    table, rows = Runs(path, study="load-grid", settings=settings).table(), []
    for (model, lr, other), part in table.groupby(
        ["model", "lr", "lr_representation"], dropna=False, sort=False
    ):
        paper = lr == settings[f"lr_{model}"] and (
            pd.isna(other) or other == settings["lr_representation"]
        )
        row = [NAMES[model], f"{lr:g}", "" if pd.isna(other) else f"{other:g}"]
        row += [cell(part["test_mse"].dropna(), ".2g"), cell(part["pcc"].dropna(), ".4f")]
        rows.append([f"**{text}**" if paper and text else text for text in row])
    head = ["model", "rate", "rate of representations", "MSE", "PCC"]
    return lines(rows, head), table["replicate"].nunique()


def replicates(table: pd.DataFrame) -> str:
    """Data sets of every size, and the sizes that have fewer."""
    counts = table.groupby("n")["replicate"].nunique()
    fewer = [f"{count} at {n:,} cells" for n, count in counts.items() if count < counts.max()]
    return f"{counts.max()} data sets" + (f" ({', '.join(fewer)})" if fewer else "")


def signs(table: pd.DataFrame) -> str:
    sizes = [n for n in (10, 50, 100, 500, 1000, 10_000) if n in set(table["n"])]
    mean = table.groupby(["model", "n"])[["pcc_as_trained", "pcc", "abs_pcc"]].mean()
    rows = [
        [NAMES[model], *(" / ".join(f"{v:.3f}" for v in mean.loc[(model, n)]) for n in sizes)]
        for model in MODELS
        if model in mean.index
    ]
    return lines(rows, ["as trained / settled / absolute", *(f"{n:,} cells" for n in sizes)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("rows", type=Path)
    parser.add_argument("--signed", type=Path)
    args = parser.parse_args()
    DOCS.mkdir(exist_ok=True)
    table, content = read(args.rows)
    load_figure(table).savefig(DOCS / "load-study.png", dpi=110)
    template, signed = TEMPLATE.read_text().split("<!-- signed -->"), ""
    if args.signed is not None:
        other, _ = read(args.signed)
        load_figure(other).savefig(DOCS / "load-study-signed.png", dpi=110)
        signed = template[1].format(table=results(other), claims=claims(other))
    made = content["environments"][0]
    turned, n_turned, left = inversions(INVERSIONS)
    grid, n_rates = rates(DOCS / "load-grid.json")
    page = template[0].format(
        machine=f"{made['machine']}, {made['threads']} thread(s), torch {made['torch']}",
        duration=f"{table['seconds'].sum() / 60:.0f} minutes of training, beside other programs",
        settings=", ".join(f"{k} {v}" for k, v in content["settings"].items()),
        replicates=replicates(table),
        table=results(table),
        claims=claims(table),
        mean_mse=table["mean_mse"].mean(),
        signs=signs(table),
        steps=steps(STEPS),
        inversions=turned,
        inversion_sets=n_turned,
        without_dead=f"{left:.2g}",
        rates=grid,
        n_rates=n_rates,
        steps_sets=len({row["key"]["replicate"] for row in json.loads(STEPS.read_text())["rows"]}),
    )
    write("load-study", page + signed)


if __name__ == "__main__":
    main()
