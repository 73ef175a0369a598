"""Transcription factor activities per cell, and the sign and strength of every edge, learned together."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

from grnrep._importing import uncollected

__version__ = version("grnrep")
__all__ = [
    "SparseDecoder",
    "core",
    "ds",
    "get",
    "io",
    "metrics",
    "nn",
    "pl",
    "pp",
    "tl",
    "validation",
]


def __getattr__(name: str) -> Any:
    """Import a room when it is first asked for: torch and scanpy take seconds to load."""
    with uncollected():
        if name == "SparseDecoder":
            return import_module(f"{__name__}.estimator").SparseDecoder
        if name in __all__:
            return import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}"
    )


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
