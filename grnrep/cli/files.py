"""Read and write by file extension; every output appears complete or not at all."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from grnrep.rows.atomic import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DATA = (".h5ad", ".zarr")
TABLE = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
PAGE = (".html",)
STDIN = Path("-")

_PARQUET, _GZIP = b"PAR1", b"\x1f\x8b"  # what such files begin with


def check_output(path: Path, known: tuple[str, ...], *, overwrite: bool) -> None:
    """Refuse, before any work, an output that could not or should not be written."""
    _check_extension(path, known)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{str(path)!r} is in a folder that does not exist; make it first")
    if not path.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{str(path)!r} exists; choose another name, or replace it with --overwrite"
        )
    from grnrep.io.store import is_model, is_store

    stores = path.suffix == ".zarr"
    if path.is_dir() != stores or (stores and (not is_store(path) or is_model(path))):
        raise FileExistsError(
            f"{str(path)!r} exists and is no {path.suffix} data; it is not replaced, choose another name"
        )


def check_model_output(path: Path | None, data: Path | None, *, overwrite: bool) -> None:
    """Refuse, before any work, a model, beside ``data``, that could not or should not be written."""
    if path is None:
        return
    if data is not None and path.resolve() == data.resolve():
        raise ValueError(f"--model and --output must differ; found {str(path)!r} for both")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{str(path)!r} exists; choose another name, or replace it with --overwrite"
        )
    from grnrep.io.save import check_target

    check_target(path, overwrite=overwrite)


def read_network(path: Path) -> pd.DataFrame:
    """Read a table of edges, from standard input where ``path`` is "-"; the verbs check its columns."""
    import pandas as pd

    if path == STDIN:
        with telling(path):
            return _read_piped(sys.stdin.buffer.read())
    check_input(path, TABLE)
    with telling(path):
        if extension(path) == ".parquet":
            return pd.read_parquet(path)
        return _read_text(path, separator=_separator(path))


def _read_piped(content: bytes) -> pd.DataFrame:
    """A table whose name says nothing: its first bytes do."""
    import pandas as pd

    if content.startswith(_PARQUET):
        return pd.read_parquet(io.BytesIO(content))
    content = gzip.decompress(content) if content.startswith(_GZIP) else content
    header = content.split(b"\n", 1)[0]
    if not header.strip():
        raise ValueError("it is empty")
    return _read_text(io.BytesIO(content), separator="\t" if b"\t" in header else ",")


def _read_text(source: Path | io.BytesIO, *, separator: str) -> pd.DataFrame:
    import pandas as pd

    # Names stay text: "1433", and "nan" and "NA", which are genes (nanchung, narrow abdomen).
    table = pd.read_csv(
        source,
        sep=separator,
        dtype={"source": str, "target": str},
        keep_default_na=False,
        na_values={"source": [""], "target": [""], "weight": ["", "NA", "NaN", "nan"]},
        float_precision="round_trip",
    )
    for other, name in {",": "commas", "\t": "tabs", ";": "semicolons"}.items():
        if len(table.columns) == 1 and other in str(table.columns[0]):
            raise ValueError(f"its columns are separated by {name}, not by {separator!r}")
    return table


def write_table(table: pd.DataFrame, path: Path, *, index: bool = False) -> None:
    """Write a table; its index, where wanted, as columns."""
    table = table.reset_index() if index else table
    with replacing(path) as temporary:
        if extension(path) == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            # the time of writing would make every file another one
            packed = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
            table.to_csv(temporary, sep=_separator(path), index=False, compression=packed)


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as an image."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)


def write_text(text: str, path: Path) -> None:
    """Write text."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def extension(path: Path) -> str:
    """The end of a name that says what is in the file; of a compressed one with what it compresses."""
    inner = Path(path.stem).suffix if path.suffix == ".gz" else ""
    return inner + path.suffix


def _separator(path: Path) -> str:
    return "\t" if extension(path).startswith(".tsv") else ","


def _check_extension(path: Path, known: tuple[str, ...]) -> None:
    if extension(path) not in known:
        choice = " or ".join(filter(None, [", ".join(known[:-1]), known[-1]]))
        raise ValueError(
            f"{str(path)!r} must end in {choice}; found {extension(path) or 'no extension'}"
        )


def check_input(path: Path, known: tuple[str, ...]) -> None:
    """Refuse an input that is not there, or of no kind that is read."""
    _check_extension(path, known)
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist")


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Say which file could not be read; the libraries' messages often do not."""
    try:
        yield
    except Exception as error:
        why = str(error) or type(error).__name__
        what = "standard input" if path == STDIN else repr(str(path))
        kind = "a table" if path == STDIN else f"{extension(path)} data"
        raise ValueError(f"{what} could not be read as {kind}: {why}") from error
