"""As many threads as the work can feed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice

import torch

_GRAIN = 10_000_000  # multiply-adds of one product that are worth a thread
_MOST = 8  # threads side by side: Python itself hands out the work of one at a time


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


@contextmanager
def side_by_side(n_tasks: int) -> Iterator[Callable[..., Iterator]]:
    """Yield a ``map`` whose tasks run side by side, on as many threads as torch may use.

    Each operation is done by one thread alone, so that threads never wait for each
    other, and a result does not depend on their number. Tasks of tasks run one by one. Few results
    wait to be fetched, however many tasks there are.
    """
    before = torch.get_num_threads()
    n_threads = min(before, n_tasks, _MOST)
    torch.set_num_threads(1)
    try:
        if n_threads <= 1:
            yield map
        else:
            with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield partial(_in_order, pool, n_threads + 1)
    finally:
        torch.set_num_threads(before)


def _in_order(pool: ThreadPoolExecutor, ahead: int, function: Callable, *arguments: Iterable) -> Iterator:
    """Results in the order of the arguments, of which so many are begun before the first is fetched."""
    left = zip(*arguments, strict=False)
    waiting = deque(pool.submit(function, *some) for some in islice(left, ahead))
    try:
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, *some) for some in islice(left, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()
