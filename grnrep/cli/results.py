"""Commands that compare, export and show what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import grnrep as gr
from grnrep.cli import data, files
from grnrep.cli.app import RESULTS, command
from grnrep.cli.options import Csv, Fitted, Key, Marginal, MaybeOutput, Overwrite, Quiet
from grnrep.cli.shell import hush, out, show_frame

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_QUANTILES = {"min": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "max": 1.0}
_TESTED = ("pvals", "pvals_adj")
_SHOWN = ("difference", "std_err", "scores", *_TESTED)  # of a ranking, as wide as a screen
Groupby = Annotated[str, typer.Option(help="Column of obs with the groups.")]


@command("rank-regulators", rich_help_panel=RESULTS)
def rank_regulators(
    adata: Fitted,
    groupby: Groupby,
    sample: Annotated[
        str | None,
        typer.Option(
            help="Column of obs with the replicate: donor, animal, culture; without it cells are compared, "
            "which are no replicates."
        ),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Group to compare the others with; rest is all other cells.")
    ] = "rest",
    marginal: Marginal = False,
    key: Key = "grnrep",
    key_added: Annotated[
        str, typer.Option(help="Name of the table in uns of --output.")
    ] = "rank_regulators",
    top: Annotated[int, typer.Option(min=1, help="Regulators of every group to print.")] = 10,
    csv: Csv = None,
    output: MaybeOutput = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Rank regulators by how clearly their activity differs between groups."""
    if csv is not None:
        files.check_output(csv, files.TABLE, overwrite=overwrite)
    data.check_data_output(output, overwrite=overwrite)
    hush(quiet)
    with data.opened(adata) as cells:
        gr.tl.rank_regulators(
            cells.adata,
            groupby,
            sample=sample,
            reference=reference,
            key=key,
            marginal=marginal,
            key_added=key_added,
        )
        table = cells.adata.uns[key_added]
        for group, rows in table.groupby("group", observed=True, sort=False):
            shown = rows.head(top).set_index("regulator")[[*_SHOWN]]
            shown[[*_TESTED]] = shown[[*_TESTED]].map("{:.2g}".format)
            unit = rows["unit"].iloc[0]
            show_frame(f"{group}: {len(shown)} of {len(rows)} regulators (by {unit})", shown)
        if csv is not None:
            files.write_table(table, csv)
        if output is not None:
            data.write_results(cells, output)


@command(rich_help_panel=RESULTS)
def export(
    adata: Fitted,
    folder: Annotated[
        Path, typer.Option("--output-dir", "-o", help="Folder to write to; it is made.")
    ],
    format: Annotated[str, typer.Option(help="csv, csv.gz or parquet.")] = "csv",
    marginal: Annotated[
        bool,
        typer.Option("--marginal", help="Also the activities of every regulator by itself."),
    ] = False,
    key: Key = "grnrep",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write activities, edges, regulators and genes as tables."""
    hush(quiet)
    with data.opened(adata) as cells:
        paths = gr.io.export(
            cells.adata, folder, key=key, format=format, marginal=marginal, overwrite=overwrite
        )
    for path in [] if quiet else paths:
        out.print(str(path), soft_wrap=True)


@command(rich_help_panel=RESULTS)
def report(
    adata: Fitted,
    output: Annotated[Path, typer.Option("--output", "-o", help="Page to write: .html.")],
    groupby: Annotated[
        str | None, typer.Option(help="Column of obs with groups of cells to compare.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(help="Column of obs with the replicate, by which groups are tested."),
    ] = None,
    key: Key = "grnrep",
    marginal: Marginal = False,
    title: Annotated[str | None, typer.Option(help="Title; the name of ADATA by default.")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Show a fit on one page, which needs no other file: summary, network, regulators, plots."""
    files.check_output(output, files.PAGE, overwrite=overwrite)
    if sample is not None and groupby is None:
        raise ValueError("--sample tests groups, of which there are none: give --groupby too")
    hush(quiet)
    from grnrep.cli import report as pages

    with data.opened(adata) as cells:
        content = pages.contents_of(
            cells.adata,
            key=key,
            groupby=groupby,
            sample=sample,
            marginal=marginal,
            title=adata.name if title is None else title,
        )
    files.write_text(pages.page(content), output)


@command(rich_help_panel=RESULTS)
def evaluate(
    adata: Fitted,
    truth: Annotated[
        str, typer.Option(help="Name of the true activities in obsm.")
    ] = "true_activity",
    key: Key = "grnrep",
    csv: Csv = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare activities with the true ones, and expression with its reconstruction."""
    if csv is not None:
        files.check_output(csv, files.TABLE, overwrite=overwrite)
    with data.opened(adata) as cells:
        table = gr.metrics.recovery(cells.adata, key=key, truth=truth)
        show_frame(
            f"Recovery of {len(table)} regulators in {cells.adata.n_obs} cells",
            _summary(cells.adata, table, key=key),
        )
    if csv is not None:
        files.write_table(table.rename_axis("regulator"), csv, index=True)


def _summary(adata: AnnData, recovery: pd.DataFrame, *, key: str) -> pd.DataFrame:
    """Summarise recovery over regulators, and reconstruction where there is a fit.

    R² is pooled over the targets of a regulator, or of one gene.

    A regulator or gene without a value, NaN, counts in no figure but ``n``, the number with one.
    """
    import pandas as pd

    rows = {"PCC, signed": recovery["pearson"], "PCC, absolute": recovery["abs_pearson"]}
    if key in adata.uns:
        rows["R², regulators"] = recovery["r2"]
        rows["R², genes"] = gr.metrics.reconstruction(adata, key=key)["r2"]
    columns = {
        "n": {row: values.count() for row, values in rows.items()},
        "mean": {row: values.mean() for row, values in rows.items()},
    }
    for name, q in _QUANTILES.items():
        columns[name] = {row: values.quantile(q) for row, values in rows.items()}
    return pd.DataFrame(columns)
