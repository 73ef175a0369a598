"""Learned decoders as files, and results as tables."""

from grnrep.io.card import card
from grnrep.io.export import export
from grnrep.io.load import load
from grnrep.io.save import save

__all__ = ["card", "export", "load", "save"]


def __dir__() -> list[str]:
    return sorted(__all__)
