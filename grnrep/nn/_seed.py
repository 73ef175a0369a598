"""Start values of layers from a seed of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(rng: int) -> Iterator[None]:
    """Draw from ``rng`` inside, as torch's own layers do at their start; leave torch's state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng)
        yield
