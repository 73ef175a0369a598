"""The command line as a whole: what it is called with before a command."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

import grnrep as gr
from grnrep.cli.shell import Command, out

# Help is quick: rooms of the package, and the libraries that they load, are imported when first used.

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
    epilog="Data are h5ad files or zarr stores, of which expression is read block by block; networks are csv, "
    "tsv (also .gz) or parquet tables with columns source, target and, if known, weight, of which the sign is "
    "used, or - for standard input.",
)
# Parameters of a command have the names of those of its verb, so that messages can be put in terms of the shell.
command = partial(app.command, cls=Command)

FIT, RESULTS, STUDIES = "Fit", "Results", "Simulations and studies"  # panels of the help


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"grnrep {gr.__version__}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GRNREP_DEBUG", help="Show where an error comes from.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Learn the activity of transcription factors in every cell, and the weight of every edge."""
