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
from grnrep._record import read_decoder
from grnrep.io.store import FORMAT, RECORD, SHA256, VERSION, as_path, checksum, is_store, read_attributes


def load(path: str | Path) -> AnnData:
    """Load a decoder that was saved, to infer activities of new cells with.

    Parameters
    ----------
    path
        What :func:`grnrep.io.save` wrote.

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
        If it is no model, one of a newer format, or damaged; the message says what would do.
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
    >>> gr.tl.fit(adata, net)
    >>> gr.io.save(adata, "model.zarr", overwrite=True)
    >>> model = gr.io.load("model.zarr")
    >>> gr.tl.transform(new, model)
    >>> new.obsm["grnrep"].shape
    (10, 2)
    """
    path = as_path(path)
    attributes = _check(path)
    try:
        found = read_elem(zarr.open_group(path, mode="r", zarr_format=3)[RECORD])
    except Exception as error:
        raise ValueError(
            f"path {str(path)!r} is whole, but could not be read: {error}. It was written by grnrep "
            f"{attributes['grnrep_version']}; this is {__version__}. Update grnrep and anndata"
        ) from error
    key = attributes["key"]
    model = AnnData(uns={key: _plain(found)})
    decoder = read_decoder(model, key)
    weights = csr_matrix(decoder.weights(), dtype=np.float32)
    return AnnData(var=pd.DataFrame(index=decoder.genes), uns=model.uns, varm={key: weights})


def _check(path: Path) -> Mapping[str, Any]:
    """Check that this is a model, whole, of a format that is known; return its attributes."""
    what = f"path {str(path)!r}"
    if not path.exists():
        raise FileNotFoundError(f"{what} does not exist")
    if not is_store(path):
        raise ValueError(f"{what} is no zarr store. Pass what grnrep.io.save wrote")
    attributes = read_attributes(path)
    if attributes.get("format") != FORMAT:
        raise ValueError(
            f"{what} is a zarr store, but no model. Pass what grnrep.io.save wrote; data with a fit in uns, "
            "read with anndata.read_zarr, are of use as they are"
        )
    version = attributes.get("format_version")
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"{what} has format {version}, written by grnrep {attributes.get('grnrep_version')}; "
            f"this is grnrep {__version__}, which reads formats up to {VERSION}. Update grnrep"
        )
    if attributes.get(SHA256) != checksum(path, attributes):
        raise ValueError(
            f"{what} is damaged: files in it are missing, truncated or changed, as its checksum shows. Take "
            "a copy that is whole, or save the model again"
        )
    return attributes


def _plain(part: Any) -> Any:
    """Give arrays of text the type that a fit keeps; zarr has one of its own."""
    if isinstance(part, dict):
        return {name: _plain(value) for name, value in part.items()}
    if isinstance(part, np.ndarray) and part.dtype.kind == "T":
        return part.astype(object)
    return part
