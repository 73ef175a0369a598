"""What a store asks to be decoded with, read from its metadata before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grnrep.io.store import parse_json

# Codecs that take bytes for numbers or text and nothing else. A store names its own codecs, and with
# some, such as "pickle", decoding runs what the store says; so whatever is not here stays closed.
_HARMLESS: Final = frozenset(
    [
        *("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"),  # compression
        *(
            "bitround",
            "bytes",
            "delta",
            "endian",
            "fixedscaleoffset",
            "packbits",
            "quantize",
            "shuffle",
        ),
        *("adler32", "crc32", "crc32c", "fletcher32", "jenkins_lookup3"),  # checksums
        *("sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8"),
    ]
)
_PREFIX: Final = "numcodecs."  # of the same codecs in zarr version 3
# Files in which zarr looks for metadata; consolidated ones describe arrays that have no other.
_METADATA: Final = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_NAMED_UNDER: Final = ("filters", "compressor", "codecs", "index_codecs")


def check_codecs(path: Path) -> None:
    """Check that no array of a zarr store, of whichever version, needs a codec that might run code.

    Parameters
    ----------
    path
        The store. Only its metadata are read.

    Raises
    ------
    ValueError
        If there is such a codec, or metadata that cannot be read.
    """
    for file in _metadata_files(path):
        for name in _codecs(parse_json(file)):
            if not isinstance(name, str) or name.removeprefix(_PREFIX) not in _HARMLESS:
                where = str(file.relative_to(path))
                raise ValueError(
                    f"{str(path)!r} was not opened: {where!r} asks for the codec {name!r}, which could "
                    "run code that came with the store. If you trust its origin, read it with "
                    "anndata.read_zarr and write it again"
                )


def _metadata_files(path: Path) -> Iterator[Path]:
    """All of them, also behind links, which zarr follows; every folder once."""
    seen = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        here = Path(folder).stat()
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        for name in names:
            if name.casefold() in _METADATA:  # some file systems do not tell cases apart
                yield Path(folder, name)


def _codecs(document: Any) -> Iterator[object]:
    """Names of all codecs in metadata, however deep: of shards, and of arrays in consolidated ones."""
    left = [document]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            for key in _NAMED_UNDER:
                asked = part.get(key)
                for codec in asked if isinstance(asked, list) else [asked]:
                    if codec is not None:
                        yield (
                            codec.get("id", codec.get("name")) if isinstance(codec, dict) else codec
                        )
            left += part.values()
        elif isinstance(part, list):
            left += part
