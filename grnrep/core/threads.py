"""As many threads as the work can feed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_GRAIN = 10_000_000  # multiply-adds of one product that are worth a thread


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Limit torch's threads while solving, by the multiply-adds of one product of a block.

    A fit is thousands of small operations. Split over more threads than they can
    feed, they wait for each other; beside another program, or another library's
    threads in the same process, tens of times longer than they compute.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, max(1, work // _GRAIN)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
