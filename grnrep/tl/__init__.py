"""Tools: learn a decoder with the activities, and infer activities of new cells."""

from grnrep.tl.fit import fit
from grnrep.tl.transform import transform

__all__ = ["fit", "transform"]
