"""Get results out of AnnData."""

from grnrep.get.activity import activity

__all__ = ["activity"]


def __dir__() -> list[str]:
    return sorted(__all__)
