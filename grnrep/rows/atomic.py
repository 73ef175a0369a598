"""Outputs that appear whole or not at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

logger = logging.getLogger("grnrep")

_SPACE: Final = "Free space there, or choose another place"
_PERMISSION: Final = "Get permission to write in its folder, or choose another place"
# why the system may refuse to write, and what would do
_REASONS: Final = {
    errno.ENOSPC: ("no space is left on the device", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: (
        "the file is larger than allowed",
        "Raise the limit (ulimit -f), or choose another place",
    ),
    errno.EACCES: ("permission is denied", _PERMISSION),
    errno.EPERM: ("it is not permitted", _PERMISSION),
    errno.EROFS: ("the file system is read-only", "Choose another place"),
}


HIDDEN: Final = ".grnrep-"  # begins every temporary name
_OLD: Final = ".old"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the end: for what must be done whole once it has begun."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield  # Ctrl-C comes in the main thread only; None: whoever listens is not of Python
        return
    came = []
    signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def hidden(path: Path, suffix: str) -> Path:
    """A name beside ``path``, always the same; short, so that a long name still fits."""
    return path.with_name(f"{HIDDEN}{hashlib.sha256(path.name.encode()).hexdigest()[:16]}{suffix}")


def tidy(path: Path) -> None:
    """Put in order what a process left that was killed while it wrote ``path``, held alone."""
    path = path.resolve()
    temporary, old = hidden(path, path.suffix), hidden(path, _OLD)
    if old.exists() and not path.exists():  # killed between the two steps
        old.rename(path)
    _remove(temporary)
    _remove(old)


@contextmanager
def replacing(path: Path, *, alone: bool = False, log: int = logging.INFO) -> Iterator[Path]:
    """Give a name beside ``path`` to write to; on success alone, what is there becomes ``path``.

    A file replaces a file in one step. A folder needs two: what was there is moved aside first, and
    back again if the second step fails.

    Parameters
    ----------
    path
        File or folder to write. A link stays a link; what it points to is replaced.
    alone
        Whether the caller holds ``path`` alone (:func:`grnrep.rows.alone.alone`). The name is then always
        the same, so that :func:`tidy` finds it after a kill.
    log
        Level at which success is logged.

    Yields
    ------
    A name in the same folder, at which nothing is yet. After any failure, interruptions too, nothing
    is left there.

    Raises
    ------
    OSError
        Where the system refuses to write; the message has ``path``, the reason, and what would do.
    """
    asked, path = path, path.resolve()
    # with the extension, by which libraries choose formats
    temporary = hidden(path, path.suffix)
    if not alone:
        temporary = path.with_name(f"{HIDDEN}{uuid.uuid4().hex}{path.suffix}")
    old = temporary.with_suffix(_OLD)
    try:
        yield temporary
        with undisturbed():
            if path.is_dir():
                path.rename(old)
            temporary.replace(path)
    except BaseException as error:
        if old.exists() and not path.exists():
            try:
                old.rename(path)
            except OSError:
                logger.error("what was at %s is now at %s, and could not be moved back", asked, old)
                raise
        if isinstance(error, OSError) and _concerns(error, temporary, path):
            explain(error, asked)
        raise
    else:
        logger.log(log, "wrote %s", asked)
    finally:
        with undisturbed(), suppress(OSError):
            if temporary.is_dir():  # a failure: else it is in its place by now
                _settle()
            _remove(temporary)
            if path.exists():  # never remove the only copy
                _remove(old)


def explain(error: OSError, path: Path) -> None:
    """Raise an error of the system anew with ``path``, the reason, and what would do, if they are known."""
    if error.errno in _REASONS:
        why, remedy = _REASONS[error.errno]
        what = f"{str(path)!r} could not be written: {why}. {remedy}; nothing was changed"
        raise OSError(error.errno, what) from error


def _concerns(error: OSError, temporary: Path, path: Path) -> bool:
    """Whether an error is about writing here, not about another file; of a full disk, none is named."""
    name = error.filename
    return name is None or (
        isinstance(name, str) and (Path(name).is_relative_to(temporary) or name == str(path))
    )


def _settle(seconds: float = 10.0) -> None:
    """Wait for what zarr still writes: where one of many writes fails, the others go on in its thread."""
    if "zarr" not in sys.modules:
        return
    from zarr.core.sync import sync

    async def others() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    sync(others())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
