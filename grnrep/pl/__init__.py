"""Plots: activities and their differences, edges, the network, and a fit beside the truth.

All take ``ax`` (axes to draw on), ``show`` and ``save``, and return the axes. For everything else that scanpy plots use
it on :func:`grnrep.get.activity`.
"""

from grnrep.pl.activities import activities
from grnrep.pl.check_network import check_network
from grnrep.pl.embedding import embedding
from grnrep.pl.history import history
from grnrep.pl.images import image_grid, manifold
from grnrep.pl.load_curve import load_curve
from grnrep.pl.rank_regulators import rank_regulators
from grnrep.pl.recovery import recovery
from grnrep.pl.targets import targets
from grnrep.pl.top_regulators import top_regulators
from grnrep.pl.uncertainty import uncertainty
from grnrep.pl.unexplained import unexplained
from grnrep.pl.volcano import volcano
from grnrep.pl.weights import weights

__all__ = [
    "activities",
    "check_network",
    "embedding",
    "history",
    "image_grid",
    "load_curve",
    "manifold",
    "rank_regulators",
    "recovery",
    "targets",
    "top_regulators",
    "uncertainty",
    "unexplained",
    "volcano",
    "weights",
]


def __dir__() -> list[str]:
    return sorted(__all__)
