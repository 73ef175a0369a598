"""Ctrl-C that loses nothing."""

from __future__ import annotations

from typing import Any


class Interrupted(KeyboardInterrupt):
    """An interruption that brings what there was so far.

    Parameters
    ----------
    so_far
        A state of the alternation, or a fit, or a model; whoever catches it makes the next of it.
    """

    def __init__(self, so_far: Any):
        super().__init__()
        self.so_far = so_far
