"""A model in one file, to be sent: its store, zipped."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from grnrep.io.store import WHOLE, is_zip

ZIP: Final = ".zip"
_WHEN: Final = (1980, 1, 1, 0, 0, 0)  # of every file: the same model is then the same file
# what reading a file with changed bytes raises
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def pack(folder: Path, path: Path) -> None:
    """Write the files of a folder to one file, in the order of their names."""
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, file.read_bytes())


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give the folder that a store is in, for as long as it is read; a zipped one is unpacked elsewhere.

    Errors speak of ``path`` itself.
    """
    if not is_zip(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        folder.mkdir()
        try:
            with zipfile.ZipFile(path) as packed:
                packed.extractall(folder)  # which leaves no name outside the folder
            yield folder
        except _DAMAGED as error:
            raise ValueError(f"path {str(path)!r} is damaged: {error}. {WHOLE}") from error
        except ValueError as error:
            raise ValueError(str(error).replace(str(folder), str(path))) from error
