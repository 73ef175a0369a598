"""Measures: how well activities are recovered, expression is explained, and a fit is determined."""

from grnrep.core.load import (
    count_constraints,
    decoder_load,
    decoder_load_from_encoder_load,
    effective_load,
    encoder_load,
    n_obs_for_load,
)
from grnrep.metrics.reconstruction import reconstruction
from grnrep.metrics.recovery import recovery

__all__ = [
    "count_constraints",
    "decoder_load",
    "decoder_load_from_encoder_load",
    "effective_load",
    "encoder_load",
    "n_obs_for_load",
    "reconstruction",
    "recovery",
]


def __dir__() -> list[str]:
    return sorted(__all__)
