"""Covariates as part of a fit: their effects, and regulators that they hide."""

from __future__ import annotations

import logging

import numpy as np
import torch

from grnrep import _keys
from grnrep._cells import Cells
from grnrep._checks import some
from grnrep._record import Decoder
from grnrep.core.design import known_columns, without_known

logger = logging.getLogger("grnrep")

_HIDDEN = 0.9  # share of the variance of a regulator's targets, from which hardly anything is left


def add_covariates(results: dict, x: np.ndarray, decoder: Decoder, cells: Cells) -> None:
    """Add covariates and their effects to what a fit is about to store; warn of regulators that they hide."""
    tables = results["uns"]
    tables[_keys.COVARIATES] = decoder.covariates.columns
    tables[_keys.EFFECTS] = decoder.fit.effects
    share = hidden_share(cells.scaled(x), decoder, cells)
    tables[_keys.REGULATORS]["covariate_r2"] = share
    hidden = decoder.regulators[share > _HIDDEN]
    if len(hidden):
        logger.warning(
            "covariates explain more than %d %% of the variance of all targets of %d regulators, whose "
            "activity cannot be told from them: %s", 100 * _HIDDEN, len(hidden), some(hidden, 10)
        )  # fmt: skip


def hidden_share(x: np.ndarray, decoder: Decoder, cells: Cells) -> np.ndarray:
    """Share of the variance of every regulator's targets that covariates explain, ``(n_regulators,)``."""
    network = decoder.network
    values = torch.as_tensor(x)
    before, after = (
        np.square(without_known(values, torch.as_tensor(known)).numpy(), dtype=np.float64).sum(0)
        for known in (
            known_columns(len(x), intercept=True),
            known_columns(len(x), intercept=True, covariates=cells.covariates),
        )
    )
    of_gene = np.stack([before, after])[:, network.gene]
    total, left = (np.bincount(network.regulator, part, network.n_regulators) for part in of_gene)
    return 1 - np.divide(left, total, out=np.ones_like(total), where=total > 0)
