"""Before fitting: how well a network suits the data."""

from grnrep.pp._report import NetworkReport
from grnrep.pp.check_network import check_network

__all__ = ["NetworkReport", "check_network"]


def __dir__() -> list[str]:
    return sorted(__all__)
