"""What a fit says before it starts."""

from __future__ import annotations

import logging

import numpy as np

from grnrep._cells import is_count
from grnrep._checks import some
from grnrep._load import Loads, advice, loads
from grnrep._match import Match
from grnrep._values import report_empty
from grnrep.rows.scan import Scan
from grnrep.tl._plan import Plan

logger = logging.getLogger("grnrep")


def log_start(key: str, matched: Match, scan: Scan, plan: Plan, *, what: str) -> Loads:
    """Say what is about to be fitted, and what the data lack, before the long search for penalties.

    ``what`` is how messages call the data. The loads come back.
    """
    network, dropped = matched.network, matched.dropped_regulators
    found = loads(scan.n_obs, scan.n_constraints(plan.link), network, n_known=plan.n_known)
    n_constant = int(np.count_nonzero(~scan.varies))
    logger.info("fit %r: %d cells, effective load %.2f", key, scan.n_obs, found.effective)
    sizes = (key, network.n_genes, network.n_regulators, network.n_edges, len(matched.net))
    logger.info("fit %r: %d genes, %d regulators, %d of %d edges of net", *sizes)
    if dropped:
        logger.info(
            "fit %r: %d regulators have no target in adata: %s",
            key,
            len(dropped),
            some(dropped, 10),
        )
    if n_constant:
        logger.info(
            "fit %r: %d genes are constant and say nothing about activities", key, n_constant
        )
    if advice(found):
        logger.warning("fit %r: %s", key, advice(found))
    if is_count(plan.model["likelihood"]):
        report_empty(scan, what=what)
    return found


def log_choices(key: str, asked: dict, params: dict) -> None:
    """Say what auto chose."""
    for name, value in asked.items():
        if value == "auto":
            logger.info("fit %r: %s='auto' chose %r", key, name, params[name])
    if params.get("n_obs_learned", params["n_obs"]) < params["n_obs"]:
        logger.info(
            "fit %r: learning the decoder from %d of the cells", key, params["n_obs_learned"]
        )
