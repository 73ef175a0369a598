"""The steps of a fit, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
from anndata import AnnData

from grnrep._checks import check_place
from grnrep.core.fitted import Interrupted
from grnrep.rows.atomic import undisturbed
from grnrep.tl._checkpoint import open_checkpoint
from grnrep.tl._choose import choose, keep, log_choices, resume
from grnrep.tl._config import FitConfig
from grnrep.tl._data import fingerprint, look, sample
from grnrep.tl._infer import infer
from grnrep.tl._interrupted import FitInterrupted
from grnrep.tl._learn import learn
from grnrep.tl._results import copy_of, model_of, results_of, write

logger = logging.getLogger("grnrep")


def run(
    adata: AnnData,
    net: pd.DataFrame,
    config: FitConfig,
    *,
    kept: Mapping[str, Any] | None = None,
) -> AnnData | None:
    """Look, sample, choose, learn, infer, write: a fit from what is asked to what is found.

    ``kept`` are parts of the record of an earlier fit that this one does not make.
    """
    check_place(adata, config.key_added, copy=config.copy)
    data = look(adata, net, config)
    checkpoint = open_checkpoint(
        config.checkpoint, config.activity_store, partial(fingerprint, data, config)
    )
    settled = resume(config, checkpoint)
    choices = choose(data, sample(data, settled), settled)
    log_choices(config, choices, data.scan.n_obs)
    keep(choices, checkpoint)
    try:
        learned = learn(data, choices, config, checkpoint)
        activities = infer(data, choices, learned, config, checkpoint)
    except Interrupted as stop:
        model = model_of(stop.so_far, data, choices, config)
        logger.warning("fit %r: interrupted; nothing was written", config.key_added)
        raise FitInterrupted(model) from stop
    results = results_of(data, choices, learned, activities, config, adata.var_names)
    if kept is not None:
        results = replace(results, uns={**results.uns, **kept})
    out = copy_of(adata) if config.copy else adata
    with undisturbed():
        write(results, out, config.key_added)
        if checkpoint is not None:
            checkpoint.finish()
    return out if config.copy else None
