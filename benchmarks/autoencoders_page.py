"""Write the page about the autoencoder family from its rows: docs/results/autoencoders.md.

    grnrep validate autoencoders --quick --out docs/results
    GRNREP_DATA_DIR=... grnrep validate autoencoders --out docs/results/autoencoders-mnist
    python benchmarks/autoencoders_page.py

The rows are autoencoders.json in both folders; the study draws the figures beside them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from _pages import DOCS, lines, write

from grnrep.nn import FAMILY
from grnrep.validation.runs import Runs


def table_of(part: pd.DataFrame, columns: dict[str, str], head: str) -> str:
    """A row for each member, a column for each size and figure: means ± standard deviations."""
    sizes = sorted(part["n"].unique())
    rows = []
    for member, own in part.groupby("member", sort=False):
        row = [
            f"{member}: {FAMILY[member].about}" if member in FAMILY and len(columns) > 1 else member
        ]
        for column in columns:
            for n in sizes:
                values = own.loc[own["n"] == n, column].dropna()
                spread = f" ± {values.std():.1g}" if len(values) > 1 else ""
                row.append(f"{values.mean():.3g}{spread}" if len(values) else "")
        rows.append(row)
    return lines(rows, [head, *(f"{name}, {n:,}" for name in columns.values() for n in sizes)])


def read(path: Path) -> tuple[dict[str, pd.DataFrame], str, str]:
    """Rows by panel, what they were made on, and the settings."""
    content = json.loads(path.read_text())
    table = Runs(path, study="autoencoders", settings=content["settings"]).table()
    made = content["environments"][0]
    settings = ", ".join(f"{key} {value}" for key, value in content["settings"].items())
    panels = dict(list(table.groupby("panel", sort=False)))
    return panels, f"{made['machine']}, torch {made['torch']}, beside other programs", settings


def main() -> None:
    panels, made, settings = read(DOCS / "autoencoders.json")
    mnist, mnist_made, mnist_settings = read(DOCS / "autoencoders-mnist" / "autoencoders.json")
    errors = {"test_error": "test error", "probe_error": "probe error"}
    page = (Path(__file__).with_name("autoencoders_page.md").read_text()).format(
        made=made,
        settings=settings,
        images=table_of(panels["images"], errors, "member"),
        sparse=table_of(panels["sparse"], {"probe_error": "error"}, "code"),
        mnist=table_of(mnist["images"], errors, "member"),
        mnist_sparse=table_of(mnist["sparse"], {"probe_error": "error"}, "code"),
        mnist_made=mnist_made,
        mnist_settings=mnist_settings,
        mnist_seconds=f"{mnist['images']['seconds'].sum() / 60:.0f}",
        regulators=table_of(panels["regulators"], {"pcc": "PCC", "test_mse": "test MSE"}, "member"),
    )
    write("autoencoders", page)


if __name__ == "__main__":
    main()
