"""The store that keeps a model: what says that it is one, and a checksum of all that is in it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FORMAT: Final = "grnrep-model"
VERSION: Final = 1  # of the format; to be raised where an older grnrep would misread a store
RECORD: Final = "record"  # the group in which the record is
# what a model says of itself as a whole
DOCUMENT: Final = {"attributes", "zarr_format", "node_type"}
SHA256: Final = "sha256"  # the attribute that has the checksum

WHOLE: Final = "Take a copy that is whole"  # the remedy for a damaged one

_METADATA: Final = "zarr.json"  # of zarr version 3


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
        return read_document(path)["attributes"].get("format") == FORMAT
    except ValueError:
        return False


def read_document(path: Path) -> Mapping[str, Any]:
    """What a store of zarr version 3 says of itself as a whole; no attributes where it is something else."""
    try:
        metadata = (zipfile.Path(path) if is_zip(path) else path) / _METADATA
    except zipfile.BadZipFile as error:
        raise ValueError(f"path {str(path)!r} is damaged: {error}. {WHOLE}") from error
    found = parse_json(metadata) if metadata.is_file() else {}
    if not isinstance(found, dict) or not isinstance(found.setdefault("attributes", {}), dict):
        raise ValueError(f"path: {str(metadata)!r} is damaged: it has no attributes. {WHOLE}")
    return found


def is_zip(path: Path) -> bool:
    """Whether this is a store in one file."""
    return path.is_file() and zipfile.is_zipfile(path)


def parse_json(file: Path | zipfile.Path) -> Any:
    """What a JSON file says; ``ValueError`` with its path where it is none, or nested without end."""
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"path: {str(file)!r} is damaged: {error}. {WHOLE}") from error


def checksum(path: Path, attributes: Mapping[str, Any]) -> str:
    """Sha256 over names and contents of all files in a store, and over its attributes.

    Parameters
    ----------
    path
        The store. Hidden files count too: zarr reads arrays in hidden folders as it does others.
    attributes
        Of the store as a whole; its own metadata file is left out, which has the checksum in it.

    Raises
    ------
    ValueError
        If something in the store is neither a file nor a folder, but a link, say, to elsewhere.
    """
    sha = hashlib.sha256()
    rest = {name: value for name, value in attributes.items() if name != SHA256}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*")}
    for name in sorted(files):
        if files[name].is_symlink() or not (files[name].is_file() or files[name].is_dir()):
            raise ValueError(
                f"path {str(path)!r} has {name!r}, a link or device, as no model does. {WHOLE}"
            )
        if name == _METADATA or files[name].is_dir():
            continue
        with files[name].open("rb") as file:
            sha.update(f"\n{name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return sha.hexdigest()
