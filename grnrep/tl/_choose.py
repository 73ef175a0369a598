"""What is chosen for a fit: likelihood, intercepts, the cells to learn from, the network, the penalties."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

import numpy as np

from grnrep._cells import Cells, is_count, link_of, read_cells
from grnrep._checks import some
from grnrep._match import Match
from grnrep._values import report_empty
from grnrep.core.als.learn import Assumptions
from grnrep.core.choose.assumptions import choose_assumptions, is_determined
from grnrep.core.choose.intercept import needs_intercept
from grnrep.core.choose.likelihood import choose_likelihood
from grnrep.core.choose.ridge import RIDGES as FREE_RIDGES
from grnrep.core.choose.ridge import of_many_cells
from grnrep.core.choose.sample_size import Loads, loads
from grnrep.core.choose.shrinkage import RIDGES, choose_shrinkage, is_signed
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.core.repair import LEAST_LOAD, Repaired, repair_network
from grnrep.tl._checkpoint import Checkpoint
from grnrep.tl._config import BY_SIGN, FitConfig
from grnrep.tl._data import Data, Sample, sample_size

logger = logging.getLogger("grnrep")

# held-out values ask for more, which costs activities up to 0.03 of correlation
_COUNT_RIDGE: Final = 1e-3
# that a network is repaired from, so that genes that are mostly zero are seen often enough to judge their edges
_FEWEST_CELLS: Final = 2000
_ASSUMED: Final = tuple(field.name for field in fields(Assumptions))


@dataclass(frozen=True)
class Model:
    """What expression is taken for: a likelihood, and whether every gene has an intercept.

    ``by_evidence``: whether noise of every gene and priors are learned, or penalties are chosen, or given.
    """

    likelihood: str
    intercept: bool
    by_evidence: bool

    @property
    def link(self) -> str:
        """What zeros say, "relu" or "identity"."""
        return link_of(self.likelihood)


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
    model, cells, sample = choose_model(data, sample, config)
    if config.repair:
        repaired = repair_edges(data, sample, cells, config, model)
        matched = matched.with_network(repaired.network)
    load = _loads(data, matched, model)
    _log_start(data, matched, load, config)
    if is_count(model.likelihood):
        report_empty(scan, what=data.name)
    sample_cells = cells.part(sample.rows)
    if config.solver == "exact" and model.by_evidence:
        assumed = _assumptions(sample.x, matched, sample_cells, config, model)
    elif config.solver == "exact":
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
        assumed=assumed,
    )


def choose_model(data: Data, sample: Sample, config: FitConfig) -> tuple[Model, Cells, Sample]:
    """Choose likelihood and intercepts; with facts on all cells, and as many cells to learn from as these ask for."""
    likelihood = _likelihood(data, sample, config)
    cells = read_cells(data.adata, data.scan, data.covariates, counts=is_count(likelihood))
    intercept, by_evidence = config.intercept, _by_evidence(data, sample, config, likelihood)
    if isinstance(intercept, str):
        # Without a ReLU the zero of expression has no meaning of its own, so that every gene needs one; under a
        # ReLU the evidence says how large they are, or the data decide. Covariates are differences from an intercept.
        identity = link_of(likelihood) == "identity"
        intercept = by_evidence or identity or data.covariates is not None
        if not intercept:
            x = cells.part(sample.rows).scaled(sample.x)
            intercept = needs_intercept(x, data.matched.network, rng=config.rng)
    n_cells = sample_size(data, config, intercept=intercept)
    if n_cells != len(sample.rows):
        sample = sample.resized(data.blocks, n_cells)
    return Model(likelihood, intercept, by_evidence), cells, sample


def _by_evidence(data: Data, sample: Sample, config: FitConfig, likelihood: str) -> bool:
    """Whether noise and priors can be learned: of squared error, without given penalties, at enough load."""
    given = config.ridge != "auto" or config.sign_shrinkage != "auto"
    constant = LIKELIHOODS[likelihood].constant_curvature
    if config.assumed is not None:
        return True  # chosen before
    # who asks for free factors gets them, at any load
    wanted = not isinstance(config.free_factors, str) and config.free_factors > 0
    if config.solver != "exact" or given or not constant:
        if wanted:
            raise ValueError(
                f"free_factors must be 'auto' or 0 of counts, by gradients, and where ridge or sign_shrinkage is "
                f"given; found {config.free_factors!r}"
            )
        return False
    return wanted or is_determined(sample.x, data.matched.network, likelihood=likelihood)


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
        intercept=model.intercept,
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


def _assumptions(
    x: np.ndarray, matched: Match, cells: Cells, config: FitConfig, model: Model
) -> Assumptions:
    """Choose how closely weights follow prior signs, and whether free factors are needed."""
    if config.assumed is not None:
        return config.assumed  # chosen before
    chosen = choose_assumptions(
        x,
        matched.network,
        likelihood=model.likelihood,
        covariates=cells.covariates,
        n_factors=None if isinstance(config.free_factors, str) else int(config.free_factors),
        rng=config.rng,
    )
    if not chosen.signs_predict:
        logger.warning(
            "the signs of net predict genes that were held out no better than chance. Check the names and the signs "
            "of net: those of a shuffled network do as well"
        )
    return chosen.assumptions


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
    strongest = max(RIDGES) if chosen.prior > 0 else of_many_cells(max(FREE_RIDGES), len(x))
    if ridge is None and chosen.ridge >= strongest:
        logger.warning(
            "ridge='auto' chose %.3g, the strongest that it tries: noise is large beside what the network "
            "explains, and activities are shrunk towards 0. More cells and prior signs help; whether the "
            "network fits these data at all, grnrep.validation.network_information tells", chosen.ridge
        )  # fmt: skip
    if not chosen.signs_predict:
        logger.warning(
            "the signs of net predict genes that were held out no better than chance; weights are %s. "
            "Check the names and the signs of net: those of a shuffled network do as well",
            "free" if chosen.prior == 0 else f"drawn to them as sign_shrinkage={chosen.prior} does"
        )  # fmt: skip
    return Penalties(chosen.ridge, chosen.prior, chosen.shared)


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
    key, network, dropped = config.key_added, matched.network, matched.dropped_regulators
    n_constant = int(np.count_nonzero(~data.scan.varies))
    logger.info("fit %r: %d cells, effective load %.2f", key, data.scan.n_obs, load.effective)
    sizes = (network.n_genes, network.n_regulators, network.n_edges, len(matched.net))
    logger.info("fit %r: %d genes, %d regulators, %d of %d edges of net", key, *sizes)
    if dropped:
        n, names = len(dropped), some(dropped, 10)
        logger.info("fit %r: %d regulators have no target in adata: %s", key, n, names)
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
