"""Data frames in files of R (``.rda``, ``save()``): data alone is read, and nothing is ever run.

The format is that of "Serialization Formats" in R Internals, in XDR (big-endian). What a data frame of
strings, factors and numbers needs is known here; anything else is refused.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

_MAGIC: Final = (b"RDX2\n", b"RDX3\n")
_OPENERS: Final[dict[bytes, Callable[[bytes], bytes]]] = {
    b"\xfd7zXZ": lzma.decompress,
    b"BZh": bz2.decompress,
    b"\x1f\x8b": gzip.decompress,
}
# types of R's objects, by the number that the format gives them
_NIL, _GLOBAL, _REFERENCE, _ALTREP = 254, 253, 255, 238
_SYMBOL, _PAIRLIST, _CHARS, _LOGICAL, _INTEGER, _REAL, _STRINGS, _LIST = 1, 2, 9, 10, 13, 14, 16, 19
_NA_INTEGER: Final = -(2**31)


def read_rda(path: Path) -> dict[str, pd.DataFrame]:
    """Read the data frames of a file by name.

    Raises
    ------
    ValueError
        If it is no such file, is damaged, or holds anything but plain data.
    """
    content = path.read_bytes()
    try:
        for magic, decompress in _OPENERS.items():
            if content.startswith(magic):
                content = decompress(content)
                break
        if not content.startswith(_MAGIC):
            raise ValueError(f"it starts {content[:5]!r}, not with 'RDX2' or 'RDX3'")
        found = _Reader(content).saved()
    except (ValueError, EOFError, OSError, lzma.LZMAError, zlib.error, struct.error,
            RecursionError, UnicodeDecodeError, IndexError) as error:  # fmt: skip
        raise ValueError(
            f"{str(path)!r} must be a file of R with data frames, as save() writes it: {error}"
        ) from error
    return {name: value for name, value in found.items() if isinstance(value, pd.DataFrame)}


class _Reader:
    """A walk over the bytes of one file."""

    def __init__(self, content: bytes):
        self.content, self.at = content, 5
        self.symbols: list[Any] = []  # what later entries refer back to

    def saved(self) -> dict[str, Any]:
        if self.take(2) != b"X\n":
            raise ValueError("it is not in the binary (XDR) format")
        version = self.integer()
        self.take(8)  # versions of R that wrote it, and that can read it
        if version == 3:
            self.take(self.integer())  # name of the native encoding
        return dict(self.pairs(self.integer()))

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.content):
            raise ValueError("it ends too early")
        self.at += n
        return self.content[self.at - n : self.at]

    def integer(self) -> int:
        return int(struct.unpack(">i", self.take(4))[0])

    def array(self, dtype: str) -> np.ndarray:
        n = self.integer()
        return np.frombuffer(self.take(n * np.dtype(dtype).itemsize), dtype).astype(dtype[1:])

    def pairs(self, flags: int) -> list[tuple[str, Any]]:
        """A linked list of names and values, as attributes and saved objects are kept."""
        found = []
        while flags & 0xFF == _PAIRLIST:
            if flags & 0x200:
                self.item(self.integer())  # attributes of the list itself
            name = self.item(self.integer()) if flags & 0x400 else ""
            found.append((str(name), self.item(self.integer())))
            flags = self.integer()
        if flags & 0xFF != _NIL:
            raise ValueError(f"a list ends in type {flags & 0xFF}")
        return found

    def item(self, flags: int) -> Any:
        kind, attributes = flags & 0xFF, {}
        value: Any
        if kind == _NIL:
            return None
        if kind == _GLOBAL:
            return "global environment"
        if kind == _REFERENCE:
            return self.symbols[(flags >> 8 or self.integer()) - 1]
        if kind == _SYMBOL:
            self.symbols.append(self.item(self.integer()))
            return self.symbols[-1]
        if kind == _PAIRLIST:
            return dict(self.pairs(flags))
        if kind == _ALTREP:
            return self.compact()
        if kind == _CHARS:
            n = self.integer()
            return None if n == -1 else self.take(n).decode("utf-8")
        if kind in (_LOGICAL, _INTEGER):
            value = self.array(">i4")
        elif kind == _REAL:
            value = self.array(">f8")
        elif kind == _STRINGS:
            value = np.array(
                [self.item(self.integer()) for _ in range(self.integer())], dtype=object
            )
        elif kind == _LIST:
            value = [self.item(self.integer()) for _ in range(self.integer())]
        else:
            raise ValueError(f"it holds an object of type {kind}, which is no plain data")
        if flags & 0x200:
            attributes = dict(self.pairs(self.integer()))
        return _shaped(value, attributes)

    def compact(self) -> Any:
        """A sequence by its ends, or values with notes about them."""
        about = [value for _, value in self.pairs(self.integer())]  # class, package, type
        state = self.item(self.integer())
        attributes = self.item(self.integer())
        if about and about[0] in ("compact_intseq", "compact_realseq"):
            n, first, step = state
            return first + step * np.arange(int(n))
        if about and str(about[0]).startswith("wrap_"):
            return _shaped(state[0], attributes or {})
        raise ValueError(f"it holds values in the form {about[:1]}, which is not known here")


def _shaped(value: Any, attributes: dict[str, Any]) -> Any:
    """Turn a list of columns into a data frame, and codes into the words that they stand for."""
    classes = attributes.get("class")
    classes = [] if classes is None else list(classes)
    if "data.frame" in classes:
        return pd.DataFrame(dict(zip(attributes["names"], value, strict=True)))
    if "factor" in classes:
        levels = np.array([*attributes["levels"], None], dtype=object)
        return levels[np.where(value == _NA_INTEGER, 0, value) - 1]
    return value
