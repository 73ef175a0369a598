"""Other methods beside grnrep, through the library that has them."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pandas as pd
from anndata import AnnData

PEERS = ("ulm", "mlm", "viper", "aucell")


def peer_activity(
    adata: AnnData | pd.DataFrame,
    net: pd.DataFrame,
    *,
    method: str = "ulm",
    layer: str | None = None,
    min_targets: int = 5,
) -> pd.DataFrame:
    """Activities by a method of decoupler.

    Parameters
    ----------
    adata
        Cells × genes, as AnnData or DataFrame. It is not changed.
    net
        Edges ``source,target[,weight]``; weights are used as they are, and 1 without them.
    method
        ``"ulm"`` (t value of one regression per regulator), ``"mlm"`` (t values of one
        regression on all regulators), ``"viper"`` (normalised enrichment score) or
        ``"aucell"`` (area under the recovery curve, without signs).
    layer
        Layer of ``adata``; by default ``X``.
    min_targets
        Regulators with fewer targets among the genes are left out.

    Returns
    -------
    DataFrame cells × regulators. A cell that is zero in every gene says nothing and has
    0 throughout.

    Raises
    ------
    ImportError
        If decoupler is not installed.
    ValueError
        If the method is unknown, ``layer`` is given for a DataFrame, or mlm cannot tell
        regulators apart because their targets are the same.
    KeyError
        If ``adata`` has no such layer.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import peer_activity
    >>> x = pd.DataFrame([[2.0, 1.9, 0.0, 0.1]], index=["cell"], columns=["g1", "g2", "g3", "g4"])
    >>> net = pd.DataFrame({"source": ["A", "A"], "target": ["g1", "g2"], "weight": [1.0, 1.0]})
    >>> bool(peer_activity(x, net, min_targets=2).loc["cell", "A"] > 2)
    True
    """
    if method not in PEERS:
        raise ValueError(f"method must be one of {PEERS}; found {method!r}")
    run = getattr(import_decoupler().mt, method)
    data = _plain(adata, layer)
    try:
        # a new object comes back where empty cells are dropped; otherwise `data` is filled
        result = run(data, net, tmin=min_targets) or data
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"{method} cannot tell some regulators of net apart: the targets of one are a linear "
            "combination of those of others; drop regulators with the same targets, "
            "or use another method"
        ) from error
    return result.obsm[f"score_{method}"].reindex(data.obs_names, fill_value=0.0)


def import_decoupler() -> ModuleType:
    """Import the optional library, or say how to get it."""
    try:
        import decoupler
    except ImportError as error:
        raise ImportError("this needs decoupler: pip install 'grnrep[peers]'") from error
    return decoupler


def _plain(adata: AnnData | pd.DataFrame, layer: str | None) -> AnnData:
    """Take the matrix and the names alone, so that nothing is written to the caller's object."""
    if isinstance(adata, pd.DataFrame):
        if layer is not None:
            raise ValueError("layer is given, but adata is a DataFrame; give an AnnData")
        return AnnData(adata.astype("float64"))
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"adata has no layer {layer!r}; there are {list(adata.layers)}")
    matrix = adata.X if layer is None else adata.layers[layer]
    return AnnData(
        matrix, obs=pd.DataFrame(index=adata.obs_names), var=pd.DataFrame(index=adata.var_names)
    )
