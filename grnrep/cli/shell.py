"""How the commands speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

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

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        if record.levelno >= logging.WARNING:
            say(record.getMessage(), style="bold yellow", title="warning: ")
        else:
            say(record.getMessage(), style="dim")


class Group(TyperGroup):
    """Commands whose errors are one paragraph and exit code 2, and an interruption 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command with the log of the package shown."""
        logger = logging.getLogger("grnrep")
        level, handler = logger.level, _Shown()
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            say("interrupted; no file is half-written", style="yellow")
            raise typer.Exit(130) from None
        except _ERRORS as error:
            if ctx.params.get("debug"):
                raise
            say(_paragraph(error), style="bold red", title="error: ")
            raise typer.Exit(2) from None
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


def hush(quiet: bool) -> None:
    """Show warnings only, for the command that is running."""
    if quiet:
        logging.getLogger("grnrep").setLevel(logging.WARNING)


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
