"""Torch modules: the sparse masked decoder and the gradient road."""

from grnrep.core.decoder import SparseLinear

__all__ = ["SparseLinear"]
