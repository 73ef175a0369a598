"""Tools: learn a decoder with the activities, infer activities of new cells, compare groups, say what is left."""

from grnrep.tl._interrupted import FitInterrupted
from grnrep.tl.fit import fit
from grnrep.tl.fit_gradient import fit_gradient
from grnrep.tl.posterior import posterior
from grnrep.tl.rank_regulators import rank_regulators
from grnrep.tl.repair import repair
from grnrep.tl.transform import transform
from grnrep.tl.unexplained import unexplained

__all__ = [
    "FitInterrupted",
    "fit",
    "fit_gradient",
    "posterior",
    "rank_regulators",
    "repair",
    "transform",
    "unexplained",
]
