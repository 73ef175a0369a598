"""A fit whose data, cells and model are settled: learn, infer all cells, and shape what is stored."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from grnrep import _keys
from grnrep._cells import is_count
from grnrep._covariates import Covariates
from grnrep._match import Match
from grnrep._record import Decoder
from grnrep.core.fitted import Fit
from grnrep.core.repair import Repaired
from grnrep.core.signs import orient
from grnrep.rows.blocks import Blocks
from grnrep.rows.scan import Scan
from grnrep.rows.sink import ACTIVITY, SD, open_sink
from grnrep.tl._checkpoint import Checkpoint
from grnrep.tl._confounded import add_covariates
from grnrep.tl._interrupt import within_reach
from grnrep.tl._passes import learn_from_all
from grnrep.tl._plan import Plan
from grnrep.tl._repair import repair_table
from grnrep.tl._solve import SOLVERS, learn
from grnrep.tl._steps import drawn, learned
from grnrep.tl._store import results_of
from grnrep.tl._stream import every_activity
from grnrep.tl._uncertainty import add_uncertainty, posterior_of, posterior_of_counts

logger = logging.getLogger("grnrep")


def run(
    adata: AnnData,
    matched: Match,
    blocks: Blocks,
    scan: Scan,
    plan: Plan,
    design: Covariates | None,
    params: dict[str, Any],
    *,
    key: str,
    repaired: Repaired | None,
    uncertainty: bool,
    activity_store: str | Path | None,
    checkpoint: Checkpoint | None,
    client: Any,
    device: str | None,
    progress: bool,
    limit: dict[str, int],
) -> dict[str, Any]:
    """Parts of AnnData to set; ``params["converged"]`` is set on the way."""
    network = matched.network

    def decoder_of(fit: Fit) -> Decoder:
        params["converged"] = bool(fit.converged)
        names = {"genes": matched.genes, "regulators": matched.regulators}
        return Decoder(network=network, fit=fit, **names, params=params, covariates=design)

    def results(decoder: Decoder, signs: dict, activity: Any, sums: np.ndarray) -> dict:
        about = {"constant": ~scan.varies, **signs}
        parts = results_of(adata, matched, decoder, activity, sums, scan, plan.x, **about)
        if design is not None:
            add_covariates(parts, plan.x, decoder, plan.some)
        if repaired is not None:
            parts["uns"][_keys.REPAIR] = repair_table(repaired, decoder)
        return parts

    def signs_of(confidence: np.ndarray, origin: np.ndarray) -> dict[str, np.ndarray]:
        return {"sign_confidence": confidence, "sign_source": origin}

    def so_far(fit: Fit) -> tuple[Decoder, dict]:
        fit, *found = orient(fit, network)
        decoder = decoder_of(fit)
        unknown = np.full((4, network.n_genes), np.nan)
        return decoder, results(decoder, signs_of(*found), None, unknown)["uns"]

    there = {"device": device, "progress": progress}
    with within_reach(so_far, key, counts=is_count(params["likelihood"])) as reach:
        fit = learned(
            checkpoint, partial(learn, plan.x, network, plan.some, params, **there, **limit)
        )
        reach.fit, posterior = fit, None
        if plan.passes:
            where = {"client": client, "checkpoint": checkpoint}
            fit = learn_from_all(
                fit, network, blocks, scan, plan, params, **where, **there, **limit
            )
            reach.fit = fit
        if uncertainty and is_count(params["likelihood"]):
            posterior, *found = posterior_of_counts(plan.x, fit, network, plan.some)
            fit = reach.fit = posterior.fit
        elif uncertainty:
            model = {name: params[name] for name in ("link", "prior", "rng")}
            model["shared"] = params["shared_prior"]
            draw = partial(posterior_of, plan.x, fit, network, **model, **there)
            posterior, *found = drawn(checkpoint, draw)
            fit = reach.fit = posterior.fit
        else:
            fit, *found = orient(fit, network)
        if not fit.converged:
            logger.warning(
                "fit %r: not converged; more %s may help", key, SOLVERS[params["solver"]]
            )
        decoder = decoder_of(fit)
        names, kinds = (adata.obs_names, matched.regulators), (ACTIVITY, SD)[: 1 + uncertainty]
        name_of_run = None if checkpoint is None else checkpoint.run
        with open_sink(
            activity_store, *names, kinds, n_rows=blocks.n_rows, run=name_of_run
        ) as sink:
            there |= {"solver": params["solver"], "client": client, "checkpoint": checkpoint}
            sums = every_activity(decoder, blocks, scan, plan, posterior, sink, **there)
    parts = results(decoder, signs_of(*found), sink.result(), sums)
    if posterior is not None:
        add_uncertainty(parts, posterior, sink.result(SD))
    if repaired is not None:
        status = parts["uns"][_keys.REPAIR]["status"]
        logger.info(
            "fit %r: repair: %s; the stated rate is that of noise that is independent between genes, and "
            "more additions are false where programmes outside the network move many genes together",
            key, status.value_counts().to_dict(),
        )  # fmt: skip
    return parts
