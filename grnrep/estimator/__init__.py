"""The fit as a scikit-learn estimator."""

from grnrep.estimator.sparse_decoder import SparseDecoder

__all__ = ["SparseDecoder"]


def __dir__() -> list[str]:
    return sorted(__all__)
