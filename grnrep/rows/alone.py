"""Places that one run at a time writes to."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from grnrep.rows.atomic import explain, hidden, tidy, undisturbed

fcntl: ModuleType | None = None
with suppress(ImportError):  # on Windows, where nothing is locked
    fcntl = import_module("fcntl")

T = TypeVar("T")

logger = logging.getLogger("grnrep")

_HELD: Final = (errno.EAGAIN, errno.EACCES)  # by another process
_LOCK: Final = ".lock"
_UNITS: Final = {"days": 86_400, "h": 3600, "min": 60, "s": 1}


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
            tidy(self.path)
        except OSError as error:
            explain(error, self.asked)
            raise

    def drop(self) -> None:
        """Let go of the place, if it is held; nothing is left beside it."""
        with undisturbed():
            if self.taken:
                with suppress(OSError):
                    tidy(self.path)
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
