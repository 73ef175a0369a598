"""Get results out of AnnData."""

from grnrep.get.activity import activity
from grnrep.get.network import network

__all__ = ["activity", "network"]


def __dir__() -> list[str]:
    return sorted(__all__)
