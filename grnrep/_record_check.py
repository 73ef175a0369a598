"""Whether what a fit kept can be a decoder: files come from anywhere, and uns can be edited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from grnrep import __version__, _keys
from grnrep._cells import CATEGORICAL, CONTINUOUS, is_count
from grnrep._checks import some
from grnrep._values import SCALE
from grnrep.core.als.assumed import Assumptions
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
    """Check all of what a fit keeps in ``uns``, called ``what``, that a decoder is made of.

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
        _check_tables(record)
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


def assumed_of(params: Mapping[str, Any]) -> Assumptions | None:
    """What a fit by evidence took for given; None of a fit with penalties."""
    if "free_factors_tried" not in params:
        return None
    tau2 = params.get("sign_variance")
    return Assumptions(
        None if tau2 is None else float(tau2),
        bool(params["correlated"]),
        float(params.get(_keys.INFLATION, 1.0)),
        n_factors=int(params["free_factors_tried"]),
        exactly=bool(params["free_factors_given"]),
    )


_LEAST: Final = {_keys.INFLATION: 1.0, "sign_variance": 0.0, "free_factors_tried": 0}


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
    for name, least in _LEAST.items():
        value = params.get(name, least)
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not (number and least <= value < _MOST):
            raise _Wrong(
                f"params[{name!r}] must be a number of at least {least:g}; found {value!r}"
            )
    counts = is_count(params["likelihood"])
    if "link" in params and counts != (params["link"] == COUNT_LINK):
        raise _Wrong(
            f"params['link'] cannot be {params['link']!r} of likelihood {params['likelihood']!r}"
        )
    for name in ("depth", TYPICAL_SIZE) if counts else ():
        size = params.get(name, 1.0 if name == TYPICAL_SIZE else None)
        number = isinstance(size, int | float | np.number) and not isinstance(size, bool)
        if size is None or not (number and 0 < size < _MOST):
            raise _Wrong(f"params[{name!r}] must be a number above 0; found {size!r}")


class _Numbers(NamedTuple):
    """What a column of numbers can hold: from ``least`` to ``most``, or missing ones where ``nan``."""

    least: float = 0.0
    most: float = _MOST
    nan: bool = False
    needed: bool = True


_ANY: Final = _Numbers(least=-_MOST)
_POSITIVE: Final = _Numbers(least=1 / _MOST)


def _columns(params: Mapping[str, Any]) -> dict[str, dict[str, _Numbers]]:
    """Columns of numbers of every table of a record; those of the scale, an earlier fit had none."""
    parameters = LIKELIHOODS[params["likelihood"]].parameter_names()
    genes = {"intercept": _ANY} if params["intercept"] else {}
    genes |= dict.fromkeys(parameters, _Numbers())
    if "noise_sd" in parameters:  # of fits with given penalties there is none
        genes["noise_sd"] = _POSITIVE._replace(needed=False)
    if "softness" in parameters:  # follows from the mean where it is not there
        genes["softness"] = _POSITIVE._replace(needed=False)
    for name in SCALE:
        most = 1.0 if name.startswith("share") else _MOST
        genes[name] = _Numbers(most=most, nan=True, needed=False)
    genes["expression_mean"] = _ANY._replace(nan=True, needed=False)
    least = {"ridge": 0.0, "variance": 1 / _MOST, "reliability": 0.0}
    regulators = {name: _Numbers(least=value, needed=False) for name, value in least.items()}
    return {
        _keys.NETWORK: {
            _keys.WEIGHT: _Numbers(-np.inf, np.inf, nan=True),
            _keys.LEARNED: _ANY,
            _keys.LEARNED_SD: _Numbers(needed=False),
        },
        _keys.GENES: genes,
        _keys.REGULATORS: regulators,
        _keys.COVARIATES: {"centre": _ANY, "scale": _POSITIVE},
    }


def _check_tables(record: Mapping[str, Any]) -> None:
    """Check edges, genes and regulators; and how covariates become numbers, with their effects."""
    named = {part: _table(record, part, named=True) for part in (_keys.GENES, _keys.REGULATORS)}
    genes, regulators = named[_keys.GENES].index, named[_keys.REGULATORS].index
    edges = _table(record, _keys.NETWORK)
    gene = _places(edges, _keys.TARGET, genes, _keys.GENES)
    regulator = _places(edges, _keys.SOURCE, regulators, _keys.REGULATORS)
    if len(np.unique(gene * len(regulators) + regulator)) < len(edges):
        raise _Wrong("an edge is in its 'network' twice")
    if _keys.COVARIATES in record:
        _check_covariates(record, len(genes))
    _check_evidence(record, len(genes), len(regulators))
    for part, columns in _columns(record[_keys.PARAMS]).items():
        for column, numbers in columns.items():
            if part in record and (numbers.needed or column in record[part]):
                _check_numbers(record[part], column, part, numbers)


def _check_covariates(record: Mapping[str, Any], n_genes: int) -> None:
    """Check how covariates become numbers, and their effects (n_genes, n_columns)."""
    table = _table(record, _keys.COVARIATES)
    for column in ("covariate", "kind", "level", "reference"):
        _texts(table, column, _keys.COVARIATES)
    if not table["kind"].isin([CATEGORICAL, CONTINUOUS]).all():
        raise _Wrong(f"'kind' in its 'covariates' must be {CATEGORICAL!r} or {CONTINUOUS!r}")
    effects, shape = record.get(_keys.EFFECTS), (n_genes, len(table))
    numbers = effects if isinstance(effects, np.ndarray) else np.empty(0, dtype=object)
    if numbers.dtype.kind not in "iuf" or numbers.shape != shape:
        raise _Wrong(
            f"{_keys.EFFECTS!r} must be an array of {shape[0]} genes × {shape[1]} covariates"
        )
    if not (np.abs(numbers) < _MOST).all():
        raise _Wrong(f"{_keys.EFFECTS!r} holds numbers that are not finite or absurd")


def _check_evidence(record: Mapping[str, Any], n_genes: int, n_regulators: int) -> None:
    """Check loadings of free factors, and correlations of activities before the data."""
    by_evidence = {"variance": record[_keys.REGULATORS], "noise_sd": record[_keys.GENES]}
    there = {name: name in table for name, table in by_evidence.items()}
    if len(set(there.values())) > 1:
        raise _Wrong(
            f"it must have 'variance' of regulators and 'noise_sd' of genes, or neither; found {there}"
        )
    if _keys.LOADINGS in record:
        loadings = _array(record, _keys.LOADINGS)
        if loadings.ndim != 2 or len(loadings) != n_genes:
            raise _Wrong(f"{_keys.LOADINGS!r} must be an array of {n_genes} genes × free factors")
    if _keys.CORRELATION in record:
        found = _array(record, _keys.CORRELATION)
        if found.shape != (n_regulators, n_regulators) or not np.allclose(found, found.T):
            raise _Wrong(
                f"{_keys.CORRELATION!r} must be symmetric, {n_regulators} regulators each way"
            )
        if np.linalg.eigvalsh(found)[0] <= 0:
            raise _Wrong(
                f"{_keys.CORRELATION!r} is no correlation: it has an eigenvalue that is not above 0"
            )


def _array(record: Mapping[str, Any], part: str) -> np.ndarray:
    """Get an array of finite numbers."""
    found = record[part]
    numbers = found if isinstance(found, np.ndarray) else np.empty(0, dtype=object)
    if numbers.dtype.kind not in "iuf":
        raise _Wrong(f"{part!r} must be an array of numbers; found {type(found).__name__}")
    if not (np.abs(numbers) < _MOST).all():
        raise _Wrong(f"{part!r} holds numbers that are not finite or absurd")
    return numbers


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


def _check_numbers(table: pd.DataFrame, column: str, part: str, can_be: _Numbers) -> None:
    """Check a column of numbers."""
    if column not in table:
        raise _Wrong(f"{part!r} lacks the column {column!r}")
    if table[column].dtype.kind not in "iuf":
        raise _Wrong(f"{column!r} in {part!r} must be numbers; found dtype {table[column].dtype}")
    values = table[column].to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~((values >= can_be.least) & (values <= can_be.most))
    wrong &= ~(can_be.nan & np.isnan(values))
    if wrong.any():
        raise _Wrong(
            f"{column!r} in {part!r} must be finite numbers from {can_be.least:g} to {can_be.most:g}; found "
            f"{wrong.sum()} other(s), first {values[wrong][0]:g}"
        )
