"""What is chosen for a fit, in order: the model, the network and the cells to learn from, the priors."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

import numpy as np

from grnrep._cells import Cells, is_count
from grnrep._match import Match
from grnrep._values import report_empty
from grnrep.core.als.assumed import Assumptions
from grnrep.core.choose.sample_size import Loads, loads
from grnrep.core.repair import LEAST_LOAD, Repaired, repair_network
from grnrep.tl._checkpoint import Checkpoint
from grnrep.tl._choose_model import Model, choose_model
from grnrep.tl._choose_priors import Penalties, assumptions_of, penalties_of
from grnrep.tl._config import BY_SIGN, FitConfig
from grnrep.tl._data import Data, Sample

logger = logging.getLogger("grnrep")

# that a network is repaired from, so that genes that are mostly zero are seen often enough to judge their edges
_FEWEST_CELLS: Final = 2000
_ASSUMED: Final = tuple(field.name for field in fields(Assumptions))


@dataclass(frozen=True, eq=False)
class Choices:
    """What was chosen.

    Parameters
    ----------
    model
        Likelihood and intercept.
    matched, repaired
        The network to fit, and what became of every edge of the one that was given; None unless asked for.
    loads
        How well the data determine that network.
    cells
        Facts on all cells.
    sample, sample_cells
        The cells to learn from, and the facts on them.
    passes
        Whether the decoder is then learned on from all cells, in passes over them.
    penalties
        Of a fit with penalties: that are given, of counts, or at a load at which the evidence says too little.
    assumed
        Of a fit by evidence. Both are None of the gradient solver.
    """

    model: Model
    matched: Match
    repaired: Repaired | None
    loads: Loads
    cells: Cells
    sample: Sample
    sample_cells: Cells
    passes: bool
    penalties: Penalties | None
    assumed: Assumptions | None = None


def choose(data: Data, sample: Sample, config: FitConfig) -> Choices:
    """Choose what "auto" leaves open, each by the cells of a sample."""
    scan, matched, repaired = data.scan, data.matched, None
    penalties = assumed = None
    model, cells, sample, compared = choose_model(data, sample, config)
    if config.repair:
        compared = None  # was by the network as it came
        repaired = repair_edges(data, sample, cells, config, model)
        matched = matched.with_network(repaired.network)
    load = _loads(data, matched, model)
    _log_start(data, matched, load, config)
    if is_count(model.likelihood):
        report_empty(scan, what=data.name)
    sample_cells = cells.part(sample.rows)
    if config.solver == "exact" and model.by_evidence:
        assumed = assumptions_of(sample.x, matched.network, sample_cells, config, model)
    elif config.solver == "exact":
        penalties = penalties_of(sample.x, matched.network, sample_cells, config, model, compared)
    return Choices(
        model=model,
        matched=matched,
        repaired=repaired,
        loads=load,
        cells=cells,
        sample=sample,
        sample_cells=sample_cells,
        passes=config.max_cells is None and len(sample.rows) < scan.n_obs,
        penalties=penalties,
        assumed=assumed,
    )


def repair_edges(
    data: Data, sample: Sample, cells: Cells, config: FitConfig, model: Model
) -> Repaired:
    """Repair the network by the cells to learn from, but by 2,000 at least; ``cells`` are facts on all.

    Refuses where there are too few values to judge edges by.
    """
    load = _loads(data, data.matched, model)
    if load.effective < LEAST_LOAD:
        raise ValueError(
            f"repair needs an effective load of at least {LEAST_LOAD:g}, as additions would explain noise "
            f"below it; found {load.effective:.2f}. Use more cells, fewer regulators, or no repair"
        )
    if len(sample.rows) < min(_FEWEST_CELLS, data.scan.n_obs):
        sample = sample.resized(data.blocks, _FEWEST_CELLS)
    return repair_network(
        sample.x,
        data.matched.network,
        likelihood=model.likelihood,
        covariates=cells.part(sample.rows).covariates,
        rng=config.rng,
        device=config.device,
        progress=config.progress,
    )


def _loads(data: Data, matched: Match, model: Model) -> Loads:
    """How well all cells determine a network."""
    n_constraints = data.scan.n_constraints(model.link)
    n_known = data.n_known(intercept=model.intercept)
    return loads(data.scan.n_obs, n_constraints, matched.network, n_known=n_known)


def resume(config: FitConfig, checkpoint: Checkpoint | None) -> FitConfig:
    """The options with what "auto" had chosen before the run was killed."""
    saved = None if checkpoint is None else checkpoint.load("choices")
    if saved is None:
        return config
    values = {name: value.item() for name, value in saved.items()}
    assumed = {name: values.pop(name) for name in _ASSUMED if name in values}
    values.pop("by_evidence")
    if assumed:
        tau2 = assumed["tau2"]
        values["assumed"] = Assumptions(**{**assumed, "tau2": None if np.isnan(tau2) else tau2})
    return replace(config, **values)


def keep(choices: Choices, checkpoint: Checkpoint | None) -> None:
    """Save what :func:`resume` reads, by the names of the options."""
    if checkpoint is not None:
        chosen = {} if choices.penalties is None else asdict(choices.penalties)
        if choices.assumed is not None:
            tau2 = choices.assumed.tau2
            chosen = asdict(choices.assumed) | {"tau2": np.nan if tau2 is None else tau2}
        checkpoint.save("choices", asdict(choices.model) | chosen)


def _log_start(data: Data, matched: Match, load: Loads, config: FitConfig) -> None:
    """Say what is about to be fitted, and what the data lack, before the long search for penalties."""
    key, network = config.key_added, matched.network
    n_constant = int(np.count_nonzero(~data.scan.varies))
    logger.info("fit %r: %d cells, effective load %.2f", key, data.scan.n_obs, load.effective)
    sizes = (network.n_genes, network.n_regulators, network.n_edges, len(matched.net))
    logger.info("fit %r: %d genes, %d regulators, %d of %d edges of net", key, *sizes)
    if n_constant:
        what = "genes are constant and say nothing about activities"
        logger.info("fit %r: %d %s", key, n_constant, what)
    if load.advice():
        logger.warning("fit %r: %s", key, load.advice())


def log_choices(asked: FitConfig, choices: Choices, n_obs: int) -> None:
    """Say what "auto" chose."""
    chosen = asdict(choices.model)
    chosen.pop("by_evidence")
    if choices.penalties is not None:
        chosen |= asdict(choices.penalties)
    for name, value in chosen.items():
        if getattr(asked, name) in ("auto", BY_SIGN):
            logger.info("fit %r: %s='auto' chose %r", asked.key_added, name, value)
    n_cells = len(choices.sample.rows)
    if n_cells < n_obs and not choices.passes:
        text = "fit %r: learning the decoder from %d of the cells"
        logger.info(text, asked.key_added, n_cells)
