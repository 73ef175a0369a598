"""What users bring as cells: AnnData, its ``raw``, or a table of samples and genes."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import check_adata, some


def as_adata(data: AnnData | pd.DataFrame, *, name: str = "adata") -> tuple[AnnData, bool]:
    """AnnData of what may be a table observations × genes, and whether it was one."""
    if not isinstance(data, pd.DataFrame):
        check_adata(data, name=name, min_obs=0)
        return data, False
    if {_keys.SOURCE, _keys.TARGET} <= {*data.columns}:
        raise TypeError(
            f"{name} must be cells; found a table with columns 'source' and 'target', which is a network: are "
            "arguments swapped? Cells come first, then net"
        )
    other = [column for column in data if not pd.api.types.is_numeric_dtype(data[column])]
    if other:
        raise TypeError(
            f"{name} as a DataFrame must have numbers alone, observations × genes; found {len(other)} other "
            f"column(s), first {some(other)}. Names of observations belong in its index: set_index()"
        )
    values = data.rename_axis(index=None, columns=None)
    obs, var = (pd.DataFrame(index=names.astype(str)) for names in (values.index, values.columns))
    return AnnData(values.to_numpy(dtype="float32"), obs=obs, var=var), True


def layer_of(
    adata: AnnData, layer: str | None, *, use_raw: bool, name: str = "adata"
) -> str | None:
    """Name of the layer to read, which is :data:`grnrep._keys.RAW` with ``use_raw``."""
    if not use_raw:
        return layer
    if layer is not None:
        raise ValueError(f"use_raw=True reads {name}.raw; leave out layer={layer!r}")
    raw_of(adata, name=name)
    return _keys.RAW


def expression_of(
    adata: AnnData, layer: str | None, *, name: str = "adata"
) -> tuple[AnnData, str | None]:
    """Data whose genes and values are to be read, and the layer there: those of ``raw`` where it is named."""
    return (raw_of(adata, name=name), None) if layer == _keys.RAW else (adata, layer)


def has_expression(adata: AnnData, layer: str | None) -> bool:
    """Whether there is anything to read in a layer, X (None) or ``raw``."""
    if layer is None:
        return adata.X is not None
    return adata.raw is not None if layer == _keys.RAW else layer in adata.layers


def raw_of(adata: AnnData, *, name: str = "adata") -> AnnData:
    """The genes and values of ``raw`` with the same cells; values are not copied."""
    if adata.raw is None:
        raise ValueError(f"use_raw=True needs {name}.raw, which is not there; leave it out")
    return AnnData(adata.raw.X, obs=adata.obs, var=adata.raw.var)
