"""Data sets: simulated expression with known truth, a small example, and images."""

from grnrep.ds.example import example
from grnrep.ds.images import Images, cifar10, digits, mnist
from grnrep.ds.networks import corrupt_network
from grnrep.ds.simulate import simulate

__all__ = ["Images", "cifar10", "corrupt_network", "digits", "example", "mnist", "simulate"]


def __dir__() -> list[str]:
    return sorted(__all__)
