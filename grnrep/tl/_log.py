"""What a fit says before it starts."""

from __future__ import annotations

import logging

from grnrep._checks import some
from grnrep._load import Loads, advice
from grnrep._match import Match

logger = logging.getLogger("grnrep")


def log_start(key: str, matched: Match, asked: dict, params: dict, found: Loads, *, n_constant: int) -> None:
    """Say what is about to be fitted, what auto chose, and what the data lack."""
    network, dropped = matched.network, matched.dropped_regulators
    logger.info("fit %r: %d cells, effective load %.2f", key, params["n_obs"], found.effective)
    sizes = (key, network.n_genes, network.n_regulators, network.n_edges, len(matched.net))
    logger.info("fit %r: %d genes, %d regulators, %d of %d edges of net", *sizes)
    for name, value in asked.items():
        if value == "auto":
            logger.info("fit %r: %s='auto' chose %r", key, name, params[name])
    if params.get("n_obs_learned", params["n_obs"]) < params["n_obs"]:
        logger.info("fit %r: learning the decoder from %d of the cells", key, params["n_obs_learned"])
    if dropped:
        logger.info("fit %r: %d regulators have no target in adata: %s", key, len(dropped), some(dropped, 10))
    if n_constant:
        logger.info("fit %r: %d genes are constant and say nothing about activities", key, n_constant)
    if advice(found):
        logger.warning("fit %r: %s", key, advice(found))
