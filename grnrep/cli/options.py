"""Arguments and options that several commands have, and what their values mean to the verbs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

logger = logging.getLogger("grnrep")

Adata = Annotated[
    Path, typer.Argument(metavar="ADATA", help="Expression, cells × genes: .h5ad or .zarr.")
]
Fitted = Annotated[Path, typer.Argument(metavar="ADATA", help="Data with a fit: .h5ad or .zarr.")]
Net = Annotated[
    Path,
    typer.Argument(
        metavar="NETWORK",
        help="Table source, target, weight: .csv, .tsv (also .gz) or .parquet; - is standard input.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Data to write: .h5ad or .zarr.")]
MaybeOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Data to write, a copy with the result: .h5ad or .zarr."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings and errors only.")]
Signed = Annotated[
    str, typer.Option(help="Whether weights are signs: auto (not if all are 1), yes or no.")
]
MaskVar = Annotated[
    str | None, typer.Option(help="Boolean column of var: genes to use; all by default.")
]
Layer = Annotated[str | None, typer.Option(help="Layer with the expression, instead of X.")]
UseRaw = Annotated[
    bool, typer.Option("--use-raw", help="Read the genes and values of raw, instead of X.")
]
MinTargets = Annotated[
    int, typer.Option(help="Leave out regulators with fewer targets among the genes.")
]
Key = Annotated[str, typer.Option(help="Name of the fit in obsm and uns.")]
Marginal = Annotated[
    bool,
    typer.Option(
        "--marginal", help="Activities of every regulator by itself, not given all others."
    ),
]
Rng = Annotated[int, typer.Option(help="Seed.")]
Csv = Annotated[
    Path | None,
    typer.Option("--csv", help="Also write the table: .csv, .tsv (also .gz) or .parquet."),
]
Device = Annotated[
    str | None, typer.Option(help="Where to compute, such as cuda; the solver's choice by default.")
]
ActivityStore = Annotated[
    Path | None,
    typer.Option(
        help="Store to write activities to, block by block, where memory cannot hold them: .zarr."
    ),
]
BlockSize = Annotated[
    int | None, typer.Option(help="Cells to read at a time; as many as take 32 MiB by default.")
]


def yes_or_no(option: str, value: str) -> bool | str:
    """What a verb calls auto, yes or no."""
    known: dict[str, bool | str] = {"auto": "auto", "yes": True, "no": False}
    if value not in known:
        raise ValueError(f"{option} must be one of {', '.join(known)}; found {value!r}")
    return known[value]


def auto_or_number(option: str, value: str) -> float | str:
    """What a verb takes as "auto" or a number."""
    try:
        return value if value == "auto" else float(value)
    except ValueError:
        raise ValueError(f"{option} must be auto or a number; found {value!r}") from None


def auto_or_count(option: str, value: str) -> int | str:
    """What a verb takes as "auto" or a whole number."""
    try:
        return value if value == "auto" else int(value)
    except ValueError:
        raise ValueError(f"{option} must be auto or a whole number; found {value!r}") from None


def auto_all_or_count(option: str, value: str) -> int | str | None:
    """What a verb takes as "auto", None for all, or a whole number."""
    if value == "all":
        return None
    try:
        return auto_or_count(option, value)
    except ValueError:
        raise ValueError(f"{option} must be auto, all or a whole number; found {value!r}") from None


def check_outputs(*outputs: Path | None) -> None:
    """Refuse to work for nothing."""
    if all(output is None for output in outputs):
        raise ValueError(
            "nothing would be written: give --output, a copy of the data with the result, or for less than "
            f"that {'--model or ' if len(outputs) == 3 else ''}--activity-store"
        )


def check_options(
    solver: str, *, max_iter: int | None, epochs: int | None, exact_only: dict[str, bool]
) -> None:
    """Check the solver, and that no option was given that it does not have.

    ``exact_only`` says of options that only the exact solver has whether they were given.
    """
    from grnrep.tl._config import check_solver

    check_solver(solver, max_iter=max_iter, epochs=epochs)
    given = [name for name, was_given in exact_only.items() if was_given]
    if solver != "exact" and given:
        raise ValueError(f"{given[0]} is an option of --solver exact only; found {solver!r}")


def as_before(
    context: typer.Context, likelihood: str, link: str | None, min_targets: int
) -> tuple[str, int]:
    """Likelihood and least number of targets, which are those of 0.1.0 where ``--link`` is given."""
    if link is None:
        return likelihood, min_targets
    from grnrep.tl._old_names import translate

    options: dict[str, str | int] = {"likelihood": likelihood, "link": link}
    source = context.get_parameter_source("min_targets")
    if source is not None and source.name != "DEFAULT":
        options["min_targets"] = min_targets
    call = translate(options)
    logger.warning("--link: %s. Old names go with the next release", "; ".join(call.changes))
    return str(call.options["likelihood"]), int(call.options["min_targets"])
