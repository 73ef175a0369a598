"""Before fitting: how well a network suits the data."""

from grnrep.pp.check_network import NetworkReport, check_network

__all__ = ["NetworkReport", "check_network"]
