"""Get results out of AnnData."""

from grnrep.get.activity import activity

__all__ = ["activity"]
