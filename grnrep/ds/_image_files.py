"""Files of image data sets: where they are, whether they are the right ones, and what is in them."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path
from typing import IO, Final

import numpy as np

_IDX_LIMIT: Final = 2**26  # bytes; the largest file has 47 million
_CIFAR_FOLDER: Final = "cifar-10-batches-bin"
_RECORD: Final = 1 + 3 * 32 * 32  # label, then red, green and blue, row by row
_BATCH: Final = 10_000  # records in a file


def read_idx(path: Path, *, n_axes: int, sha256: str | None = None) -> np.ndarray:
    """Read an idx file of bytes, gzipped or not; compare what is in it with a checksum."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(_IDX_LIMIT + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if len(raw) > _IDX_LIMIT:
        raise _damaged(path, f"it holds more than {_IDX_LIMIT:,} bytes")
    # two zeros, type of the values (8: unsigned byte), number of axes, then the size of each
    if raw[:4] != bytes([0, 0, 8, n_axes]):
        raise _damaged(
            path, f"an idx file of bytes with {n_axes} axes was expected; it starts {raw[:4].hex()}"
        )
    start = 4 + 4 * n_axes
    shape = tuple(
        int(size) for size in np.frombuffer(raw[4 : min(start, len(raw) // 4 * 4)], dtype=">u4")
    )
    wanted = start + int(np.prod(shape, dtype=object))
    if len(shape) != n_axes or len(raw) != wanted:
        raise _damaged(path, f"shape {shape} takes {wanted:,} bytes; it holds {len(raw):,}")
    if sha256 is not None:
        _check_sha256(str(path), raw, sha256)
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def read_batches(
    path: Path, names: list[str], *, sha256: dict[str, str] | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read images and labels of files of a tar archive in CIFAR's layout; nothing is extracted to disk."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            files = _members(archive, path, names)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    batches = []
    for name in names:
        if sha256 is not None:
            _check_sha256(f"{name} of {path}", files[name], sha256[name])
        records = np.frombuffer(files[name], dtype=np.uint8).reshape(-1, _RECORD)
        labels = records[:, 0].astype(np.int64)
        if labels.max() > 9:
            raise _damaged(path, f"a label of {name} is {labels.max()}, and there are ten classes")
        batches.append((records[:, 1:].reshape(-1, 3, 32, 32), labels))
    return batches


def _members(archive: tarfile.TarFile, path: Path, names: list[str]) -> dict[str, bytes]:
    """Contents of files, in one pass: going back in a compressed archive means starting again."""
    found: dict[str, bytes] = {}
    for member in archive:
        name = member.name.removeprefix("./").removeprefix(f"{_CIFAR_FOLDER}/")
        if name not in names or not member.isreg():
            continue
        if member.size == 0 or member.size % _RECORD or member.size > _BATCH * _RECORD:
            raise _damaged(
                path,
                f"{name} has {member.size:,} bytes, not 1 to {_BATCH:,} records of {_RECORD:,}",
            )
        file: IO[bytes] | None = archive.extractfile(member)
        content = b"" if file is None else file.read()
        if len(content) != member.size:
            raise _damaged(path, f"{name} ends after {len(content):,} of {member.size:,} bytes")
        found[name] = content
    missing = [name for name in names if name not in found]
    if missing:
        raise _damaged(path, f"it lacks {', '.join(missing)}")
    return found


def check_md5(path: Path, md5: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        raise _damaged(path, f"its md5 is {found}, that of the official file {md5}")


def _check_sha256(what: str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{what} is not the official file: the sha256 of its content is {found}, not {sha256}; replace it"
        )


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{str(path)!r} is damaged or another file: {why}; replace it")
