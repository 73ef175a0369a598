"""Run a function on every block: here, or on the workers of a Dask cluster."""

from __future__ import annotations

import os
import sys
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import torch

from grnrep.core.progress import progress_bar
from grnrep.core.threads import side_by_side
from grnrep.rows.blocks import Blocks

T = TypeVar("T")

_AHEAD = 3  # tasks in flight per worker, so that none waits and few results are held
_of_parent: weakref.WeakSet = (
    weakref.WeakSet()
)  # Dask clients of the process that this one was forked from


def map_blocks(
    function: Callable[[int], T],
    n_blocks: int,
    *,
    client: Any = None,
    skip: frozenset[int] = frozenset(),
    desc: str,
    progress: bool,
) -> Generator[tuple[int, T], None, None]:
    """Results of ``function`` on every block number, in order, whoever computes them.

    Parameters
    ----------
    function
        Of the number of a block; with a client it is sent to workers, and must not depend on this process.
    client
        A `dask.distributed` client, or None to compute here. Lost tasks are run again by Dask.
    skip
        Blocks that are done already.
    """
    todo = [k for k in range(n_blocks) if k not in skip]
    results = _here(function, todo) if client is None else _on_workers(function, todo, client)
    with progress_bar(
        progress and n_blocks > 1, desc=desc, total=n_blocks, unit="block", done=len(skip)
    ) as bar:
        for k, result in results:
            yield k, result
            bar.update()


def active_client(client: Any, blocks: Blocks) -> Any:
    """Settle which client: the one given; for "auto" the active one, if any, of data that are on disk."""
    if not (isinstance(client, str) and client == "auto"):
        return client
    if blocks.in_memory or "distributed" not in sys.modules:
        return None
    import distributed

    try:
        found = distributed.get_client()
    except ValueError:
        return None
    return None if found in _of_parent else found


def _here(function: Callable[[int], T], todo: list[int]) -> Iterator[tuple[int, T]]:
    if (
        len(todo) < 2 * torch.get_num_threads()
    ):  # few: what there is to do in each is shared among threads
        for k in todo:
            yield k, function(k)
        return
    with side_by_side(len(todo)) as each:
        yield from zip(todo, each(function, todo), strict=True)


def _on_workers(
    function: Callable[[int], T], todo: list[int], client: Any
) -> Iterator[tuple[int, T]]:
    if client in _of_parent:
        raise RuntimeError(
            "client must be connected by this process; found one of the process that it was forked from, "
            "which has no connection here: make a new client in the child, start it by spawn or "
            "forkserver, or pass client=None"
        )
    # as the result of a task, not scattered: what a lost worker held can be made again
    shared = client.submit(_same, function, pure=False)
    ahead = max(1, _AHEAD * len(client.scheduler_info(n_workers=-1)["workers"]))
    waiting: deque[tuple[int, Any]] = deque()  # numbers and futures
    left = iter(todo)

    def submit() -> None:
        for k in left:
            waiting.append((k, client.submit(_call, shared, k, pure=False)))
            return

    for _ in range(ahead):
        submit()
    try:
        while waiting:
            k, future = waiting.popleft()
            result = future.result()
            submit()
            yield k, result
    finally:
        for _, future in waiting:
            future.cancel()


def _same(function: Callable[[int], T]) -> Callable[[int], T]:
    return function


def _call(function: Callable[[int], T], k: int) -> T:
    return function(k)


def _leave_parent() -> None:
    """In a forked child: read without Dask's threads, and know its clients; both live in the parent alone."""
    if "dask" in sys.modules:
        sys.modules["dask"].config.set(scheduler="synchronous")
    if "distributed" in sys.modules:
        _of_parent.update(getattr(sys.modules["distributed"].Client, "_instances", ()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parent)
