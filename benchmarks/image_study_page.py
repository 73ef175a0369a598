"""Write the page about a study on images from its rows: docs/results/NAME.md, with its figures.

    grnrep validate mnist --out docs/results
    python benchmarks/image_study_page.py mnist

NAME is mnist or cifar10; the rows are docs/results/NAME.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from _pages import DOCS, lines, write
from image_precision import differences

from grnrep import pl, validation
from grnrep.validation.runs import Runs

SIZE = {"mnist": "n_train", "cifar10": "per_class"}
MODELS = {
    "decoder": "decoder alone",
    "autoencoder": "autoencoder",
    "encoder_on_decoder": "encoder on the decoder",
}


def cell(part: pd.DataFrame, column: str) -> str:
    values = part[column]
    if values.empty:
        return ""
    spread = f" ± {values.std():.4f}" if len(values) > 1 else ""
    return f"{values.mean():.4f}{spread} ({len(values)})"


def results(table: pd.DataFrame, by: list[str]) -> str:
    """Means and standard deviations over seeds, their number in brackets."""
    models = [model for model in MODELS if model in set(table["model"])]
    head = [*by, "load, decoder", "load, encoder"]
    head += [f"{what} error, {MODELS[model]}" for what in ("test", "training") for model in models]
    rows = []
    for key, part in table.groupby(by):
        row = [f"{value:,}" if isinstance(value, int) else str(value) for value in key]
        row += [f"{part[f'load_{one}'].mean():.2f}" for one in ("decoder", "encoder")]
        for column in ("test_error", "train_error"):
            row += [cell(part[part["model"] == model], column) for model in models]
        rows.append(row)
    return lines(rows, head)


def precision(name: str, table: pd.DataFrame) -> str:
    """Say how many rows were trained in bfloat16, and what that does to errors, where both were run."""
    low = table["precision"] == "bfloat16"
    head = ["test error", "seeds", "single precision", "bfloat16", "difference", "sd over seeds"]
    rows = []
    for row in differences(name).to_dict("records"):
        size = f"{row[SIZE[name]]:,} images" + (f" a class, {row['kind']}" if "kind" in row else "")
        figures = [
            f"{row[column]:.5f}"
            for column in ("float32", "bfloat16", "difference", "sd over seeds")
        ]
        rows.append([f"{size}: {MODELS[row['model']]}", str(row["seeds"]), *figures])
    said = f"So were {low.sum()} of {len(table)} rows. The same rows, both ways:"
    return f"{said}\n\n{lines(rows, head)}"


def grids(name: str) -> list[str]:
    """Draw the reconstructions that lie beside the rows, all models of a size together; return their names."""
    sets: dict[str, dict[str, np.ndarray]] = {}
    for path in sorted(
        DOCS.glob(f"{name}-*.npz"), key=lambda path: list(MODELS).index(path.stem.split("-")[-1])
    ):
        stem, model = path.stem.rsplit("-", 1)
        with np.load(path) as saved:
            several = len(saved.files) > 2
            for key in saved.files:
                epoch = f", epoch {key.removeprefix('epoch')}" if several else ""
                row = key if key == "originals" else MODELS[model] + epoch
                sets.setdefault(stem, {})[row] = saved[key]
    # of two models or more; the shorter name is the smaller size
    several_models = (stem for stem, rows in sets.items() if len(rows) > 2)
    sets = {stem: sets[stem] for stem in sorted(several_models, key=lambda stem: (len(stem), stem))}
    for stem, rows in sets.items():
        n = len(rows["originals"])
        ax = pl.image_grid(np.concatenate(list(rows.values())), n_columns=n, row_labels=list(rows))
        ax.figure.savefig(DOCS / f"{stem}.png", dpi=90, bbox_inches="tight")
    return list(sets)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=list(SIZE))
    name = parser.parse_args().name
    path = DOCS / f"{name}.json"
    content = json.loads(path.read_text())
    settings = content["settings"]
    table = Runs(path, study=name, settings=settings).table()
    getattr(validation, f"{name}_figure")(table).savefig(DOCS / f"{name}.png", dpi=110)
    claims = getattr(validation, f"{name}_claims")(table)
    made = content["environments"][0]
    seconds = table["train_seconds"].sum() + table["test_seconds"].sum()
    where = f"{made['gpu'] or made['machine']}, torch {made['torch']}"
    by = [SIZE[name], "kind"] if "kind" in table else [SIZE[name]]
    page = Path(__file__).with_name(f"{name}_page.md").read_text().format(
        made=f"{where}; {seconds / 3600:.1f} hours of training and inference, beside other programs, "
        "of trainings that went on after a stop only what came after it",
        settings=", ".join(f"{key} {value}" for key, value in settings.items()),
        table=results(table, by),
        precision=precision(name, table),
        claims=lines(claims.values.tolist(), ["paper", "holds if", "found", "verdict"]),
        grids="\n\n".join(f"{stem}:\n\n![{stem}]({stem}.png)" for stem in grids(name))
        or "Rows so far are of runs that kept none.",
    )  # fmt: skip
    write(name, page)


if __name__ == "__main__":
    main()
