"""Rows of a study, kept in a file as they come, so that an interrupted study goes on where it was."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch

from grnrep.rows.atomic import replacing

_FORMAT: Final = 1
_PACKAGES: Final = ("grnrep", "torch", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True, eq=False)
class _Row:
    """What was run, what came out, on what machine with which versions, and when it was ready."""

    key: dict[str, Any]
    result: dict[str, Any]
    environment: dict[str, Any]
    finished: str


class Runs:
    """Rows of a study, each a key (what was run) and a result (what came out), on disk as JSON.

    A file that is there must be of the same study and settings, and is continued. After every row the
    file is whole: a row is in it completely or not at all. Rows that another process added meanwhile
    are kept.

    Parameters
    ----------
    path
        File to keep, or None to keep rows in memory only.
    study
        Name of the study.
    settings
        What all rows have in common: numbers, text, or lists and dicts of them. Rows made with other
        settings cannot be compared, so they are refused.

    Raises
    ------
    ValueError
        If the file is of another study or other settings, which are named, or is damaged.

    Examples
    --------
    >>> from grnrep.validation.runs import Runs
    >>> runs = Runs(None, study="load", settings={"epochs": 10})
    >>> runs.add({"n": 50, "seed": 0}, {"mse": 0.25})
    >>> runs.find({"seed": 0, "n": 50}), runs.find({"seed": 1, "n": 50})
    ({'mse': 0.25}, None)
    >>> runs.table().to_dict("list")
    {'n': [50], 'seed': [0], 'mse': [0.25]}
    """

    def __init__(self, path: Path | None, *, study: str, settings: Mapping[str, Any]):
        self.path = None if path is None else Path(path)
        self.study, self.settings = study, _plain(settings)
        self._rows: list[_Row] = []
        if self.path is not None:
            self._read(self.path)
            self._write(
                self.path
            )  # before any work, so that a folder that cannot be written to is known at once

    def find(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Result of the row with this key, or None; NaN where a number is missing."""
        wanted = _plain(key)
        for row in self._rows:
            if row.key == wanted:
                return _numbers(row.result)
        return None

    def add(self, key: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Keep a row, on disk before this returns; it replaces one with the same key."""
        key, result = _plain(key), _plain(result)
        both = key.keys() & result.keys()
        if both:
            raise ValueError(f"key and result must have different names; both have {sorted(both)}")
        finished = datetime.now().astimezone().isoformat(timespec="seconds")
        row = _Row(key, result, environment(), finished)
        if self.path is not None:
            self._read(self.path)
        self._rows = [old for old in self._rows if old.key != row.key] + [row]
        if self.path is not None:
            self._write(self.path)

    def table(self) -> pd.DataFrame:
        """All rows, in the order in which they were added, with the columns of key and result."""
        return pd.DataFrame([_numbers(row.key | row.result) for row in self._rows])

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            if saved["format"] != _FORMAT:
                raise ValueError(f"format {saved['format']!r}, of another version")
            study, settings, made_with = (
                saved["study"],
                dict(saved["settings"]),
                saved["environments"],
            )
            rows = [
                _Row(
                    dict(row["key"]),
                    dict(row["result"]),
                    made_with[row["environment"]],
                    str(row["finished"]),
                )
                for row in saved["rows"]
            ]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ValueError(
                f"{str(path)!r} is no file of runs, or damaged ({error!r}); "
                "move it away to start anew, or choose another place"
            ) from error
        if study != self.study or settings != self.settings:
            here, there = (
                {"study": name, **s} for name, s in ((self.study, self.settings), (study, settings))
            )
            different = [
                f"{name}: there {there.get(name, 'not set')!r}, here {here.get(name, 'not set')!r}"
                for name in here | there
                if name not in here or name not in there or here[name] != there[name]
            ]
            raise ValueError(
                f"{str(path)!r} holds runs made otherwise ({'; '.join(different)}); "
                "move it away, choose another place, or run with its settings"
            )
        self._rows = rows

    def _write(self, path: Path) -> None:
        environments: list[dict[str, Any]] = []
        for row in self._rows:
            if row.environment not in environments:
                environments.append(row.environment)
        head = {
            "format": _FORMAT,
            "study": self.study,
            "settings": self.settings,
            "environments": environments,
        }
        rows = [
            asdict(row) | {"environment": environments.index(row.environment)} for row in self._rows
        ]
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)  # a row a line
        text = f'{json.dumps(head, allow_nan=False, indent=1)[:-2]},\n "rows": [\n{lines}\n]}}\n'
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, log=logging.DEBUG) as temporary:
            temporary.write_text(text, encoding="utf-8")


def environment() -> dict[str, Any]:
    """Machine and versions that a row is made with."""
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
    }
    return found | {name: version(name) for name in _PACKAGES}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: numpy numbers become Python's, tuples lists, NaN null."""
    return json.loads(
        json.dumps({str(name): _scalar(value) for name, value in values.items()}, default=_scalar)
    )


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("a row must hold finite numbers or NaN; found an infinite one")
    if value is None or isinstance(value, str | bool | int | float | list | tuple | Mapping):
        return value
    raise TypeError(
        f"a row must hold numbers, text, or lists and dicts of them; found {type(value).__name__}"
    )


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}
