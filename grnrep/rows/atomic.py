"""Outputs that appear whole or not at all, in places that one run at a time writes to."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

fcntl: ModuleType | None = None
with suppress(ImportError):  # on Windows, where nothing is locked
    fcntl = import_module("fcntl")

T = TypeVar("T")

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
_LOCK: Final = ".lock"
_HELD: Final = (errno.EAGAIN, errno.EACCES)  # by another process
_UNITS: Final = {"days": 86_400, "h": 3600, "min": 60, "s": 1}


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


def _tidy(path: Path) -> None:
    """Put in order what a process left that was killed while it wrote ``path``, held alone."""
    path = path.resolve()
    temporary, old = hidden(path, path.suffix), hidden(path, _OLD)
    if old.exists() and not path.exists():  # killed between the two steps
        old.rename(path)
    _remove(temporary)
    _remove(old)


def while_alone(places: Mapping[str, Path], function: Callable[[], T]) -> T:
    """Call a function while this run alone holds some places; what it left beside them is then removed.

    A locked file beside each place says who holds it. The system itself drops the lock when its owner dies,
    so that a run that was killed can go on at once, on any machine; what the dead left beside the place is
    removed then. Other machines see the lock where the file system shares it, as NFS 4 does.

    Parameters
    ----------
    places
        Files or folders, by the names that messages call them. They need not be there; their folders are.
    function
        What to do meanwhile.

    Raises
    ------
    ValueError
        If another run, or another thread of this process, holds one; says who, and since when.
    OSError
        If the folder of one cannot be written to.
    """
    holds = [_Hold(name, path) for name, path in places.items()]
    try:
        try:
            for hold in holds:
                hold.take()
            return function()
        finally:
            for hold in holds:
                hold.drop()
    finally:  # once more, where Ctrl-C cut the first time short
        for hold in holds:
            hold.drop()


class _Hold:
    """A place, held or not."""

    def __init__(self, name: str, path: Path):
        self.name, self.asked, self.path = name, path, path.resolve()
        self.lock, self.taken = hidden(self.path, _LOCK), False
        self.descriptor: int | None = None

    def take(self) -> None:
        """Hold the place, with nothing beside it that the dead left there."""
        try:
            with undisturbed():
                self.descriptor = self._locked()
                self.taken = True
            _tidy(self.path)
        except OSError as error:
            _explain(error, self.asked)
            raise

    def drop(self) -> None:
        """Let go of the place, if it is held; nothing is left beside it."""
        with undisturbed():
            if self.taken:
                with suppress(OSError):
                    _tidy(self.path)
            if self.descriptor is not None:
                with suppress(OSError):  # first: who opens the file from now on makes a new one
                    self.lock.unlink()
                os.close(self.descriptor)
            self.taken, self.descriptor = False, None

    def _locked(self) -> int | None:
        """Descriptor of the locked file; None where the file system or the machine has no locks."""
        if fcntl is None:
            return None
        while True:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same(descriptor, self.lock):
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, json.dumps(_myself()).encode())
                    return descriptor
            except OSError as error:
                if error.errno in _HELD:
                    owner = _described(os.pread(descriptor, 4096, 0))
                    os.close(descriptor)
                    raise ValueError(
                        f"{self.name}={str(self.asked)!r} is being written by another run: {owner}. Wait "
                        "until it has ended, stop it, or choose another place"
                    ) from None
                os.close(descriptor)
                self.lock.unlink(missing_ok=True)
                logger.warning(
                    "%s: the file system of %s has no locks (%s); let no other run write there meanwhile",
                    self.name, self.asked, error.strerror,
                )  # fmt: skip
                return None
            os.close(descriptor)  # its owner had just ended and removed it


def _same(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _myself() -> dict[str, str | int | float]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}


def _described(owner: bytes) -> str:
    """Who holds a place, for a message."""
    try:
        found = json.loads(owner)
        seconds = max(0.0, time.time() - found["since"])
        unit, size = next((u, s) for u, s in _UNITS.items() if seconds >= s or s == 1)
        return f"process {found['pid']} on {found['host']}, begun {seconds / size:.0f} {unit} ago"
    except (ValueError, KeyError, TypeError):
        return "it has not said which yet"


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
        Whether the caller holds ``path`` alone (:func:`while_alone`). The name is then always
        the same, so that :func:`_tidy` finds it after a kill.
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
            _explain(error, asked)
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


def _explain(error: OSError, path: Path) -> None:
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
