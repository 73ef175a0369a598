"""Checks of arguments that the verbs share; every message says what was found and what would do."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grnrep import _keys

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("grnrep")

_RESERVED_NAMES = ("", ".", "..", "_index")
RESERVED = "'/', NUL, half surrogates or the names '', '.', '..' and '_index'"


def some(items: Iterable[object], n: int = 3) -> str:
    """Quote the first items, for messages."""
    items = list(items)
    text = ", ".join(repr(str(item)) for item in items[:n])
    return (text or "none") + (", ..." if len(items) > n else "")


def closest(name: object, names: Iterable[str]) -> str:
    """Say which names are the closest, whatever the case; empty where none is close."""
    plain = {str(other).casefold(): other for other in names}
    found = [plain[key] for key in get_close_matches(str(name).casefold(), plain, n=3)]
    return f" (closest: {some(found)})" if found else ""


def check_adata(adata: object, *, name: str = "adata", min_obs: int = 1) -> None:
    """Check that this is AnnData with enough cells."""
    from anndata import AnnData

    if not isinstance(adata, AnnData):
        parts = getattr(adata, "mod", None)  # of MuData; of a DataFrame it is a method
        modalities = [str(key) for key in parts] if isinstance(parts, Mapping) else []
        one = f". Pass one modality, such as mdata[{modalities[0]!r}]" if modalities else ""
        hint = ""
        if isinstance(adata, str | os.PathLike):
            model = str(adata).endswith((".zarr", ".zip"))
            hint = "a model with grnrep.io.load" if model else "e.g. with anndata.read_h5ad"
            hint = f"; read it first, {hint}"
        raise TypeError(f"{name} must be an AnnData; found {type(adata).__name__}{one}{hint}")
    if adata.n_obs < min_obs:
        if adata.n_obs == 0 and any(map(_is_fit, adata.uns.values())):
            raise ValueError(
                f"{name} is a model, which has no cells; give data. To infer activities of cells with it: "
                "grnrep.tl.transform(cells, model)"
            )
        raise ValueError(f"{name} must have at least {min_obs} cell(s); found {adata.n_obs}")


def report_names(adata: AnnData, *, name: str = "adata") -> None:
    """Say so where cells or genes are not named by strings, as files need it to be written and read."""
    for side, names in {"obs_names": adata.obs_names, "var_names": adata.var_names}.items():
        if len(names) and names.inferred_type != "string":
            logger.warning(
                "%s.%s should be strings: a file that is written with %s cannot be read again, or not be "
                "written at all. Use %s.%s = %s.%s.astype(str)",
                name, side, names.inferred_type, name, side, name, side
            )  # fmt: skip


def check_place(
    adata: AnnData, key: str, *, copy: bool, argument: str = "key_added", name: str = "adata"
) -> None:
    """Check that results can be set under a key, and saved, and would replace nothing but results."""
    check_key(argument, key)
    check_adata(adata, name=name)
    if not _is_fit(adata.uns.get(key)):
        parts = {"obsm": adata.obsm, "varm": adata.varm, "uns": adata.uns}
        taken = [f"{name}.{part}[{key!r}]" for part, there in parts.items() if key in there]
        if key + _keys.SD in adata.obsm:
            taken.append(f"{name}.obsm[{key + _keys.SD!r}]")
        if taken:
            raise ValueError(
                f"{argument}={key!r} would replace what is no result of grnrep: {', '.join(taken)}. Choose "
                f"another name, or remove it first: del {taken[0]}"
            )
    _check_writable(adata, copy=copy, name=name)


def check_table_place(adata: AnnData, key: str, columns: set[str], *, copy: bool) -> None:
    """The same of a table in ``uns``: there may be one with these columns."""
    check_key("key_added", key)
    check_adata(adata)
    there = adata.uns.get(key)
    if there is not None and not (isinstance(there, pd.DataFrame) and columns <= {*there}):
        raise ValueError(
            f"key_added={key!r} would replace adata.uns[{key!r}], which is no table of this verb. Choose "
            f"another name, or remove it first: del adata.uns[{key!r}]"
        )
    _check_writable(adata, copy=copy)


def set_table(adata: AnnData, key: str, table: pd.DataFrame) -> None:
    """Set a table in ``uns``; a view becomes data of its own."""
    from anndata import ImplicitModificationWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplicitModificationWarning)
        adata.uns[key] = table


def _check_writable(adata: AnnData, *, copy: bool, name: str = "adata") -> None:
    """Check that results can be set on this very object, unless on a copy."""
    if not copy and adata.is_view and adata.isbacked:
        raise ValueError(
            f"{name} is a view of a file, on which nothing can be set; use copy=True or {name}.to_memory()"
        )


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Check a value against the few that are known."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; found {value!r}")


def check_key(name: str, key: object) -> None:
    """Check that results can be kept, and saved, under this key."""
    if not isinstance(key, str):
        raise TypeError(f"{name} must be a string; found {type(key).__name__}")
    if not storable(key):
        raise ValueError(
            f"{name} must be a non-empty name without '/', as h5ad and zarr cannot hold {RESERVED}; "
            f"found {key!r}"
        )


def storable(text: str, *, as_name: bool = True) -> bool:
    """Whether h5ad and zarr can hold this text: as the name of a part, or else as a value."""
    reserved = as_name and (text in _RESERVED_NAMES or "/" in text)
    return (
        not reserved
        and "\0" not in text
        and not any("\ud800" <= letter <= "\udfff" for letter in text)
    )


def check_whole(name: str, value: object, *, least: int = 1) -> None:
    """Check a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number; found {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}; found {value}")


def gene_names(adata: AnnData, *, name: str = "adata") -> pd.Index:
    """Names of the genes as strings; they must be unique, since genes are matched by name."""
    names = adata.var_names.astype(str)
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        raise ValueError(
            f"{name}.var_names must be unique; {len(twice)} occur more than once, first {some(twice)}. "
            f"Call {name}.var_names_make_unique()"
        )
    return names


def gene_mask(adata: AnnData, mask_var: str | np.ndarray | None) -> np.ndarray:
    """Genes to use, as a boolean array (n_vars,)."""
    if mask_var is None:
        return np.ones(adata.n_vars, dtype=bool)
    if isinstance(mask_var, str):
        if mask_var not in adata.var:
            found = [
                column for column in adata.var if pd.api.types.is_bool_dtype(adata.var[column])
            ]
            raise KeyError(
                f"mask_var={mask_var!r} is not in adata.var; boolean columns there: {some(found, 10)}"
            )
        values, what = adata.var[mask_var], f"adata.var[{mask_var!r}]"
    else:
        values, what = mask_var, "mask_var"
    if pd.isna(values).any() or np.asarray(values).dtype != bool:
        raise TypeError(
            f"{what} must be boolean without missing values; found dtype {np.asarray(values).dtype}"
        )
    mask = np.asarray(values)
    if mask.shape != (adata.n_vars,):
        raise ValueError(
            f"mask_var must have shape ({adata.n_vars},), one per gene; found {mask.shape}"
        )
    if not mask.any():
        raise ValueError(f"{what} is False for every gene; at least one must be True")
    return mask


def obs_column(adata: AnnData, column: str, *, argument: str, name: str = "adata") -> pd.Series:
    """Get a column of obs, also of data that were opened lazily."""
    if not isinstance(column, str) or column not in adata.obs:
        raise KeyError(
            f"{argument}={column!r} is not in {name}.obs; columns there: {some(adata.obs.columns, 20)}"
        )
    values = adata.obs[column]
    return values if isinstance(values, pd.Series) else adata.obs.to_memory()[column]


def activities(adata: AnnData, key: str, *, argument: str = "key") -> pd.DataFrame:
    """Get the table cells × regulators under a key of obsm."""
    if key not in adata.obsm:
        check_adata(adata)
        tables = [k for k, value in adata.obsm.items() if isinstance(value, pd.DataFrame)]
        raise KeyError(f"{argument}={key!r} is not in adata.obsm; tables there: {some(tables, 10)}")
    table = adata.obsm[key]
    names = stored_names(adata, key)
    if names is not None:
        table = pd.DataFrame(np.asarray(table), index=adata.obs_names, columns=names)
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"adata.obsm[{key!r}] must be a DataFrame with regulators as columns, which are matched by name; "
            f"found {type(table).__name__}"
        )
    return table


def stored_names(adata: AnnData, key: str) -> pd.Index | None:
    """Names of the columns of activities that lie in a store, without names; None of other ones."""
    known = adata.uns.get(key)
    if not hasattr(adata.obsm[key], "compute") or not isinstance(known, Mapping):
        return None
    table = known.get(_keys.REGULATORS)
    return None if table is None or len(table) != adata.obsm[key].shape[1] else table.index


def record(adata: AnnData, key: str, *, name: str = "adata") -> Mapping:
    """Get what a fit kept in uns under a key."""
    found = adata.uns.get(key)
    if not isinstance(found, Mapping) or _keys.NETWORK not in found:
        fits = [k for k, value in adata.uns.items() if _is_fit(value)]
        raise KeyError(
            f"key={key!r} is no fit in {name}.uns; fits there: {some(fits, 10)}. Run grnrep.tl.fit first"
        )
    return found


def _is_fit(value: object) -> bool:
    """Whether this is what a fit keeps in uns; a simulation keeps its network and parameters too."""
    return isinstance(value, Mapping) and {_keys.NETWORK, _keys.PARAMS, _keys.REGULATORS} <= set(
        value
    )
