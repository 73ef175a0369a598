"""Data sets: simulated expression with known truth, what comes with the package, prior networks, and images."""

from grnrep.ds.example import decoder, example
from grnrep.ds.images import Images, cifar10, digits, mnist
from grnrep.ds.networks import corrupt_network
from grnrep.ds.prior_networks import collectri, dorothea, progeny
from grnrep.ds.simulate import simulate

__all__ = [
    "Images",
    "cifar10",
    "collectri",
    "corrupt_network",
    "decoder",
    "digits",
    "dorothea",
    "example",
    "mnist",
    "progeny",
    "simulate",
]


def __dir__() -> list[str]:
    return sorted(__all__)
