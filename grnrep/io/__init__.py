"""Learned decoders as files."""

from grnrep.io.load import load
from grnrep.io.save import save

__all__ = ["load", "save"]


def __dir__() -> list[str]:
    return sorted(__all__)
