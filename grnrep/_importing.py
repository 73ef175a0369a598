"""Imports of large libraries, without a search for garbage in them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Import what makes many objects that stay, torch and numba before all.

    Whenever objects have become a quarter more, Python's collector looks through all of them for some that nobody
    needs. While libraries are imported they only become more: of a first fit that took 5 s it took .6.
    """
    if not gc.isenabled() or gc.get_freeze_count():  # somebody has arranged it otherwise
        yield
        return
    n_modules = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) != n_modules:
            # what is new counts as old at once, instead of after three looks at all of it
            gc.freeze()
            gc.unfreeze()
        gc.enable()
