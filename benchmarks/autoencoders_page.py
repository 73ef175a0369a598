"""Write the page about the autoencoder family from its rows: docs/results/autoencoders.md.

    grnrep validate autoencoders --quick --out docs/results
    GRNREP_DATA_DIR=... grnrep validate autoencoders --out docs/results/autoencoders-mnist
    python benchmarks/autoencoders_page.py

The rows are autoencoders.json in both folders, beside which figures are drawn.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from _pages import DOCS, lines, write

from grnrep.nn import FAMILY
from grnrep.validation import autoencoders_figure
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


# test errors of encoder-noise while its inputs left the range of the data; they are in the history of the rows
BEFORE = {
    ("digits", 300): 0.0269,
    ("digits", 1437): 0.0267,
    ("MNIST", 500): 0.0254,
    ("MNIST", 2000): 0.0269,
}


def mended(panels: dict[str, dict[str, pd.DataFrame]]) -> str:
    """Rows of the table of encoders of noisy inputs, before and after these stay in range."""
    rows = []
    for (name, n), before in BEFORE.items():
        error = panels[name]["images"].query("n == @n").groupby("member")["test_error"].mean()
        found = [before, error["encoder-noise"], error["encoder-data"]]
        rows.append(f"| {name}, {n:,} | " + " | ".join(f"{value:.4f}" for value in found) + " |")
    return "\n".join(rows)


def encoders(panels: dict[str, pd.DataFrame], folder: Path) -> dict[tuple[str, int], pd.Series]:
    """Draw the panels of encoders; means of members by panel and size."""
    some = [rows for name, rows in panels.items() if "encoders" in name]
    autoencoders_figure(pd.concat(some)).savefig(folder / "encoders.png", dpi=110)
    rest = [rows for name, rows in panels.items() if "encoders" not in name]
    autoencoders_figure(pd.concat(rest)).savefig(folder / "autoencoders.png", dpi=110)
    means = {}
    for rows in some:
        column = "pcc" if "regulator" in rows["panel"].iloc[0] else "test_error"
        for n, part in rows.groupby("n"):
            means[rows["panel"].iloc[0], int(n)] = part.groupby("member")[column].mean()
    return means


def main() -> None:
    panels, made, settings = read(DOCS / "autoencoders.json")
    mnist, mnist_made, mnist_settings = read(DOCS / "autoencoders-mnist" / "autoencoders.json")
    digits, larger = encoders(panels, DOCS), encoders(mnist, DOCS / "autoencoders-mnist")
    some, more = larger["image-encoders", 500], larger["image-encoders", 2000]
    cells, many = larger["regulator-encoders", 50], larger["regulator-encoders", 100]

    def pair(means: pd.Series) -> str:
        best = means[
            [name for name in means.index if name.startswith("noise ") and name != "noise 0"]
        ]
        return f"{best.min():.4f}, descent {means['decoder']:.4f}"

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
        mended=mended({"digits": panels, "MNIST": mnist}),
        digits_100=pair(digits["image-encoders", 100]),
        digits_1437=pair(digits["image-encoders", 1437]),
        mnist_500=f"{some['noise 0.5']:.4f} at half a standard deviation, {some['noise 0']:.4f} without",
        mnist_2000=f"{more['noise 0.5']:.4f} and {more['noise 0']:.4f}",
        cells_0=f"{cells['noise 0']:.2f}",
        cells_1=f"{cells['noise 1']:.2f}",
        cells_d=f"{cells['decoder']:.2f}",
        cells_100_0=f"{many['noise 0']:.2f}",
        cells_100_1=f"{many['noise 1']:.2f}",
        cells_100_d=f"{many['decoder']:.2f}",
        regulators=table_of(panels["regulators"], {"pcc": "PCC", "test_mse": "test MSE"}, "member"),
    )
    write("autoencoders", page)


if __name__ == "__main__":
    main()
