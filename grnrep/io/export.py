"""Results as plain tables."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import activities, check_adata, check_choice, record
from grnrep._edges import edge_table
from grnrep._marginal import marginal_activities
from grnrep.io.store import as_path
from grnrep.rows.atomic import replacing

FORMATS: Final = ("csv", "csv.gz", "parquet")


def export(
    adata: AnnData,
    folder: str | Path,
    *,
    key: str = _keys.FIT,
    format: str = "csv",
    marginal: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write activities, edges, regulators and genes of a fit as tables, for R, spreadsheets and others.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` or :func:`grnrep.tl.transform` was run.
    folder
        Where to write; it is made if it is not there.
    key
        Where the fit is in ``adata.uns``, and its activities in ``adata.obsm``.
    format
        ``"csv"``, ``"csv.gz"`` or ``"parquet"``.
    marginal
        Whether to write scores of every regulator by itself too; see :func:`grnrep.get.activity`.
    overwrite
        Whether to replace files of the same names.

    Returns
    -------
    Paths of what was written, with the ending of the format:

    ``activity``
        Cells × regulators, the names of cells in the first column.
    ``activity_sd``
        The same of their standard deviations, where there are any.
    ``activity_marginal``
        The same of marginal scores, where asked for.
    ``network``
        A row per edge; see :func:`grnrep.get.network`.
    ``regulators``, ``genes``
        What the fit says of each, by name; see :func:`grnrep.tl.fit` and :func:`grnrep.get.activity`.
    ``dropped_regulators``
        Who was left out of the fit, and why.

    Every file is there whole or not at all.

    Raises
    ------
    KeyError
        If there is no fit, or no activities, under ``key``.
    ValueError
        If the format is unknown, or marginal scores cannot be had.
    FileExistsError
        If a file is there and is not to be replaced, or ``folder`` is a file.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=3, connectivity=0.3, rng=0, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> [path.name for path in gr.io.export(adata, "tables")]
    ['activity.csv', 'network.csv', 'regulators.csv', 'genes.csv', 'dropped_regulators.csv']
    """
    check_adata(adata)
    check_choice("format", format, FORMATS)
    folder = as_path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"folder {str(folder)!r} is a file; choose another name")
    tables = _tables(adata, key, marginal=marginal)
    paths = {name: folder / f"{name}.{format}" for name in tables}
    there = [str(path) for path in paths.values() if path.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{there[0]!r} exists; choose another folder, or replace it with overwrite=True"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        index = name != _keys.NETWORK
        with replacing(paths[name]) as temporary:
            if format == "parquet":
                table.to_parquet(temporary, index=index)
            else:
                # the time of writing would make every file another one
                packed = {"method": "gzip", "mtime": 0} if format == "csv.gz" else None
                label = "cell" if name.startswith("activity") else "name"
                table.to_csv(temporary, index=index, index_label=label, compression=packed)
    return list(paths.values())


def _tables(adata: AnnData, key: str, *, marginal: bool) -> dict[str, pd.DataFrame]:
    kept = record(adata, key)
    tables = {"activity": activities(adata, key)}
    if key + _keys.SD in adata.obsm:
        sd = pd.DataFrame(adata.obsm[key + _keys.SD])
        tables["activity_sd"] = sd.set_axis(tables["activity"].columns, axis=1).set_axis(
            adata.obs_names
        )
    if marginal:
        alone, regulators = marginal_activities(adata, key, verb="export")
        tables["activity_marginal"] = pd.DataFrame(alone.score, adata.obs_names, regulators)
    tables[_keys.NETWORK] = edge_table(adata, key)
    tables[_keys.REGULATORS] = kept[_keys.REGULATORS]
    tables[_keys.GENES] = kept[_keys.GENES]
    dropped = kept.get(_keys.DROPPED_REGULATORS)
    if isinstance(dropped, pd.DataFrame):
        tables[_keys.DROPPED_REGULATORS] = dropped
    return tables
