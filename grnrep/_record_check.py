"""Whether what a fit kept can be a decoder: files come from anywhere, and uns can be edited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from grnrep import __version__, _keys
from grnrep._cells import is_count
from grnrep._checks import some
from grnrep._covariates import CATEGORICAL, CONTINUOUS
from grnrep._scale import COLUMNS
from grnrep.core.likelihoods import LIKELIHOODS

TYPICAL_SIZE: Final = "typical_size"  # of counts: the size factor of a typical cell
COUNT_LINK: Final = "softplus"  # what params["link"] says of counts
_PARTS: Final = (_keys.PARAMS, _keys.GENES, _keys.REGULATORS)
_CHOICES: Final = {"solver": ("exact", "gradient"), "likelihood": tuple(LIKELIHOODS)}
# of records of 0.1.0, whose likelihood "gaussian" has either link
_CHOICES_WITH_LINK: Final = {
    **_CHOICES,
    "likelihood": ("gaussian", *filter(is_count, LIKELIHOODS)),
    "link": ("relu", "identity", COUNT_LINK),
}
_MOST: Final = float(np.finfo(np.float32).max)  # in which activities are found and stored
_REMEDY: Final = "Run grnrep.tl.fit again, or take a copy that was not changed"


def check_record(record: Mapping[str, Any], *, what: str) -> None:
    """Check all of a record that a decoder is made of, without changing it.

    Parameters
    ----------
    record
        What :func:`grnrep.tl.fit` keeps in ``uns``.
    what
        How messages call it.

    Raises
    ------
    KeyError
        If a part is missing.
    ValueError
        If it is of a later version, or a part cannot be what a fit wrote: tables without a column,
        names that are no text, twice there or unknown, numbers that are none, not finite or absurd.
    """
    missing = set(_PARTS) - set(record)
    if missing:
        raise KeyError(f"{what} lacks {some(sorted(missing))}. Run grnrep.tl.fit again")
    try:
        _check_params(record[_keys.PARAMS])
        n_genes = _check_tables(record, intercept=bool(record[_keys.PARAMS]["intercept"]))
        if _keys.COVARIATES in record:
            _check_covariates(record, n_genes)
    except _Wrong as error:
        raise ValueError(f"{what} is no decoder: {error}. {error.remedy}") from None


def likelihood_of(params: Mapping[str, Any]) -> str:
    """The likelihood of a record, also of one of 0.1.0, which has "gaussian" with a link "relu"."""
    return "tobit" if params.get("link") == "relu" else str(params["likelihood"])


def penalties_of(params: Mapping[str, Any]) -> tuple[float, float, bool]:
    """Ridge, sign shrinkage and whether it is shared, also of a record of 0.1.0, which calls it prior."""
    old = "prior" in params
    sign_shrinkage = params["prior" if old else "sign_shrinkage"]
    shared = params.get("shared_prior" if old else "sign_shrinkage_shared", False)
    return float(params["ridge"]), float(sign_shrinkage), bool(shared)


class _Wrong(Exception):
    """What is wrong, and what would do."""

    def __init__(self, message: str, remedy: str = _REMEDY):
        super().__init__(message)
        self.remedy = remedy


def _check_params(params: object) -> None:
    if not isinstance(params, Mapping):
        raise _Wrong(f"'params' must be a mapping; found {type(params).__name__}")
    version = params.get("version", "0.0")  # the first records had none
    found = re.match(r"(\d{1,9})\.(\d{1,9})", version) if isinstance(version, str) else None
    if found is None:
        raise _Wrong(
            f"params['version'] must be a version, such as {__version__!r}; found {version!r}"
        )
    if tuple(map(int, found.groups())) > tuple(map(int, __version__.split(".")[:2])):
        what = f"it was written by grnrep {version}; this is {__version__}, which cannot know what is in it"
        raise _Wrong(what, "Update grnrep")
    known = _CHOICES_WITH_LINK if "link" in params else _CHOICES
    missing = {*known, "intercept", "layer"} - set(params)
    if missing:
        raise _Wrong(f"'params' lacks {some(sorted(missing))}")
    for name, choices in known.items():
        if not isinstance(params[name], str) or params[name] not in choices:
            raise _Wrong(
                f"params[{name!r}] must be one of {some(choices, 9)}; found {params[name]!r}"
            )
    if not isinstance(params["intercept"], bool | np.bool_):
        raise _Wrong(f"params['intercept'] must be True or False; found {params['intercept']!r}")
    if not isinstance(params["layer"], str):
        raise _Wrong(f"params['layer'] must be the name of a layer; found {params['layer']!r}")
    counts = is_count(params["likelihood"])
    if "link" in params and counts != (params["link"] == COUNT_LINK):
        raise _Wrong(
            f"params['link'] cannot be {params['link']!r} of likelihood {params['likelihood']!r}"
        )
    sizes = {"depth": params.get("depth")} if counts else {}
    if TYPICAL_SIZE in params:
        sizes[TYPICAL_SIZE] = params[TYPICAL_SIZE]
    for name, size in sizes.items():
        number = isinstance(size, int | float | np.number) and not isinstance(size, bool)
        if size is None or not (number and 0 < size < _MOST):
            raise _Wrong(f"params[{name!r}] must be a number above 0; found {size!r}")


def _check_tables(record: Mapping[str, Any], *, intercept: bool) -> int:
    """Check edges, genes and regulators; return the number of genes."""
    genes, regulators = (
        _table(record, part, named=True) for part in (_keys.GENES, _keys.REGULATORS)
    )
    edges = _table(record, _keys.NETWORK)
    gene = _places(edges, _keys.TARGET, genes.index, _keys.GENES)
    regulator = _places(edges, _keys.SOURCE, regulators.index, _keys.REGULATORS)
    if len(np.unique(gene * len(regulators) + regulator)) < len(edges):
        raise _Wrong("an edge is in its 'network' twice")
    _numbers(edges, _keys.WEIGHT, _keys.NETWORK, least=-np.inf, most=np.inf, nan=True)
    _numbers(edges, _keys.LEARNED, _keys.NETWORK, least=-_MOST)
    if intercept:
        _numbers(genes, "intercept", _keys.GENES, least=-_MOST)
    for name in LIKELIHOODS[record[_keys.PARAMS]["likelihood"]].parameter_names():
        if name != "softness":
            _numbers(genes, name, _keys.GENES)
        elif name in genes:  # else it follows from the mean
            _numbers(genes, name, _keys.GENES, least=1 / _MOST)
    for column in COLUMNS:
        if column in genes:  # an earlier fit had none
            least = -_MOST if column == "expression_mean" else 0.0
            most = 1.0 if column.startswith("share") else _MOST
            _numbers(genes, column, _keys.GENES, least=least, most=most, nan=True)
    if "ridge" in regulators:
        _numbers(regulators, "ridge", _keys.REGULATORS)
    return len(genes)


def _check_covariates(record: Mapping[str, Any], n_genes: int) -> None:
    """Check how covariates become numbers, and their effects (n_genes, n_columns)."""
    table = _table(record, _keys.COVARIATES)
    for column in ("covariate", "kind", "level", "reference"):
        _texts(table, column, _keys.COVARIATES)
    if not table["kind"].isin([CATEGORICAL, CONTINUOUS]).all():
        raise _Wrong(f"'kind' in its 'covariates' must be {CATEGORICAL!r} or {CONTINUOUS!r}")
    _numbers(table, "centre", _keys.COVARIATES, least=-_MOST)
    _numbers(table, "scale", _keys.COVARIATES, least=1 / _MOST)
    effects, shape = record.get(_keys.EFFECTS), (n_genes, len(table))
    if (
        not isinstance(effects, np.ndarray)
        or effects.dtype.kind not in "iuf"
        or effects.shape != shape
    ):
        raise _Wrong(
            f"{_keys.EFFECTS!r} must be an array of {shape[0]} genes × {shape[1]} covariates"
        )
    if not (np.abs(effects) < _MOST).all():
        raise _Wrong(f"{_keys.EFFECTS!r} holds numbers that are not finite or absurd")


def _table(record: Mapping[str, Any], part: str, *, named: bool = False) -> pd.DataFrame:
    """Get a table with rows; ``named``: by texts that differ."""
    table = record[part]
    if not isinstance(table, pd.DataFrame) or not len(table):
        raise _Wrong(f"{part!r} must be a table with rows; found {type(table).__name__}")
    if not table.columns.is_unique:
        raise _Wrong(
            f"{part!r} has a column twice: {some(table.columns[table.columns.duplicated()])}"
        )
    if named and not _are_texts(table.index):
        raise _Wrong(f"{part!r} must be named by texts; first names: {some(table.index)}")
    if named and not table.index.is_unique:
        raise _Wrong(f"{part!r} has a name twice: {some(table.index[table.index.duplicated()])}")
    return table


def _texts(table: pd.DataFrame, column: str, part: str) -> np.ndarray:
    """Get a column of texts."""
    if column not in table:
        raise _Wrong(f"{part!r} lacks the column {column!r}")
    if not _are_texts(table[column]):
        raise _Wrong(f"{column!r} in {part!r} must be texts; first values: {some(table[column])}")
    return table[column].to_numpy(dtype=object)


def _are_texts(values: pd.Index | pd.Series) -> bool:
    return pd.api.types.infer_dtype(np.asarray(values, dtype=object), skipna=False) == "string"


def _places(edges: pd.DataFrame, column: str, names: pd.Index, part: str) -> np.ndarray:
    """Positions among ``names``, those of ``part``, of what a column of the edges has."""
    found = _texts(edges, column, _keys.NETWORK)
    place = names.get_indexer(found)
    if (place < 0).any():
        raise _Wrong(
            f"its edges name a {column} that is not among its {part}: {some(found[place < 0])}"
        )
    return place.astype(np.int64)


def _numbers(
    table: pd.DataFrame,
    column: str,
    part: str,
    *,
    least: float = 0.0,
    most: float = _MOST,
    nan: bool = False,
) -> None:
    """Check a column of numbers from ``least`` to ``most``, or missing ones where ``nan``."""
    if column not in table:
        raise _Wrong(f"{part!r} lacks the column {column!r}")
    if table[column].dtype.kind not in "iuf":
        raise _Wrong(f"{column!r} in {part!r} must be numbers; found dtype {table[column].dtype}")
    values = table[column].to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~((values >= least) & (values <= most)) & ~(nan & np.isnan(values))
    if wrong.any():
        raise _Wrong(
            f"{column!r} in {part!r} must be finite numbers from {least:g} to {most:g}; found "
            f"{wrong.sum()} other(s), first {values[wrong][0]:g}"
        )
