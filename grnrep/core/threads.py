"""As many threads as the work can feed.

Torch keeps a number of threads for every thread of Python, and one for threads that are yet to ask for
theirs; ``torch.set_num_threads`` sets both. Here a thread sets its own alone. So calls that overlap, in
whatever threads, neither see nor undo each other's limits, and no other thread is held to them.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TypeVar

import torch

T = TypeVar("T")

_WORK_OF_THREAD = 10_000_000  # multiply-adds of one product that are worth a thread
_MAX_THREADS = 8  # side by side: Python itself hands out the work of one at a time


class _Limits(threading.local):
    """What each thread of Python knows of its own number of torch threads.

    Attributes
    ----------
    in_force
        They may end in another order than they began, where generators hold them.
    unlimited
        The number without a limit; None where there is none to go back to.
    """

    def __init__(self) -> None:
        self.in_force: list[int] = []
        self.unlimited: int | None = None


_of_this_thread = _Limits()
_setting = threading.Lock()  # held while the number for other threads is not what it should be


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Limit torch's threads while solving, by the multiply-adds of one product of a block.

    A fit is thousands of small operations. Split over more threads than they can
    feed, they wait for each other; beside another program, or another library's
    threads in the same process, tens of times longer than they compute.
    """
    with _limit(max(1, work // _WORK_OF_THREAD)):
        yield


@contextmanager
def side_by_side(n_tasks: int) -> Iterator[Callable[..., Iterator]]:
    """Yield a ``map`` whose tasks run side by side, on as many threads as torch may use.

    Each operation is done by one thread alone, so that threads never wait for each
    other, and a result does not depend on their number. Tasks of tasks run one by one. Few results
    wait to be fetched, however many tasks there are.
    """
    n_threads = min(_n_threads(), n_tasks, _MAX_THREADS)
    with _limit(1):
        if n_threads <= 1:
            yield map
        else:
            with ThreadPoolExecutor(n_threads, initializer=_set_n_threads, initargs=(1,)) as pool:
                yield partial(_in_order, pool, n_threads + 1)


def have_threads(n_tasks: int) -> bool:
    """Whether so many tasks side by side have a thread each."""
    return n_tasks <= min(_n_threads(), _MAX_THREADS)


def _in_order(
    pool: ThreadPoolExecutor, n_begun: int, function: Callable, *arguments: Iterable
) -> Iterator:
    """Results in the order of the arguments, of which so many are begun before the first is fetched."""
    tasks = zip(*arguments, strict=False)
    begun = deque(pool.submit(function, *task) for task in islice(tasks, n_begun))
    try:
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(function, *task) for task in islice(tasks, 1))
            yield result
    finally:
        for future in begun:
            future.cancel()


@contextmanager
def _limit(n_threads: int) -> Iterator[None]:
    """Let this thread of Python use at most so many threads of torch."""
    limits = _of_this_thread.in_force
    if _of_this_thread.unlimited is None:
        _of_this_thread.unlimited = _n_threads()
    limits.append(n_threads)
    try:
        _set_n_threads(min(_of_this_thread.unlimited, *limits))
        yield
    finally:
        limits.remove(n_threads)
        # a generator may be closed by another thread, whose own number has nothing to do with it
        if limits is _of_this_thread.in_force:
            _set_n_threads(min([_of_this_thread.unlimited, *limits]))
            if not limits:
                _of_this_thread.unlimited = None


def _n_threads() -> int:
    """Torch's number of threads for this thread of Python.

    A thread that asks for the first time gets the number for threads to come, and keeps it.
    """
    with _setting:
        return torch.get_num_threads()


def _set_n_threads(n_threads: int) -> None:
    """Set torch's number of threads for this thread of Python, and for no other."""
    if n_threads == _n_threads():
        return
    # torch tells and sets the number for threads to come only through one that has not asked yet
    with _setting:
        of_new_threads = _in_new_thread(torch.get_num_threads)
        try:
            torch.set_num_threads(n_threads)
        finally:
            _in_new_thread(torch.set_num_threads, of_new_threads)


def _in_new_thread(function: Callable[..., T], *arguments: int) -> T:
    """What a function returns in a thread that does nothing else."""
    results: list[T] = []
    new = threading.Thread(target=lambda: results.append(function(*arguments)))
    new.start()
    new.join()
    return results[0]


def _leave_one_thread() -> None:
    """Leave a forked child one thread.

    Only the thread that forks lives on in the child. OpenMP does not know: torch
    would wait for the others, or read what they have left behind, and end the process.
    """
    global _setting
    _setting = threading.Lock()
    _of_this_thread.unlimited = 1 if _of_this_thread.in_force else None
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_one_thread)
