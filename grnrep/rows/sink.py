"""Where the activities of cells go as they come: tables in memory, or a store on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import zarr
from anndata import AnnData

from grnrep.rows.atomic import replacing

ACTIVITY, SD, FREE = "activity", "sd", "free"
_PLACES = {ACTIVITY: "X", SD: "layers/sd", FREE: "obsm/free"}
_RUN = "run"  # attribute of a store: the run that wrote it, and the names of what it wrote
_METADATA = ("zarr.json", ".zarray", ".zgroup")  # files of groups and arrays


class Sink(Protocol):
    """Takes values (cells, n_columns) of some rows at a time; at the end it has them all."""

    in_file_order: bool  # whether rows must come as they are in the data

    def write(self, rows: np.ndarray, values: np.ndarray, part: str = ACTIVITY) -> None:
        """Put values at the positions ``rows``."""

    def result(self, part: str = ACTIVITY) -> Any:
        """What to set in obsm."""


class Memory:
    """Tables in memory, float32.

    Parameters
    ----------
    cells
        Names of rows.
    parts
        Which there are, and the names of their columns.
    """

    in_file_order = False

    def __init__(self, cells: pd.Index, parts: Mapping[str, pd.Index]):
        self.cells, self.parts = cells, parts
        self.values = {
            part: np.full((len(cells), len(columns)), np.nan, dtype=np.float32)
            for part, columns in parts.items()
        }

    def write(self, rows: np.ndarray, values: np.ndarray, part: str = ACTIVITY) -> None:
        """Put values at the positions ``rows``."""
        self.values[part][rows] = values

    def result(self, part: str = ACTIVITY) -> pd.DataFrame:
        """What to set in obsm."""
        return pd.DataFrame(self.values[part], index=self.cells, columns=self.parts[part])


class Disk:
    """An AnnData store (zarr) cells × columns, with the activities as X; see :class:`Memory`.

    Parameters
    ----------
    path
        Where the store is written, and where it will be in the end.
    cells, parts
        As in :class:`Memory`.
    n_rows
        Rows of a chunk.
    run
        Name of the run that writes it, by which the same run knows it again; none is kept if it is None.
    """

    in_file_order = True

    def __init__(
        self,
        path: Path,
        final: Path,
        cells: pd.Index,
        parts: Mapping[str, pd.Index],
        n_rows: int,
        run: str | None = None,
    ):
        self.final = final
        AnnData(obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=parts[ACTIVITY])).write_zarr(
            path
        )
        group = zarr.open_group(path, mode="r+", use_consolidated=False)
        self.arrays = {}
        for part, columns in parts.items():
            shape = (len(cells), len(columns))
            array = group.create_array(
                _PLACES[part], shape=shape, chunks=(min(n_rows, shape[0]), shape[1]), dtype="float32",
                fill_value=np.nan, overwrite=True,
            )  # fmt: skip
            array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            self.arrays[part] = array
        if run is not None:
            group.attrs[_RUN] = [run, *_nodes(path)]
        zarr.consolidate_metadata(group.store)

    def write(self, rows: np.ndarray, values: np.ndarray, part: str = ACTIVITY) -> None:
        """Put values at the positions ``rows``."""
        array, by_row = self.arrays[part], np.argsort(rows)
        rows, values = rows[by_row], values[by_row]
        if rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
            array[rows[0] : rows[-1] + 1] = values
        else:
            array.oindex[rows] = values

    def result(self, part: str = ACTIVITY) -> Any:
        """What to set in obsm: a dask array of the store, once it is in its place."""
        import dask.array

        return dask.array.from_zarr(str(self.final), component=_PLACES[part])


@contextmanager
def open_sink(
    path: str | Path | None,
    cells: pd.Index,
    parts: Mapping[str, pd.Index],
    *,
    n_rows: int,
    run: str | None = None,
) -> Iterator[Sink]:
    """Open tables in memory, or a store at ``path``, held alone, which is there in the end or not at all."""
    if path is None:
        yield Memory(cells, parts)
        return
    with replacing(Path(path), alone=True) as temporary:
        yield Disk(temporary, Path(path).resolve(), cells, parts, n_rows, run)


def run_of(path: str | Path) -> str | None:
    """The run that wrote a store; None if nobody said, it is none, or something was added to it."""
    try:
        kept = zarr.open_group(path, mode="r").attrs[_RUN]
    except (OSError, ValueError, KeyError, TypeError):  # of zarr, where there is no group
        return None
    if not isinstance(kept, list) or kept[1:] != _nodes(Path(path)):
        return None
    return kept[0] if isinstance(kept[0], str) else None


def _nodes(path: Path) -> list[str]:
    """Names of all groups and arrays of a store."""
    files = (file for name in _METADATA for file in path.rglob(name))
    return sorted(file.parent.relative_to(path).as_posix() for file in files)


def check_store(path: str | Path | None, *, of_a_run: bool = False) -> None:
    """Check, before any work, that activities can be written: where nothing is, or where a run wrote."""
    if path is None:
        return
    if not isinstance(path, str | Path):
        raise TypeError(f"activity_store must be a path, or None; found {type(path).__name__}")
    path = Path(path)
    if path.suffix != ".zarr":
        raise ValueError(f"activity_store must end in .zarr; found {str(path)!r}")
    if path.exists() and not (of_a_run and run_of(path)):
        raise ValueError(
            f"activity_store={str(path)!r} exists already; remove it, or choose another name"
        )
    if not path.resolve().parent.is_dir():
        raise ValueError(
            f"activity_store={str(path)!r}: there is no folder {str(path.resolve().parent)!r}"
        )
    try:
        import dask.array  # noqa: F401
    except ImportError as error:
        raise ImportError("activity_store needs dask: pip install 'grnrep[dask]'") from error
