"""The store that keeps a model: what says that it is one, and a checksum of all that is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FORMAT: Final = "grnrep-model"
VERSION: Final = 1  # of the format; to be raised where an older grnrep would misread a store
RECORD: Final = "record"  # the group in which the record is
SHA256: Final = "sha256"  # the attribute that has the checksum

_METADATA: Final = "zarr.json"  # zarr version 3, which has no codec that runs code


def as_path(path: object) -> Path:
    """Take a name of a file as a path, with ``~`` as the home folder."""
    if not isinstance(path, str | Path):
        raise TypeError(f"path must be a string or a Path; found {type(path).__name__}")
    return Path(path).expanduser()


def is_store(path: Path) -> bool:
    """Whether this is a zarr store, of whichever version."""
    return any((path / name).is_file() for name in (_METADATA, ".zgroup", ".zarray"))


def is_model(path: Path) -> bool:
    """Whether this is a model, be it of a newer format."""
    try:
        return read_attributes(path).get("format") == FORMAT
    except ValueError:
        return False


def read_attributes(path: Path) -> Mapping[str, Any]:
    """Attributes of a store of zarr version 3; none where it is something else."""
    metadata = path / _METADATA
    if not metadata.is_file():
        return {}
    try:
        found = json.loads(metadata.read_bytes())
        return dict(found.get("attributes", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"path: {str(metadata)!r} is damaged: {error}. Take a copy that is whole") from error


def checksum(path: Path, attributes: Mapping[str, Any]) -> str:
    """Sha256 over names and contents of all files in a store, and over its attributes.

    Parameters
    ----------
    path
        The store. Hidden files are left out: zarr has none, but desktops and network drives leave some.
    attributes
        Of the store as a whole; its own metadata file is left out, which has the checksum in it.
    """
    sha = hashlib.sha256()
    rest = {name: value for name, value in attributes.items() if name != SHA256}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name in sorted(files):
        if name == _METADATA or any(part.startswith(".") for part in name.split("/")):
            continue
        with files[name].open("rb") as file:
            sha.update(f"\n{name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return sha.hexdigest()
