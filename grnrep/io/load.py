"""Read a learned decoder back from its store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import read_elem
from scipy.sparse import csr_matrix

from grnrep import __version__
from grnrep._checks import check_key, some
from grnrep._record import read_decoder
from grnrep.io.codecs import check_codecs
from grnrep.io.packaged import model_path, not_there
from grnrep.io.store import (
    DOCUMENT,
    FORMAT,
    RECORD,
    SHA256,
    VERSION,
    WHOLE,
    checksum,
    is_store,
    read_document,
)
from grnrep.io.zipped import unpacked


def load(path: str | Path) -> AnnData:
    """Load a decoder that was saved, to infer activities of new cells with.

    Parameters
    ----------
    path
        What :func:`grnrep.io.save` wrote, a folder or one file. Where nothing is there, the name of a model that comes
        with the package (:func:`grnrep.ds.decoder`).

    Returns
    -------
    Annotated data without cells, 0 × genes of the decoder, the second argument of
    :func:`grnrep.tl.transform`. Under the ``key`` that it was saved from, ``uns`` has what the fit kept,
    and ``varm`` the learned weights, :class:`~scipy.sparse.csr_matrix` (n_vars, n_regulators), float32.

    Raises
    ------
    FileNotFoundError
        If nothing is at ``path``.
    ValueError
        If it is no model, one of a newer format or version, damaged, or needs a codec that could run code;
        the message says what would do.
    TypeError
        If ``path`` is none.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> activity = np.random.default_rng(0).random((40, 2))
    >>> weights = np.array([[1.0, 2.0, 0.5, 0.0], [0.0, 1.0, 1.5, 3.0]])
    >>> data = anndata.AnnData(activity @ weights, var=pd.DataFrame(index=["a", "b", "c", "d"]))
    >>> net = pd.DataFrame({"source": list("PPPQQQ"), "target": list("abcbcd")})
    >>> adata, new = data[:30].copy(), data[30:].copy()
    >>> gr.tl.fit(adata, net, min_targets=3)
    >>> gr.io.save(adata, "model.zarr", overwrite=True)
    >>> model = gr.io.load("model.zarr")
    >>> gr.tl.transform(new, model)
    >>> new.obsm["grnrep"].shape
    (10, 2)
    """
    return read_model(path)[0]


def read_model(path: str | Path) -> tuple[AnnData, Mapping[str, Any]]:
    """Read a model, and what it says beside its record: its key, version and checksum."""
    path = model_path(path)
    with unpacked(path) as store:
        attributes = _check(store)
        try:
            group = zarr.open_group(store, mode="r", zarr_format=3, use_consolidated=False)
            found = read_elem(group[RECORD])
        except Exception as error:
            raise ValueError(
                f"path {str(path)!r} is whole, but could not be read: {error}. It was written by grnrep "
                f"{attributes.get('grnrep_version')}; this is {__version__}. Update grnrep and anndata"
            ) from error
    key = attributes["key"]
    model = AnnData(uns={key: _plain(found)})
    try:
        decoder = read_decoder(model, key, name="model")
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"path {str(path)!r} is whole, but cannot be used: {error.args[0]}"
        ) from error
    weights = csr_matrix(decoder.weights(), dtype=np.float32)
    model = AnnData(var=pd.DataFrame(index=decoder.genes), uns=model.uns, varm={key: weights})
    return model, attributes


def _check(path: Path) -> Mapping[str, Any]:
    """Check that this is a model, whole, of a format that is known; return its attributes."""
    what = f"path {str(path)!r}"
    if not path.exists():
        raise FileNotFoundError(f"path {not_there(path)}")
    if not is_store(path):
        raise ValueError(f"{what} is no zarr store. Pass what grnrep.io.save wrote")
    document = read_document(path)
    attributes = document["attributes"]
    if attributes.get("format") != FORMAT:
        raise ValueError(
            f"{what} is a zarr store, but no model. Pass what grnrep.io.save wrote; data with a fit in uns, "
            "read with anndata.read_zarr, are of use as they are"
        )
    version = attributes.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"{what} is damaged: its format_version is {version!r}. {WHOLE}")
    if version > VERSION:
        raise ValueError(
            f"{what} has format {version}, written by grnrep {attributes.get('grnrep_version')}; "
            f"this is grnrep {__version__}, which reads formats up to {VERSION}. Update grnrep"
        )
    more = {name for name, part in document.items() if part is not None} - DOCUMENT
    more |= {name for name, part in attributes.items() if not isinstance(part, str | int)}
    if more:  # consolidated metadata, say, which zarr would believe instead of those that the checksum is of
        raise ValueError(
            f"{what} is damaged: it has {some(sorted(more))}, as no model does. {WHOLE}"
        )
    if attributes.get(SHA256) != checksum(path, attributes):
        hidden = [str(file.relative_to(path)) for file in sorted(path.rglob(".*"))]
        extra = f" (remove what is hidden: {some(hidden)})" if hidden else ""
        raise ValueError(
            f"{what} is damaged: files in it are missing, truncated, changed or added, as its checksum "
            f"shows{extra}. {WHOLE}, or save the model again"
        )
    try:
        check_key("key", attributes.get("key"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} is damaged: {error}. {WHOLE}") from error
    check_codecs(path)
    return attributes


def _plain(part: Any) -> Any:
    """Give arrays of text the type that a fit keeps; zarr has one of its own."""
    if isinstance(part, dict):
        return {name: _plain(value) for name, value in part.items()}
    if isinstance(part, np.ndarray) and part.dtype.kind == "T":
        return part.astype(object)
    return part
