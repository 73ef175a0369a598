"""What a long fit has done so far, on disk, so that a run that was killed goes on to the same result."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grnrep import __version__
from grnrep._match import Match
from grnrep.core.count_data import CountFit
from grnrep.core.fitted import Fit
from grnrep.rows.atomic import replacing
from grnrep.rows.scan import Scan

logger = logging.getLogger("grnrep")

_ABOUT = "run.json"


class Checkpoint:
    """A folder with the steps of one run; a file is there whole or not at all.

    Parameters
    ----------
    path
        Folder, which is made, or was left by the same run. ``run`` is the name of that run.
    about
        What tells runs apart: the same entries mean the same result.

    Raises
    ------
    ValueError
        If the folder belongs to another run, or is something else; says what differs.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]):
        self.path = path
        about = json.loads(json.dumps(about, default=str))
        if (path / _ABOUT).is_file():
            there = json.loads((path / _ABOUT).read_text())
            differs = [name for name in about if about[name] != there.get(name)]
            if differs:
                raise ValueError(
                    f"checkpoint={str(path)!r} belongs to another run: {', '.join(differs)} differ(s). "
                    "Remove the folder, choose another one, or repeat the call that began it"
                )
            self.run = there.get("run")
            logger.info("going on from checkpoint %s", path)
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(
                f"checkpoint={str(path)!r} is there already and is no checkpoint; choose another name"
            )
        else:
            path.mkdir(parents=True, exist_ok=True)
            self.run = uuid.uuid4().hex
            with replacing(path / _ABOUT, log=logging.DEBUG) as temporary:
                temporary.write_text(json.dumps(about | {"run": self.run}))

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Arrays that were saved under a name; None if there are none."""
        path = self.path / f"{name}.npz"
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as file:
            return dict(file)

    def save(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Save arrays under a name."""
        with replacing(self.path / f"{name}.npz", log=logging.DEBUG) as temporary:
            np.savez(temporary, **arrays)

    def finish(self) -> None:
        """Remove all of it, since the run is over; what says which run it was goes last."""
        for part in self.path.iterdir():
            if part.name != _ABOUT:
                part.unlink()
        (self.path / _ABOUT).unlink()
        self.path.rmdir()


def open_checkpoint(
    path: str | Path | None, matched: Match, scan: Scan, asked: Mapping[str, Any]
) -> Checkpoint | None:
    """Open the checkpoint of a fit of these data and this network with these options; None without a path."""
    if path is None:
        return None
    about = {
        "version": __version__,
        "n_obs": scan.n_obs,
        "genes": _digest(matched.genes),
        "net": _digest(pd.util.hash_pandas_object(matched.edges, index=False)),
        "values": _digest(scan.positive, scan.total, scan.depth),
        **asked,
    }
    return Checkpoint(Path(path), about)


def check_path(path: object) -> str | None:
    """Check that this can be a folder; the run that it belongs to, if there is one already."""
    if path is not None and not isinstance(path, str | Path):
        raise TypeError(f"checkpoint must be a path, or None; found {type(path).__name__}")
    if path is None or not (Path(path) / _ABOUT).is_file():
        return None
    return json.loads((Path(path) / _ABOUT).read_text()).get("run")


def choices(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """What auto had chosen; empty if nothing yet."""
    found = None if checkpoint is None else checkpoint.load("choices")
    return {} if found is None else json.loads(str(found["json"]))


def keep_choices(checkpoint: Checkpoint | None, chosen: Mapping[str, Any]) -> None:
    """Save what auto chose."""
    if checkpoint is not None:
        checkpoint.save("choices", {"json": np.array(json.dumps(chosen))})


def learned(checkpoint: Checkpoint | None, learn: Callable[[], Fit]) -> Fit:
    """The fit that was learned before, or else learn it and save it."""
    found = None if checkpoint is None else checkpoint.load("learned")
    if found is not None:
        kind = CountFit if "depth" in found else Fit
        whole = {name: value if value.ndim else value.item() for name, value in found.items()}
        return kind(**{"bias": None} | whole | {"history": found["history"].tolist()})
    fit = learn()
    if checkpoint is not None:
        values = {field.name: getattr(fit, field.name) for field in fields(fit)}
        checkpoint.save("learned", {name: np.asarray(v) for name, v in values.items() if v is not None})
    return fit


def _digest(*arrays: Any) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        array = np.asarray(array)
        sha.update(array.tobytes() if array.dtype != object else "\n".join(map(str, array)).encode())
    return sha.hexdigest()
