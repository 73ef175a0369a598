"""Files of data sets: where they are on this machine, or how they come here."""

from __future__ import annotations

import os
from pathlib import Path


def folders_of(data_dir: str | os.PathLike[str] | None, name: str) -> list[Path]:
    """Where to look for the files."""
    folder = data_dir if data_dir is not None else os.environ.get("GRNREP_DATA_DIR") or None
    return [] if folder is None else [Path(folder) / name, Path(folder)]


def find(folders: list[Path], *names: str) -> Path | None:
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if path.is_file()), None)


def download(
    url: str, name: str, *, known_hash: str, folders: list[Path], progress: bool, hint: str = ""
) -> Path:
    """Path of a file in the user's cache; fetched if it is not there, its checksum compared.

    ``known_hash`` is "md5:" or "sha256:" and the digits; ``hint`` ends the message where that fails.
    """
    import pooch

    try:
        return Path(
            pooch.retrieve(
                url + name,
                known_hash=known_hash,
                fname=name,
                path=pooch.os_cache("grnrep"),
                progressbar=progress,
            )
        )
    except OSError as error:  # of requests too
        where = str(folders[0] / name) if folders else f"a folder given as data_dir: {name}"
        raise OSError(
            f"{name} is not there and could not be downloaded from {url + name} ({error}); "
            f"download it and put it at {where}{hint}"
        ) from error
