"""What is chosen for a fit: likelihood, intercepts, the cells to learn from, the network, the penalties."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from grnrep._cells import Cells, Model, is_count, link_of, read_cells
from grnrep._checks import some
from grnrep._load import Loads, advice, loads
from grnrep._match import Match
from grnrep._values import report_empty
from grnrep.core.choose.intercept import needs_intercept
from grnrep.core.choose.likelihood import choose_likelihood
from grnrep.core.choose.ridge import RIDGES as FREE_RIDGES
from grnrep.core.choose.ridge import of_many_cells
from grnrep.core.choose.shrinkage import RIDGES, Shrinkage, choose_shrinkage, is_signed
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.core.repair import Repaired
from grnrep.tl._checkpoint import Checkpoint
from grnrep.tl._config import BY_SIGN, FitConfig
from grnrep.tl._data import Data, Sample, sample_size
from grnrep.tl._repair import repair, with_edges

logger = logging.getLogger("grnrep")

# held-out values ask for more, which costs activities up to 0.03 of correlation
_COUNT_RIDGE: Final = 1e-3


@dataclass(frozen=True)
class Penalties:
    """Of the exact solver; see :func:`grnrep.core.als.fit.fit_decoder`."""

    ridge: float
    sign_shrinkage: float
    shared: bool


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
        None of the gradient solver.
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

    @property
    def n_known(self) -> int:
        """Known columns: the intercept and covariates."""
        return int(self.model.intercept) + self.cells.n_covariates


def choose(data: Data, sample: Sample, config: FitConfig) -> Choices:
    """Choose what "auto" leaves open, each by the cells of a sample."""
    scan, matched, repaired, penalties = data.scan, data.matched, None, None
    model, cells, sample = choose_model(data, sample, config)
    n_known = int(model.intercept) + cells.n_covariates
    if config.repair:
        repaired = repair(data, sample, cells, config, model)
        matched = with_edges(matched, repaired)
    load = loads(scan.n_obs, scan.n_constraints(model.link), matched.network, n_known=n_known)
    _log_start(data, matched, load, config)
    if model.counts:
        report_empty(scan, what=data.name)
    sample_cells = cells.part(sample.rows)
    if config.solver == "exact":
        penalties = _penalties(sample.x, matched, sample_cells, config, model)
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
    )


def choose_model(data: Data, sample: Sample, config: FitConfig) -> tuple[Model, Cells, Sample]:
    """Choose likelihood and intercepts; with facts on all cells, and the cells to learn from."""
    likelihood = _likelihood(data, sample, config)
    cells = read_cells(data.adata, data.scan, data.covariates, counts=is_count(likelihood))
    model = Model(likelihood, _intercept(data, sample, cells, config, likelihood=likelihood))
    return model, cells, _to_learn_from(data, sample, config, model)


def _likelihood(data: Data, sample: Sample, config: FitConfig) -> str:
    """Choose the likelihood; neither the gradient solver nor a repair is of counts."""
    chosen = config.likelihood
    if chosen in ("auto", BY_SIGN):
        chosen = _by_values(data, sample, config)
    if config.repair and not LIKELIHOODS[chosen].constant_curvature:
        raise ValueError(
            "repair needs likelihood='gaussian' or 'tobit', and normalised expression; found values for which "
            f"{chosen!r} is used. Normalise counts, e.g. with scanpy.pp.normalize_total and log1p, or name "
            "such a layer"
        )
    return chosen


def _by_values(data: Data, sample: Sample, config: FitConfig) -> str:
    """The likelihood that values ask for: of counts, or by whether any is negative."""
    scan, network = data.scan, data.matched.network
    otherwise = "gaussian" if scan.negative.count else "tobit"
    # sums over all genes that are not finite have no size factors
    whole = not (scan.fraction.count or scan.negative.count) and np.isfinite(scan.depth).all()
    if config.likelihood == BY_SIGN or not whole:
        return otherwise
    sizes = read_cells(data.adata, scan, None, counts=True).part(sample.rows).size_factors
    chosen, reason = choose_likelihood(sample.x, network, size_factors=sizes, rng=config.rng)
    if not is_count(chosen):
        logger.info("likelihood='auto' chose %r: %s", otherwise, reason)
        return otherwise
    if is_signed(network):
        logger.warning(
            "likelihood='auto' chose %r, because those of counts draw no weights to prior signs, though "
            "values are counts. Normalise and take logarithms, or choose likelihood=%r", otherwise, chosen
        )  # fmt: skip
        return otherwise
    logger.info("likelihood='auto' chose %r: %s", chosen, reason)
    return chosen


def _intercept(
    data: Data, sample: Sample, cells: Cells, config: FitConfig, *, likelihood: str
) -> bool:
    """Choose whether every gene has an intercept.

    Without a ReLU the zero of expression has no meaning of its own, so that every
    gene needs one; under a ReLU the data decide. Covariates are differences from an intercept.
    """
    if not isinstance(config.intercept, str):
        return config.intercept
    if link_of(likelihood) == "identity" or data.covariates is not None:
        return True
    x = cells.part(sample.rows).scaled(sample.x)
    return needs_intercept(x, data.matched.network, rng=config.rng)


def _to_learn_from(data: Data, sample: Sample, config: FitConfig, model: Model) -> Sample:
    """As many cells of the same draw as the choices ask for."""
    n_cells = sample_size(data, config, intercept=model.intercept)
    return sample if n_cells == len(sample.rows) else sample.resized(data.blocks, n_cells)


def _penalties(
    x: np.ndarray, matched: Match, cells: Cells, config: FitConfig, model: Model
) -> Penalties:
    """Choose how strongly activities are shrunk, and weights to which prior values.

    Of counts, whose genes differ in scale, weights are not drawn to ±1.
    """
    ridge = None if config.ridge == "auto" else float(config.ridge)
    sign_shrinkage = None if config.sign_shrinkage == "auto" else float(config.sign_shrinkage)
    if not LIKELIHOODS[model.likelihood].constant_curvature:
        return Penalties(
            ridge=_COUNT_RIDGE if ridge is None else ridge,
            sign_shrinkage=0.0 if sign_shrinkage is None else sign_shrinkage,
            shared=False,
        )
    if config.shared is not None and ridge is not None and sign_shrinkage is not None:
        return Penalties(ridge, sign_shrinkage, config.shared)  # chosen before
    chosen = choose_shrinkage(
        x,
        matched.network,
        likelihood=model.likelihood,
        intercept=model.intercept,
        covariates=cells.covariates,
        ridge=ridge,
        prior=sign_shrinkage,
        rng=config.rng,
    )
    if ridge is None:
        _report_end(chosen, len(x))
    if not chosen.signs_predict:
        logger.warning(
            "the signs of net predict genes that were held out no better than chance; weights are %s. "
            "Check the names and the signs of net: those of a shuffled network do as well",
            "free" if chosen.prior == 0 else f"drawn to them as sign_shrinkage={chosen.prior} does",
        )
    return Penalties(chosen.ridge, chosen.prior, chosen.shared)


def _report_end(chosen: Shrinkage, n_cells: int) -> None:
    """Warn where the search ended at the strongest ridge that it tries."""
    strongest = max(RIDGES) if chosen.prior > 0 else of_many_cells(max(FREE_RIDGES), n_cells)
    if chosen.ridge >= strongest:
        logger.warning(
            "ridge='auto' chose %.3g, the strongest that it tries: noise is large beside what the network "
            "explains, and activities are shrunk towards 0. More cells and prior signs help; whether the "
            "network fits these data at all, grnrep.validation.network_information tells",
            chosen.ridge,
        )


def resume(config: FitConfig, checkpoint: Checkpoint | None) -> FitConfig:
    """The options with what "auto" had chosen before the run was killed."""
    saved = None if checkpoint is None else checkpoint.load("choices")
    if saved is None:
        return config
    before = json.loads(str(saved["json"]))
    return replace(
        config,
        likelihood=before["likelihood"],
        intercept=before["intercept"],
        ridge=before.get("ridge", config.ridge),
        sign_shrinkage=before.get("sign_shrinkage", config.sign_shrinkage),
        shared=before.get("shared"),
    )


def keep(choices: Choices, checkpoint: Checkpoint | None) -> None:
    """Save what :func:`resume` reads."""
    if checkpoint is None:
        return
    chosen = asdict(choices.model)
    if choices.penalties is not None:
        chosen |= asdict(choices.penalties)
    checkpoint.save("choices", {"json": np.array(json.dumps(chosen))})


def _log_start(data: Data, matched: Match, load: Loads, config: FitConfig) -> None:
    """Say what is about to be fitted, and what the data lack, before the long search for penalties."""
    key, network, dropped = config.key_added, matched.network, matched.dropped_regulators
    n_constant = int(np.count_nonzero(~data.scan.varies))
    logger.info("fit %r: %d cells, effective load %.2f", key, data.scan.n_obs, load.effective)
    sizes = (key, network.n_genes, network.n_regulators, network.n_edges, len(matched.net))
    logger.info("fit %r: %d genes, %d regulators, %d of %d edges of net", *sizes)
    if dropped:
        names = (key, len(dropped), some(dropped, 10))
        logger.info("fit %r: %d regulators have no target in adata: %s", *names)
    if n_constant:
        logger.info(
            "fit %r: %d genes are constant and say nothing about activities", key, n_constant
        )
    if advice(load):
        logger.warning("fit %r: %s", key, advice(load))


def log_choices(asked: FitConfig, choices: Choices, n_obs: int) -> None:
    """Say what "auto" chose."""
    key, penalties = asked.key_added, choices.penalties
    chosen: list[tuple[str, object, object]] = [
        ("likelihood", asked.likelihood, choices.model.likelihood),
        ("intercept", asked.intercept, choices.model.intercept),
    ]
    if penalties is not None:
        chosen += [
            ("ridge", asked.ridge, penalties.ridge),
            ("sign_shrinkage", asked.sign_shrinkage, penalties.sign_shrinkage),
        ]
    for name, option, value in chosen:
        if option in ("auto", BY_SIGN):
            logger.info("fit %r: %s='auto' chose %r", key, name, value)
    n_cells = len(choices.sample.rows)
    if n_cells < n_obs and not choices.passes:
        logger.info("fit %r: learning the decoder from %d of the cells", key, n_cells)
