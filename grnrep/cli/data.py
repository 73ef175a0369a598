"""Data in files: opened without reading their expression, and written as a copy with what was found."""

from __future__ import annotations

import errno
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from grnrep.cli.files import DATA, check_input, check_output, telling
from grnrep.rows.atomic import replacing

if TYPE_CHECKING:
    from anndata import AnnData

_HELD = ("obs", "var", "obsm", "varm", "uns")  # read when data are opened
_RESULTS = ("obsm", "varm", "uns")  # what verbs write to


@dataclass(frozen=True, eq=False, kw_only=True)
class Data:
    """An h5ad file or zarr store that was opened.

    Parameters
    ----------
    path
        Where it lies.
    adata
        Its content; X, layers and raw stay in the file, and pairs of cells or genes are left out.
    found
        What was in ``obsm``, ``varm`` and ``uns``, by which it is known what a verb has set since.
    close
        Lets go of the file.
    """

    path: Path
    adata: AnnData
    found: Mapping[str, Mapping[str, object]]
    close: Callable[[], None]

    def changes(self) -> tuple[dict[str, Any], list[str]]:
        """What was set since, and what was removed, by its place, such as "obsm/grnrep"."""
        now = {part: dict(getattr(self.adata, part)) for part in _RESULTS}
        new = {
            f"{part}/{name}": value
            for part in _RESULTS
            for name, value in now[part].items()
            if self.found[part].get(name) is not value
        }
        gone = [
            f"{part}/{name}" for part in _RESULTS for name in self.found[part].keys() - now[part]
        ]
        return new, gone


@contextmanager
def opened(path: Path) -> Iterator[Data]:
    """Open data; whatever is computed of them reads their expression block by block."""
    from grnrep.io.codecs import check_codecs
    from grnrep.io.packaged import model_path
    from grnrep.io.store import is_model

    if is_model(model_path(path)):  # whose name may end in .zarr.zip, or in nothing
        raise ValueError(
            f"{str(path)!r} is a model, which has no cells; give data. To infer activities of cells with it: "
            "grnrep transform CELLS MODEL"
        )
    check_input(path, DATA)
    check_codecs(path)
    with telling(path):
        group, close = _open(path)
    try:
        with telling(path):
            adata = _content(group) if _by_element(group) else _whole(path)
        found = {part: dict(getattr(adata, part)) for part in _RESULTS}
        yield Data(path=path, adata=adata, found=found, close=close)
    finally:
        close()


def read_fits(path: Path) -> AnnData:
    """Read a model, or ``uns`` of an h5ad file or zarr store: all that projection needs, and not the rest."""
    from anndata import AnnData
    from anndata.io import read_elem

    from grnrep import io
    from grnrep.io.codecs import check_codecs
    from grnrep.io.packaged import model_path, not_there
    from grnrep.io.store import is_model

    path = model_path(path)
    if is_model(path):  # also one in a file
        return io.load(path)
    if not path.exists():
        raise FileNotFoundError(not_there(path))
    check_input(path, DATA)
    check_codecs(path)
    with telling(path):
        group, close = _open(path)
        try:
            return AnnData(uns=read_elem(group["uns"]))
        finally:
            close()


def check_data_output(path: Path | None, *, overwrite: bool) -> None:
    """Refuse, before any work, data that could not or should not be written."""
    if path is not None:
        check_output(path, DATA, overwrite=overwrite)


def write_data(adata: AnnData, path: Path) -> None:
    """Write data from memory to an h5ad file or zarr store."""
    with replacing(path) as temporary:
        if path.suffix == ".h5ad":
            adata.write_h5ad(temporary)
        else:
            adata.write_zarr(temporary)


def write_results(data: Data, path: Path) -> None:
    """Write a copy of the file that was opened, with what was set since.

    Everything else is copied as it lies on disk. Where the format changes it is read first, as a whole.
    """
    new, gone = data.changes()
    same = data.path.suffix == path.suffix
    if not (same and _splits(data.path)):
        adata = _whole(data.path)
        for place in gone:
            part, name = place.split("/", 1)
            del getattr(adata, part)[name]
        for place, value in new.items():
            part, name = place.split("/", 1)
            getattr(adata, part)[name] = value
        data.close()
        write_data(adata, path)
        return
    with replacing(path) as temporary:
        _copy(data.path, temporary)
        data.close()
        _set(temporary, new, gone)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    if source.is_dir():
        target.mkdir()
        for part in source.iterdir():
            _copy(part, target / part.name)
        return
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # of a full disk the source is named
            error.filename = str(target)
        raise


def _set(path: Path, new: Mapping[str, Any], gone: list[str]) -> None:
    """Set elements of a file, and remove some."""
    import zarr
    from anndata.io import write_elem

    group, close = _open(path, mode="r+")
    try:
        for place in gone:
            del group[place]
        for place, value in new.items():
            if place in group:
                del group[place]
            write_elem(group, place, value)
        if isinstance(group, zarr.Group):
            with warnings.catch_warnings():
                # as anndata writes it; readable by all that read anndata
                warnings.filterwarnings("ignore", message="Consolidated metadata")
                zarr.consolidate_metadata(group.store)
    finally:
        close()


def _open(path: Path, mode: Literal["r", "r+"] = "r") -> tuple[Any, Callable[[], None]]:
    """The root of a file, and what closes it."""
    import h5py
    import zarr

    if path.suffix == ".h5ad":
        file = h5py.File(path, mode)
        return file, file.close
    return zarr.open_group(path, mode=mode, use_consolidated=False), lambda: None


def _splits(path: Path) -> bool:
    group, close = _open(path)
    try:
        return _by_element(group)
    finally:
        close()


def _by_element(group: Any) -> bool:
    """Whether this was written element by element, as anndata has done since 0.7."""
    parts = all(hasattr(group[part], "keys") for part in _HELD if part in group)
    return parts and group.attrs.get("encoding-type") == "anndata"


def _whole(path: Path) -> AnnData:
    """Read all of it."""
    import anndata as ad

    return ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)


def _content(group: Any) -> AnnData:
    """Read what is held, and open what is large."""
    from anndata import AnnData
    from anndata.io import read_elem

    held = {part: read_elem(group[part]) for part in _HELD if part in group}
    layers = {}
    if "layers" in group:
        layers = {name: _values(group["layers"][name]) for name in group["layers"]}
    raw = None
    if "raw/X" in group:
        raw = {"X": _values(group["raw/X"]), "var": read_elem(group["raw/var"])}
    x = _values(group["X"]) if "X" in group else None
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".* names are not unique"
        )  # verbs say what matters
        return AnnData(X=x, layers=layers, raw=raw, **held)


def _values(node: Any) -> Any:
    """Values that stay in their file; None for an X that is not there."""
    from anndata.io import read_elem, sparse_dataset

    encoding = node.attrs.get("encoding-type", "array")
    if encoding in ("csr_matrix", "csc_matrix"):
        return sparse_dataset(node)
    return node if encoding == "array" and getattr(node, "ndim", 0) == 2 else read_elem(node)
