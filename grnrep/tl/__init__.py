"""Tools: learn a decoder with the activities, infer activities of new cells, compare groups."""

from grnrep.tl._results import FitInterrupted
from grnrep.tl.fit import fit
from grnrep.tl.rank_regulators import rank_regulators
from grnrep.tl.transform import transform

__all__ = ["FitInterrupted", "fit", "rank_regulators", "transform"]
