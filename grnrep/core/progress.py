"""Bars of progress: how long work shows how far it is, to somebody who looks on."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm.auto import tqdm


def progress_bar(
    shown: bool,
    steps: Iterable[int] | None = None,
    *,
    desc: str,
    total: int | None = None,
    unit: str = "it",
    done: int = 0,
    delay: float = 0,
) -> tqdm:
    """A bar on standard error, where that is a screen or a notebook: a log file gets none.

    Parameters
    ----------
    shown
        Whether a bar is wanted.
    steps
        What to go through, if a loop is to be shown.
    desc
        What is done.
    total
        Number of steps; where it is not known the bar counts.
    unit
        What a step is.
    done
        How many of them were done before.
    delay
        Seconds before it is shown, where steps are short.
    """
    seen = sys.stderr.isatty() or "ipykernel" in sys.modules
    hide = not (shown and seen)
    return tqdm(steps, desc=desc, total=total, unit=unit, initial=done, delay=delay, disable=hide)


def end_bar(bar: tqdm, *, converged: bool) -> None:
    """Let a bar, of which the total was only a limit, end where the work did, and say why it did."""
    bar.total = bar.n
    bar.set_postfix_str("converged" if converged else "limit reached")
