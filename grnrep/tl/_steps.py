"""Steps of a fit that are kept in its checkpoint, and found there again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from grnrep.core.als.count_data import CountFit
from grnrep.core.fitted import Fit
from grnrep.core.posterior.sample import Posterior
from grnrep.tl._checkpoint import Checkpoint

T = TypeVar("T")
Arrays = Mapping[str, np.ndarray]
Drawn = tuple[Posterior, np.ndarray, np.ndarray]  # with the confidence and the source of every sign

_FIT = "fit."


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
    return _once(checkpoint, "learned", learn, arrays_of=_arrays, whole=_fit)


def drawn(checkpoint: Checkpoint | None, draw: Callable[[], Drawn]) -> Drawn:
    """The posterior that was drawn before, or else draw it and save it."""
    return _once(checkpoint, "posterior", draw, arrays_of=_arrays_of_draws, whole=_draws)


def _once(
    checkpoint: Checkpoint | None,
    name: str,
    make: Callable[[], T],
    *,
    arrays_of: Callable[[T], Arrays],
    whole: Callable[[Arrays], T],
) -> T:
    found = None if checkpoint is None else checkpoint.load(name)
    if found is not None:
        return whole(found)
    made = make()
    if checkpoint is not None:
        checkpoint.save(name, arrays_of(made))
    return made


def _arrays(thing: Fit | Posterior) -> dict[str, np.ndarray]:
    values = {field.name: getattr(thing, field.name) for field in fields(thing)}
    return {name: np.asarray(value) for name, value in values.items() if value is not None}


def _fit(arrays: Arrays) -> Fit:
    kind = CountFit if "depth" in arrays else Fit
    whole = {name: value if value.ndim else value.item() for name, value in arrays.items()}
    return kind(**{"bias": None} | whole | {"history": arrays["history"].tolist()})


def _arrays_of_draws(found: Drawn) -> dict[str, np.ndarray]:
    posterior, confidence, source = found
    own = {name: value for name, value in _arrays(posterior).items() if name != "fit"}
    of_fit = {_FIT + name: value for name, value in _arrays(posterior.fit).items()}
    return own | of_fit | {"confidence": confidence, "source": source}


def _draws(arrays: Arrays) -> Drawn:
    of_fit = {name.removeprefix(_FIT): v for name, v in arrays.items() if name.startswith(_FIT)}
    own = {field.name: arrays.get(field.name) for field in fields(Posterior)}
    return Posterior(**own | {"fit": _fit(of_fit)}), arrays["confidence"], arrays["source"]
