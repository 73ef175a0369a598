"""How compiled code is kept: on disk, until any file of this room changes.

Numba keeps what it has compiled under the name of the function, and the stamp of the file of that function alone. But
functions are made of parts from other files of this room: were one of those changed, code made of its older version
would be taken for up to date. So the name of a function that is kept ends in a stamp of all files of the room.
That is enough because they import nothing else of the package. A change of compiler or processor is noticed by
numba itself.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import logging
from importlib import resources
from typing import Any, Final

import numba
from numba.core import event
from numba.extending import intrinsic

logger = logging.getLogger("grnrep")

_ROOM: Final = __name__.rpartition(".")[0]


@functools.cache
def _stamp() -> str:
    """Hash of the sources of this room, be they in a folder or in an archive."""
    sources = [file for file in resources.files(_ROOM).iterdir() if file.name.endswith(".py")]
    sources.sort(key=lambda file: file.name)
    return hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:16]


def compiled(function: Any) -> Any:
    """Compile on first use, for any thread; what was compiled is kept on disk, if there is a place."""
    try:
        function.__qualname__ += f"-{_stamp()}"
        return numba.njit(nogil=True, cache=True)(function)
    except (OSError, RuntimeError):  # no sources to read, or no folder that numba can write to
        return numba.njit(nogil=True)(function)


class _Compiling(event.Listener):
    """Says so, once in a process, where a function of this room is compiled and not read from disk.

    While one is, Python does not look for garbage: it would look through all that torch and numba have made, several
    times, for a sixth of the time. One thread compiles at a time, a function and the parts that it is made of.
    """

    given = False
    depth = 0
    collects = False

    def on_start(self, event: Any) -> None:
        if not self._is_ours(event):
            return
        if not self.given:
            self.given = True
            logger.info(
                "compiling, once for this installation, which takes seconds; `grnrep compile` does it ahead"
            )
        if self.depth == 0:
            self.collects = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        if not self._is_ours(event):
            return
        self.depth -= 1
        if self.depth == 0 and self.collects:
            gc.enable()

    @staticmethod
    def _is_ours(event: Any) -> bool:
        return str(event.data["dispatcher"].py_func.__module__).startswith(f"{_ROOM}.")


event.register("numba:compile", _Compiling())


# Parts of compiled functions: copied into their callers by numba, or, quicker to compile, by LLVM (called, they
# take 5 to 10 % longer); and instructions of LLVM. Python calls no part: without a way in from there, which has to
# take tuples of arrays apart, a part compiles in half the time. Annotations are for the reader and for mypy, to
# which a vector is Any; numba finds types of its own.
_from_compiled_alone: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inlined: Any = numba.njit(inline="always")
part: Any = numba.njit(nogil=True, forceinline=True, **_from_compiled_alone)
instruction: Any = intrinsic
