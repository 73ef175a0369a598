"""What a model says of itself to those who did not learn it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from grnrep import _keys
from grnrep._checks import some
from grnrep.io.load import read_model
from grnrep.io.store import SHA256

_GIVEN: Final = ("data", "network", "licence", "reference")
_LEARNED: Final = {"cells": "n_obs_learned", "likelihood": "likelihood", "load": "effective_load"}


def check_card(card: Mapping[str, str]) -> dict[str, str]:
    """Check what is to be said of a model: text under names that are known."""
    if not isinstance(card, Mapping):
        raise TypeError(
            f"card must be a mapping, such as {{'data': ..., 'network': ..., 'licence': ...}}; "
            f"found {type(card).__name__}"
        )
    unknown = [name for name in card if name not in _GIVEN]
    if unknown:
        raise ValueError(f"card can have {some(_GIVEN, 9)}; found {some(map(str, unknown))}")
    empty = [n for n, text in card.items() if not isinstance(text, str) or not text.strip()]
    if empty:
        raise ValueError(f"card must have text under {some(empty)}; found {card[empty[0]]!r}")
    return {name: card[name] for name in _GIVEN if name in card}


def card(path: str | Path) -> pd.Series:
    """Read what a model says of itself.

    Parameters
    ----------
    path
        What :func:`grnrep.io.save` wrote.

    Returns
    -------
    Series of text and numbers: what was given as ``card`` (data, network, licence, reference), then what the
    fit itself knows: key, likelihood, cells that it learned from, genes, regulators, edges, effective load,
    version of grnrep, and the checksum, sha256, which tells two models apart.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As :func:`grnrep.io.load`, which reads all of it.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> activity = np.random.default_rng(0).random((40, 2))
    >>> weights = np.array([[1.0, 2.0, 0.5, 0.0], [0.0, 1.0, 1.5, 3.0]])
    >>> adata = anndata.AnnData(activity @ weights, var=pd.DataFrame(index=["a", "b", "c", "d"]))
    >>> net = pd.DataFrame({"source": list("PPPQQQ"), "target": list("abcbcd")})
    >>> gr.tl.fit(adata, net, min_targets=3)
    >>> about = {"data": "40 simulated cells", "network": "made up", "licence": "CC0-1.0"}
    >>> gr.io.save(adata, "model.zarr.zip", card=about, overwrite=True)
    >>> gr.io.card("model.zarr.zip")[["licence", "cells", "genes"]].to_dict()
    {'licence': 'CC0-1.0', 'cells': 40, 'genes': 4}
    """
    model, attributes = read_model(path)
    key = attributes["key"]
    kept = model.uns[key]
    params = kept[_keys.PARAMS]
    said: dict[str, object] = {**check_card(kept.get(_keys.CARD, {}))}
    said |= {"key": key} | {name: params[part] for name, part in _LEARNED.items() if part in params}
    said["genes"] = len(kept[_keys.GENES])
    said["regulators"] = len(kept[_keys.REGULATORS])
    said["edges"] = len(kept[_keys.NETWORK])
    said |= {"grnrep": attributes["grnrep_version"], SHA256: attributes[SHA256]}
    return pd.Series(said, dtype=object, name="card")
