"""State of a training on disk: tensors and numbers, which are read back without executing anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import torch

_VERSION = 1

# validation loss of the best epoch, its number, and the state of the model then, if there is one
Best: TypeAlias = tuple[float, int, dict[str, Any] | None]


def save_state(
    path: str | os.PathLike[str],
    parts: dict[str, Any],
    generator: torch.Generator,
    settings: dict[str, object],
    rows: list[dict[str, float]],
    best: Best,
) -> None:
    """Write the state of every part; the file is replaced at once, or stays as it was."""
    state = {
        "version": _VERSION,
        "settings": settings,
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "generator": generator.get_state(),
        "rows": rows,
        "best": list(best),
    }
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(state, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load_state(
    path: str | os.PathLike[str],
    parts: dict[str, Any],
    generator: torch.Generator,
    settings: dict[str, object],
) -> tuple[list[dict[str, float]], Best]:
    """Read the state of every part back; return the rows of the history and the best model.

    Raises
    ------
    ValueError
        If the file is not a checkpoint, or one of another training.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=generator.device)
        version, found = state["version"], state["settings"]
    except Exception as error:
        raise ValueError(
            f"checkpoint {str(path)!r} cannot be read; remove it to start anew"
        ) from error
    if version != _VERSION:
        raise ValueError(
            f"checkpoint {str(path)!r} has version {version}, not {_VERSION}; remove it"
        )
    differ = [name for name, value in settings.items() if found.get(name) != value]
    if differ:
        raise ValueError(
            f"checkpoint {str(path)!r} belongs to another training: {', '.join(differ)} differ; "
            "remove it, or choose another file"
        )
    try:
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
    except (KeyError, RuntimeError, ValueError) as error:  # what torch raises for other parameters
        raise ValueError(
            f"checkpoint {str(path)!r} belongs to another model, or to one of other precision; "
            "remove it, or choose another file"
        ) from error
    generator.set_state(state["generator"].cpu())
    return state["rows"], tuple(state["best"])
