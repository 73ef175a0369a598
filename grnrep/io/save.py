"""Write a learned decoder to a store of its own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zarr
from anndata import AnnData
from anndata.io import write_elem

from grnrep import __version__, _keys
from grnrep._checks import check_adata, check_key, record
from grnrep._record import read_decoder
from grnrep.io.card import check_card
from grnrep.io.store import FORMAT, RECORD, SHA256, VERSION, as_path, checksum, is_model
from grnrep.io.zipped import ZIP, pack
from grnrep.rows.atomic import replacing


def save(
    adata: AnnData,
    path: str | Path,
    *,
    card: Mapping[str, str] | None = None,
    key: str = _keys.FIT,
    overwrite: bool = False,
) -> None:
    """Save a learned decoder, without the cells that it was learned from.

    The model is a zarr store, a folder or, to be sent, one zipped file. It has all that the fit kept in
    ``adata.uns[key]``: edges with learned weights, genes, regulators, covariates and their effects, parameters
    and history. It appears whole or not at all, and has a checksum. :func:`grnrep.io.load` reads it.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` was run; only ``adata.uns[key]`` is used.
    path
        Where to write; must end in ``.zarr`` (a folder) or ``.zarr.zip`` (one file).
    card
        What those should know who use the model without having learned it: text under ``"data"`` (which cells,
        how normalised), ``"network"``, ``"licence"`` and ``"reference"``, each as wanted. :func:`grnrep.io.card`
        shows it. By default what the fit has, if it came from a model with a card.
    key
        Where the fit is in ``uns``.
    overwrite
        Whether to replace a model that is there; anything else is never replaced.

    Returns
    -------
    None.

    Raises
    ------
    FileExistsError, FileNotFoundError
        If ``path`` exists, or its folder does not.
    OSError
        If the disk is full, or may not be written to. What was at ``path`` is still there.
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and what would do.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> activity = np.random.default_rng(0).random((30, 2))
    >>> weights = np.array([[1.0, 2.0, 0.5, 0.0], [0.0, 1.0, 1.5, 3.0]])
    >>> adata = anndata.AnnData(activity @ weights, var=pd.DataFrame(index=["a", "b", "c", "d"]))
    >>> net = pd.DataFrame({"source": list("PPPQQQ"), "target": list("abcbcd")})
    >>> gr.tl.fit(adata, net, min_targets=3)
    >>> gr.io.save(adata, "model.zarr", overwrite=True)
    >>> gr.io.load("model.zarr").shape
    (0, 4)
    """
    check_adata(adata, min_obs=0)
    check_key("key", key)
    parts = _parts(adata, key)
    if card is not None:
        parts[_keys.CARD] = check_card(card)
    path = check_target(path, overwrite=overwrite)
    with replacing(path) as temporary:
        if path.suffix != ZIP:
            _write(parts, temporary, key)
            return
        with TemporaryDirectory() as folder:
            _write(parts, Path(folder), key)
            pack(Path(folder), temporary)


def check_target(path: str | Path, *, overwrite: bool) -> Path:
    """Return a path that a model can be written to, or say why it cannot."""
    path = as_path(path)
    if not path.name.endswith((".zarr", ".zarr" + ZIP)):
        raise ValueError(f"path must end in .zarr or .zarr.zip; found {str(path)!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"path {str(path)!r} is in a folder that does not exist; make it first"
        )
    if path.exists() and not is_model(path):
        raise FileExistsError(
            f"path {str(path)!r} exists and is no model; it is not replaced, choose another name"
        )
    if path.exists() and not overwrite:
        raise FileExistsError(f"path {str(path)!r} exists; choose another name, or overwrite it")
    return path


def _parts(adata: AnnData, key: str) -> dict[str, Any]:
    """What the record says of the decoder, after a check that a decoder can be read from it."""
    read_decoder(adata, key)
    parts = record(adata, key).items()
    return {
        name: part for name, part in parts if name != _keys.MISSING_GENES
    }  # is about other cells


def _write(parts: Mapping[str, Any], path: Path, key: str) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=3)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="zarr v3 autosharding"
        )  # of no matter for small arrays
        write_elem(group, RECORD, parts)
    attributes: dict[str, str | int] = {
        "format": FORMAT,
        "format_version": VERSION,
        "grnrep_version": __version__,
        "key": key,
    }
    group.attrs.update({**attributes, SHA256: checksum(path, attributes)})
