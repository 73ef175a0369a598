"""How the commands speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from grnrep.cli.words import ARGUMENTS, Terms

if TYPE_CHECKING:
    import pandas as pd

# names in data may look like markup, numbers in messages need no colours
out, err = (
    Console(stderr=stderr, highlight=False, markup=False, emoji=False) for stderr in (False, True)
)

# What users can cause and mend. Anything else is a defect of ours, and keeps its traceback.
_ERRORS = (ValueError, KeyError, TypeError, OSError, ImportError, RuntimeError, MemoryError)


class _Shown(logging.Handler):
    """Shows the log to the user."""

    def __init__(self, terms: Terms):
        super().__init__()
        self.terms = terms

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        text = self.terms.put(record.getMessage())
        if record.levelno >= logging.WARNING:
            say(text, style="bold yellow", title="warning: ")
        else:
            say(text, style="dim")


class Command(TyperCommand):
    """A command whose errors are one paragraph and exit code 2, and an interruption 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command with the log of the package shown."""
        logger, terms = logging.getLogger("grnrep"), _terms(self, ctx.params)
        level, handler = logger.level, _Shown(terms)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            with warnings.catch_warnings():
                # a default of anndata, and readable
                warnings.filterwarnings("ignore", message="Writing zarr v2")
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            say("interrupted; no file is half-written", style="yellow")
            raise typer.Exit(130) from None
        except _ERRORS as error:
            if ctx.find_root().params.get("debug"):
                raise
            say(terms.put(_paragraph(error)), style="bold red", title="error: ")
            raise typer.Exit(2) from None
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


def _terms(command: TyperCommand, given: Mapping[str, Any]) -> Terms:
    """How a command calls its parameters; arguments by the files that were given."""
    options, flags, files = {}, set(), {}
    for parameter in command.params:
        name = parameter.name or ""
        if name in ARGUMENTS:
            file = str(given.get(name))
            files[name] = "standard input" if file == "-" else repr(Path(file).name)
        elif parameter.param_type_name == "option":
            options[name] = max(parameter.opts, key=len)
            if getattr(parameter, "is_flag", False):
                flags.add(name)
    return Terms(options=options, flags=frozenset(flags), files=files)


def hush(quiet: bool) -> None:
    """Show warnings only, for the command that is running."""
    if quiet:
        logging.getLogger("grnrep").setLevel(logging.WARNING)


def bars(quiet: bool) -> bool:
    """Whether to show bars of progress: to somebody who looks on, not in a file."""
    return not quiet and sys.stderr.isatty()


def say(text: str, *, style: str, title: str = "") -> None:
    """Write a paragraph to standard error; wrapped for a screen, not for a file."""
    err.print(
        Text.assemble((title, style), text if title else (text, style)),
        soft_wrap=not err.is_terminal,
    )


def show_pairs(title: str, pairs: Mapping[str, str]) -> None:
    """Print a table of names and values."""
    table = _table(title)
    table.show_header = False
    table.add_column()
    table.add_column(justify="right")
    for name, value in pairs.items():
        table.add_row(name, value)
    out.print(table)


def show_frame(title: str, frame: pd.DataFrame) -> None:
    """Print a DataFrame with its index."""
    table = _table(title)
    for _ in range(frame.index.nlevels):
        table.add_column(no_wrap=True)
    for name in frame.columns:
        table.add_column(str(name), justify="right")
    for label, *values in frame.itertuples():
        labels = label if isinstance(label, tuple) else (label,)
        table.add_row(
            *map(str, labels), *(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values)
        )
    out.print(table)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)


def _paragraph(error: Exception) -> str:
    """Message of an error on one line; without the quotes that KeyError adds."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(text.split()) or type(error).__name__
