"""Read and write by file extension; every output appears complete or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from grnrep.rows.atomic import replacing

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.figure import Figure

DATA = (".h5ad", ".zarr")
TABLE = (".csv", ".tsv", ".parquet")


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


def check_model_output(path: Path | None, data: Path, *, overwrite: bool) -> None:
    """Refuse, before any work, a model, beside ``data``, that could not or should not be written."""
    if path is None:
        return
    if path.resolve() == data.resolve():
        raise ValueError(f"--model and --output must differ; found {str(path)!r} for both")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{str(path)!r} exists; choose another name, or replace it with --overwrite"
        )
    from grnrep.io.save import check_target

    check_target(path, overwrite=overwrite)


def read_data(path: Path) -> AnnData:
    """Read all of an h5ad file or zarr store."""
    import anndata as ad

    from grnrep.io.codecs import check_codecs
    from grnrep.io.store import is_model

    _check_input(path, DATA)
    if is_model(path):
        raise ValueError(f"{str(path)!r} is a model, which has no cells; give data")
    check_codecs(path)
    with _telling(path):
        return ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)


def read_fits(path: Path) -> AnnData:
    """Read a model, or ``uns`` of an h5ad file or zarr store: all that projection needs, and not the rest."""
    import h5py
    import zarr
    from anndata import AnnData
    from anndata.io import read_elem

    from grnrep import io
    from grnrep.io.codecs import check_codecs
    from grnrep.io.store import is_model

    _check_input(path, DATA)
    if is_model(path):
        return io.load(path)
    check_codecs(path)
    with _telling(path):
        if path.suffix == ".zarr":
            return AnnData(uns=read_elem(zarr.open_group(path, mode="r")["uns"]))
        with h5py.File(path, "r") as file:
            return AnnData(uns=read_elem(file["uns"]))


def read_network(path: Path) -> pd.DataFrame:
    """Read a table of edges; the verbs check its columns."""
    import pandas as pd

    _check_input(path, TABLE)
    with _telling(path):
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        # Names stay text: "1433", and "nan" and "NA", which are genes (nanchung, narrow abdomen).
        return pd.read_csv(
            path,
            sep="\t" if path.suffix == ".tsv" else ",",
            dtype={"source": str, "target": str},
            keep_default_na=False,
            na_values={"source": [""], "target": [""], "weight": ["", "NA", "NaN", "nan"]},
            float_precision="round_trip",
        )


def write_data(adata: AnnData, path: Path) -> None:
    """Write an h5ad file or zarr store."""
    with replacing(path) as temporary, warnings.catch_warnings():
        # a default of anndata, and readable
        warnings.filterwarnings("ignore", message="Writing zarr v2")
        if path.suffix == ".h5ad":
            adata.write_h5ad(temporary)
        else:
            adata.write_zarr(temporary)


def write_table(table: pd.DataFrame, path: Path, *, index: bool = False) -> None:
    """Write a table; its index, where wanted, as columns."""
    table = table.reset_index() if index else table
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, sep="\t" if path.suffix == ".tsv" else ",", index=False)


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as an image."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _check_extension(path: Path, known: tuple[str, ...]) -> None:
    if path.suffix not in known:
        raise ValueError(
            f"{str(path)!r} must end in {', '.join(known[:-1])} or {known[-1]}; "
            f"found {path.suffix or 'no extension'}"
        )


def _check_input(path: Path, known: tuple[str, ...]) -> None:
    _check_extension(path, known)
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist")


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Say which file could not be read; the libraries' messages often do not."""
    try:
        yield
    except Exception as error:
        why = str(error) or type(error).__name__
        raise ValueError(f"{str(path)!r} could not be read as {path.suffix} data: {why}") from error
