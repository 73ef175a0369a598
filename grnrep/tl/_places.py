"""Places on disk that a verb was given: checked before any work, and held while it runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from grnrep.rows.atomic import while_alone

P = ParamSpec("P")
T = TypeVar("T")


def holding_places(verb: Callable[P, T]) -> Callable[P, T]:
    """Have a verb check its ``activity_store`` and ``checkpoint``, and hold them while it runs."""

    @wraps(verb)
    def held(*args: P.args, **options: P.kwargs) -> T:
        given: dict[str, Any] = {
            name: options[name] for name in ("activity_store", "checkpoint") if name in options
        }
        check_places(given.get("activity_store"), given.get("checkpoint"))
        places = {name: Path(path) for name, path in given.items() if path is not None}
        return while_alone(places, partial(verb, *args, **options))

    return held


def check_places(activity_store: str | Path | None, checkpoint: str | Path | None) -> None:
    """Check that both can be written, apart from one another; touches nothing."""
    from grnrep.rows.sink import check_store

    if checkpoint is not None:
        if not isinstance(checkpoint, str | Path):
            raise TypeError(
                f"checkpoint must be a path, or None; found {type(checkpoint).__name__}"
            )
        folder = Path(checkpoint).resolve().parent
        if not folder.is_dir():
            raise ValueError(f"checkpoint={str(checkpoint)!r}: there is no folder {str(folder)!r}")
    check_store(activity_store, of_a_run=checkpoint is not None)
    if checkpoint is None or activity_store is None:
        return
    one, other = (Path(path).resolve() for path in (checkpoint, activity_store))
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise ValueError(
            f"checkpoint={str(checkpoint)!r} and activity_store={str(activity_store)!r} must be two places, "
            "neither inside the other; choose another place for one"
        )
