"""Load of decoders and encoders; the numerics are in `grnrep.core.load`."""

from grnrep.core.load import (
    count_constraints,
    decoder_load,
    decoder_load_from_encoder_load,
    effective_load,
    encoder_load,
    n_obs_for_load,
)

__all__ = [
    "count_constraints",
    "decoder_load",
    "decoder_load_from_encoder_load",
    "effective_load",
    "encoder_load",
    "n_obs_for_load",
]
