"""Names under which results are kept in AnnData, in one place."""

from __future__ import annotations

from typing import Final

FIT: Final = "grnrep"  # obsm, varm and uns
SD: Final = "_sd"  # behind the name of the activities in obsm
FREE: Final = "_free"  # behind the name of activities in obsm, and of weights in varm
TRUE_ACTIVITY: Final = "true_activity"  # obsm, simulated data

# parts of uns[key]
NETWORK: Final = "network"
REGULATORS: Final = "regulators"
GENES: Final = "genes"
PARAMS: Final = "params"
HISTORY: Final = "history"
REPAIR: Final = "repair"
COVARIATES: Final = "covariates"
EFFECTS: Final = "covariate_effects"
LOADINGS: Final = "free_loadings"
CORRELATION: Final = "activity_correlation"
DROPPED_REGULATORS: Final = "dropped_regulators"
MISSING_GENES: Final = "missing_genes"
CARD: Final = "card"  # of a model: data, network, licence, reference
UNEXPLAINED: Final = "unexplained"
INFLATION: Final = "noise_inflation"  # in params

# columns of uns[key]["network"]
SOURCE: Final = "source"
TARGET: Final = "target"
WEIGHT: Final = "weight"
LEARNED: Final = "learned"
LEARNED_SD: Final = "learned_sd"

X: Final = "X"  # what params["layer"] says when X itself was read
RAW: Final = ".raw"  # and when adata.raw was
