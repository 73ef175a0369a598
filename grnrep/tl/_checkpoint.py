"""What a long fit has done so far, on disk, so that a run that was killed goes on to the same result."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from grnrep.core.fitted import Interrupted
from grnrep.core.likelihoods import restored
from grnrep.core.likelihoods.base import Likelihood
from grnrep.rows.atomic import HIDDEN, replacing
from grnrep.rows.sink import run_of

T = TypeVar("T")
Arrays = Mapping[str, np.ndarray]

logger = logging.getLogger("grnrep")

_ABOUT: Final = "run.json"
_STEP: Final = ".step"
_MARK: Final = 64  # bytes at the end of a step


class Checkpoint:
    """A folder with the steps of one run, held alone; a file is there whole or not at all.

    A step is a file of arrays (npz) that ends with a hash of them, of its name and of the run. One that was
    damaged, renamed, or brought from another run is refused; one that is not there is done again.

    Parameters
    ----------
    path
        Folder that was left by the same run, or is not there, or empty. It is not touched before
        :meth:`begin`.
    about
        What tells runs apart: the same entries mean the same result.

    Raises
    ------
    ValueError
        If the folder belongs to another run, is damaged, or is something else; says what differs.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]):
        self.asked, self.path = str(path), path.resolve()
        about = json.loads(json.dumps(about, default=_plain))
        there = self._read()
        if there is not None and there != about:
            names = [*about, *(name for name in there if name not in about)]
            differs = [name for name in names if about.get(name) != there.get(name)]
            raise ValueError(
                f"checkpoint={self.asked!r} belongs to another run: {', '.join(differs)} differ(s). "
                "Remove the folder, choose another one, or repeat the call that began it"
            )
        self.about = about if there is None else there  # 1 and 1.0 are equal, but not written alike
        self.run = _name_of(self.about)

    def _read(self) -> dict[str, Any] | None:
        """What the folder says of its run; None if it is not there, or nothing is in it."""
        if not self.path.exists():
            return None
        names = [part.name for part in self.path.iterdir()] if self.path.is_dir() else [""]
        if not all(map(_is_own, names)) and _ABOUT not in names:
            raise ValueError(
                f"checkpoint={self.asked!r} is there already and is no checkpoint; choose another name"
            )
        if all(name.startswith(HIDDEN) for name in names):  # killed before it had begun
            return None
        try:
            found = json.loads((self.path / _ABOUT).read_text())
            if found["run"] == _name_of(found["about"]):
                return found["about"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, PermissionError):
                raise
        raise ValueError(
            f"checkpoint={self.asked!r} is damaged: {_ABOUT} is not as it was written. Remove the folder, to "
            "begin anew"
        )

    def begin(self) -> None:
        """Make the folder, or go on from it, without what a killed process had begun to write."""
        self.path.mkdir(exist_ok=True)
        for part in self.path.glob(f"{HIDDEN}*"):
            part.unlink()
        if (self.path / _ABOUT).exists():
            logger.info("going on from checkpoint %s", self.asked)
        else:
            with replacing(self.path / _ABOUT, alone=True, log=logging.DEBUG) as temporary:
                temporary.write_text(json.dumps({"run": self.run, "about": self.about}))

    def has(self, name: str) -> bool:
        """Whether there is a step of this name."""
        return self._path(name).exists()

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Arrays that were saved under a name; None if there are none."""
        path = self._path(name)
        if not path.exists():
            return None
        whole = path.is_file() and path.stat().st_size > _MARK
        content = np.memmap(path, mode="r") if whole else np.zeros(0, dtype=np.uint8)
        if content[-_MARK:].tobytes() != self._mark(name, content[:-_MARK]):
            raise ValueError(
                f"checkpoint={self.asked!r} is damaged: {path.name} is not as it was written. Remove this "
                "file, so that its step is done again, or the folder, to begin anew"
            )
        with np.load(path, allow_pickle=False) as file:  # what follows an npz does not matter
            return dict(file)

    def save(self, name: str, arrays: Arrays) -> None:
        """Save arrays under a name."""
        named: dict[str, Any] = dict(arrays)
        with replacing(self._path(name), alone=True, log=logging.DEBUG) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, **named)
            mark = self._mark(name, np.memmap(temporary, mode="r"))
            with temporary.open("ab") as file:
                file.write(mark)

    def finish(self) -> None:
        """Remove all of it, since the run is over; what says which run it was goes last."""
        try:
            for part in list(self.path.iterdir()):
                if _is_own(part.name) and part.name != _ABOUT:
                    part.unlink()
            (self.path / _ABOUT).unlink()
            self.path.rmdir()
        except OSError as error:  # the results are there; only this is not as it should be
            logger.warning("the run is over, but its checkpoint could not be removed: %s", error)

    def _path(self, name: str) -> Path:
        return self.path / f"{name}{_STEP}"

    def _mark(self, name: str, content: np.ndarray) -> bytes:
        """Hash of a step, which is of this name in this run only."""
        sha = hashlib.sha256(f"{self.run} {name}\n".encode())
        sha.update(content.data)
        return sha.hexdigest().encode()


def open_checkpoint(
    path: str | Path | None,
    activity_store: str | Path | None,
    about: Callable[[], Mapping[str, Any]],
) -> Checkpoint | None:
    """Open the checkpoint of the run that ``about`` tells from others; None without a path.

    Nothing is touched where the folder, or a store that is there already, belongs to another run. That of
    the same run is there if it was killed late, and is then written anew.
    """
    if path is None:
        return None
    checkpoint = Checkpoint(Path(path), about())
    if (
        activity_store is not None
        and Path(activity_store).exists()
        and run_of(activity_store) != checkpoint.run
    ):
        raise ValueError(
            f"activity_store={str(activity_store)!r} exists already, and is of another run; remove it, or "
            "choose another name"
        )
    checkpoint.begin()
    return checkpoint


def once(checkpoint: Checkpoint | None, name: str, kind: type[T], make: Callable[[], T]) -> T:
    """The dataclass that was made and saved under this name before, or else make it and save it."""
    if checkpoint is None:
        return make()
    saved = checkpoint.load(name)
    if saved is not None:
        return restored_as(kind, saved)
    made = make()
    checkpoint.save(name, arrays_of(made))
    return made


def arrays_of(record: Any) -> dict[str, np.ndarray]:
    """Fields of a dataclass as arrays, but those that are None; a dot goes before those of a dataclass in it."""
    arrays: dict[str, np.ndarray] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        parts: Mapping[str, Any] = {}
        if isinstance(value, Likelihood):
            parts = value.arrays() | value.numbers()
            value = value.name
        elif is_dataclass(value):
            value, parts = None, arrays_of(value)
        if value is not None:
            arrays[field.name] = np.asarray(value)
        arrays |= {f"{field.name}.{part}": np.asarray(parts[part]) for part in parts}
    return arrays


def restored_as(kind: type[T], arrays: Arrays) -> T:
    """The dataclass of this kind of which :func:`arrays_of` made arrays."""
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        dotted = {
            n.removeprefix(f"{name}."): a for n, a in arrays.items() if n.startswith(f"{name}.")
        }
        value = arrays.get(name)
        if hint is Likelihood:
            of_genes = {n: a for n, a in dotted.items() if a.ndim}
            numbers = {n: a.item() for n, a in dotted.items() if not a.ndim}
            values[name] = restored(str(value), of_genes, numbers)
        elif isinstance(hint, type) and is_dataclass(hint):
            values[name] = restored_as(hint, dotted)
        elif value is None:
            values[name] = None
        elif Tensor in (hint, *get_args(hint)):
            values[name] = torch.as_tensor(value)
        else:
            plain = value.ndim == 0 or get_origin(hint) is list
            values[name] = value.tolist() if plain else value
    return kind(**values)


@contextmanager
def bringing(so_far: Any) -> Iterator[None]:
    """At Ctrl-C bring what there is so far, unless who was interrupted brings something later."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        raise Interrupted(so_far) from stop


def _is_own(name: str) -> bool:
    """Whether a file of this name belongs to a checkpoint."""
    return name == _ABOUT or name.endswith(_STEP) or name.startswith(HIDDEN)


def _name_of(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Numbers of numpy as those of Python; what else JSON does not know, by its name."""
    return value.item() if isinstance(value, np.generic) else str(value)
