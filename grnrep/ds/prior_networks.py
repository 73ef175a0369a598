"""Prior networks of human regulators and pathways, as decoupler has them: CollecTRI, DoRothEA, PROGENy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from grnrep._checks import check_whole, some
from grnrep.ds._files import download, find, folders_of
from grnrep.ds._rda import read_rda


class _Published(NamedTuple):
    """A file that somebody else publishes and that never changes, and other names that a local copy may have."""

    url: str
    name: str
    known_hash: str
    also: tuple[str, ...] = ()


# of the record 8192729; Zenodo's own md5 is cee4a3943c059e6dd8796ced6dec44f6
_COLLECTRI: Final = _Published(
    "https://zenodo.org/records/8192729/files/",
    "CollecTRI_regulons.csv",
    "sha256:4473c9189dd53dacc80297709ad1452dda1086a1cc2185f9a56146c261668701",
    ("collectri_human.csv",),
)
# of the package progeny, by its last commit; that of its version 1.20.0 is the same
_PROGENY: Final = _Published(
    "https://raw.githubusercontent.com/saezlab/progeny/cad6be0514c3248b9465e48f1cfd2f6a4c3dfb6f/data/",
    "model_human_full.rda",
    "sha256:3094f1fa1bb5395c1074280402c0e30ef47ba9ec36f4829ca3e539d019255ee5",
)

_FOLDER: Final = "networks"  # in the data folder
_LEVELS: Final = ("A", "B", "C", "D", "E")
# other names of the same columns: of dorothea and progeny, and of decoupler's first versions
_NAMES: Final = {
    "tf": "source",
    "pathway": "source",
    "gene": "target",
    "genesymbol": "target",
    "mor": "weight",
    "p.value": "p_value",
    "padj": "p_value",
}


def collectri(*, path: str | os.PathLike[str] | None = None, progress: bool = True) -> pd.DataFrame:
    """Load CollecTRI: 43,175 signed edges of 1,186 human transcription factors.

    The file that decoupler reads, from Zenodo, kept in the user's cache; its sha256 is compared. Unlike
    ``decoupler.op.collectri``, edges without a literature reference (185) stay.

    Parameters
    ----------
    path
        A file of your own instead: CSV, TSV, parquet or .rda with columns ``source``, ``target`` and
        ``weight``. By default ``networks/CollecTRI_regulons.csv`` in the folder that the environment
        variable ``GRNREP_DATA_DIR`` names, or else the download.
    progress
        Whether to show a progress bar for a download.

    Returns
    -------
    DataFrame with columns ``source``, ``target`` and ``weight`` (1: activates, -1: represses). The complexes
    AP1 and NFKB are sources too.

    Raises
    ------
    OSError
        If the file is not there and cannot be downloaded; the message says what to get and where to put it.
    ValueError
        If a file lacks a column or cannot be read.

    References
    ----------
    Müller-Dott et al. (2023), Expanding the coverage of regulons from high-confidence prior knowledge for
    accurate estimation of transcription factor activities, Nucleic Acids Research 51:10934. CC BY 4.0.

    Examples
    --------
    >>> import grnrep as gr
    >>> net = gr.ds.collectri()  # doctest: +SKIP

    Any file with the same columns does:

    >>> import pandas as pd
    >>> table = pd.DataFrame({"source": ["MYC"], "target": ["TERT"], "weight": [1]})
    >>> table.to_csv("mine.csv", index=False)
    >>> gr.ds.collectri(path="mine.csv")
      source target  weight
    0    MYC   TERT     1.0
    """
    table = _table(path, _COLLECTRI, progress=progress)
    return _edges(table, [])


def progeny(
    top: int | None = 500,
    *,
    path: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Load PROGENy: genes that respond to 14 human signalling pathways, with weights from perturbations.

    The table of the package progeny, kept in the user's cache; its sha256 is compared. Weights are
    coefficients with magnitudes; :func:`grnrep.tl.fit` uses their signs, and with ``magnitudes=True`` their sizes.

    Parameters
    ----------
    top
        So many genes of every pathway, those of least p-value; None for all.
    path
        A file of your own instead; see :func:`collectri`. By default ``networks/model_human_full.rda`` in
        the folder that ``GRNREP_DATA_DIR`` names, or else the download.
    progress
        Whether to show a progress bar for a download.

    Returns
    -------
    DataFrame with columns ``source`` (pathway), ``target``, ``weight`` and, where the file has one, ``p_value``.

    Raises
    ------
    OSError
        If the file is not there and cannot be downloaded; the message says what to get and where to put it.
    ValueError
        If a file lacks a column or cannot be read.

    References
    ----------
    Schubert et al. (2018), Perturbation-response genes reveal signaling footprints in cancer gene expression,
    Nature Communications 9:20. Apache 2.0.

    Examples
    --------
    >>> import grnrep as gr
    >>> net = gr.ds.progeny(top=100)  # doctest: +SKIP

    >>> import pandas as pd
    >>> table = {"pathway": "p53", "gene": ["MDM2", "BAX"], "weight": [9.1, 3.0], "p.value": [1e-9, 0.2]}
    >>> pd.DataFrame(table).to_csv("mine.csv", index=False)
    >>> gr.ds.progeny(top=1, path="mine.csv")["target"].tolist()
    ['MDM2']
    """
    if top is not None:
        check_whole("top", top)
    table = _table(path, _PROGENY, progress=progress)
    net = _edges(table, [], also=["p_value"])
    if "p_value" in net:
        net = net.sort_values(["source", "p_value", "target"], ignore_index=True)
    elif top is not None:
        raise ValueError(
            f"top={top} needs a column p_value (or p.value, padj) in the file; found {some(table, 10)}. "
            "Use top=None for all edges"
        )
    return net if top is None else net.groupby("source").head(top).reset_index(drop=True)


def dorothea(
    levels: Sequence[str] = ("A", "B", "C"), *, path: str | os.PathLike[str] | None = None
) -> pd.DataFrame:
    """Load DoRothEA: edges of human transcription factors with a level of confidence, A (best) to E.

    From a file of your own, or through decoupler (``pip install 'grnrep[peers]'``), which asks the OmniPath
    service each time: what that answers changes, so that it has no checksum, and is not kept here. Write it
    to a file, and pass that as ``path``, for work that is to be repeated.

    Parameters
    ----------
    levels
        Levels to keep, of "A" to "E"; decoupler has "A" to "D".
    path
        File with columns ``source`` (or ``tf``), ``target``, ``weight`` (or ``mor``) and ``confidence``: CSV,
        TSV, parquet, or ``dorothea_hs.rda`` as in the folder data of the repository saezlab/dorothea.

    Returns
    -------
    DataFrame with columns ``source``, ``target``, ``weight`` (1: activates, -1: represses) and ``confidence``.

    Raises
    ------
    ImportError
        If there is no ``path`` and decoupler is not installed.
    OSError
        If there is no ``path`` and the service cannot be reached.
    ValueError
        If ``levels`` are unknown, or a file lacks a column or cannot be read.

    References
    ----------
    Garcia-Alonso et al. (2019), Benchmark and integration of resources for the estimation of human
    transcription factor activities, Genome Research 29:1363.

    Examples
    --------
    >>> import grnrep as gr
    >>> net = gr.ds.dorothea(levels=("A", "B"))  # doctest: +SKIP

    >>> import pandas as pd
    >>> table = {"tf": ["SPI1", "SPI1"], "target": ["CD14", "MYC"], "mor": [1, -1], "confidence": ["A", "D"]}
    >>> pd.DataFrame(table).to_csv("mine.csv", index=False)
    >>> gr.ds.dorothea(path="mine.csv")["target"].tolist()
    ['CD14']
    """
    levels = [levels] if isinstance(levels, str) else list(levels)
    if not levels or not set(levels) <= set(_LEVELS):
        raise ValueError(f"levels must be some of {some(_LEVELS, 5)}; found {some(levels, 5)}")
    table = _from_decoupler(levels) if path is None else _read_table(path)
    net = _edges(table, ["confidence"])
    net["weight"] = np.sign(net["weight"])
    return net[net["confidence"].isin(levels)].reset_index(drop=True)


def _from_decoupler(levels: list[str]) -> pd.DataFrame:
    remedy = "get dorothea_hs.rda from the folder data of https://github.com/saezlab/dorothea and pass it as path"
    if "E" in levels:
        raise ValueError(f"level 'E' is not to be had through decoupler: {remedy}")
    try:
        import decoupler
    except ImportError as error:
        raise ImportError(
            f"without path, DoRothEA comes through decoupler: pip install 'grnrep[peers]'; or {remedy}"
        ) from error
    try:
        table: pd.DataFrame = decoupler.op.dorothea(levels=levels)
    except OSError as error:  # of requests too
        raise OSError(f"OmniPath could not be reached for DoRothEA ({error}); {remedy}") from error
    return table


def _table(
    path: str | os.PathLike[str] | None, published: _Published, *, progress: bool
) -> pd.DataFrame:
    """The user's own file, or the published one from a local folder or the cache."""
    if path is not None:
        return _read_table(path)
    folders = folders_of(None, _FOLDER) or [Path("$GRNREP_DATA_DIR") / _FOLDER]
    found = find(folders, published.name, *published.also)
    if found is None:
        found = download(
            published.url,
            published.name,
            known_hash=published.known_hash,
            folders=folders,
            progress=progress,
            hint=", or anywhere else, and name it by path=",
        )
    return _read_table(found)


def _read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table by the ending of its file: .rda, .parquet, .tsv or .txt, else as CSV; also compressed."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r} is no file")
    endings = {ending.lower() for ending in path.suffixes}
    if endings & {".rda", ".rdata"}:
        tables = list(read_rda(path).values())
        if len(tables) != 1:
            raise ValueError(f"{str(path)!r} must hold one data frame; found {len(tables)}")
        return tables[0]
    try:
        if ".parquet" in endings:
            return pd.read_parquet(path)
        return pd.read_csv(path, sep="\t" if endings & {".tsv", ".txt"} else ",")
    except (ValueError, OSError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as a table: {error}") from error


def _edges(table: pd.DataFrame, columns: list[str], *, also: Sequence[str] = ()) -> pd.DataFrame:
    """Edges of a table, each once, with the columns that it must have, and those that it may have."""
    here: Mapping[str, str] = {
        old: new for old, new in _NAMES.items() if old in table and new not in table
    }
    table = table.rename(columns=here)
    wanted = ["source", "target", "weight", *columns]
    missing = [name for name in wanted if name not in table]
    if missing:
        raise ValueError(
            f"the file must have columns {some(wanted, 5)}; missing {some(missing, 5)}, found {some(table, 10)}"
        )
    wanted += [name for name in also if name in table and name not in wanted]
    edges = table[wanted].dropna(subset=["source", "target"]).drop_duplicates(["source", "target"])
    return edges.astype({"source": str, "target": str, "weight": np.float64}).reset_index(drop=True)
