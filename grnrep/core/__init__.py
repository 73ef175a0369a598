"""Pure numerics, arrays in and arrays out. `load` is the theory of Eq. 3 to 5; the rest serves the verbs."""

from grnrep.core import load

__all__ = ["load"]
