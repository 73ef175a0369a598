"""Data sets: simulated expression with known truth, and a small example."""

from grnrep.ds.example import example
from grnrep.ds.networks import corrupt_network
from grnrep.ds.simulate import simulate

__all__ = ["corrupt_network", "example", "simulate"]
