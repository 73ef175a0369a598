"""Plots of a fit beside the truth, and of images.

For activities alone use scanpy's plots on `grnrep.get.activity`.
"""

from grnrep.pl.activities import activities
from grnrep.pl.history import history
from grnrep.pl.images import image_grid, manifold
from grnrep.pl.recovery import recovery
from grnrep.pl.unexplained import unexplained
from grnrep.pl.weights import weights

__all__ = ["activities", "history", "image_grid", "manifold", "recovery", "unexplained", "weights"]


def __dir__() -> list[str]:
    return sorted(__all__)
