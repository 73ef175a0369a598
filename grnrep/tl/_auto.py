"""What "auto" means: choices that follow from the data."""

from __future__ import annotations

import logging
from numbers import Real

import numpy as np

from grnrep._cells import Cells, is_count
from grnrep._checks import check_choice
from grnrep._covariates import Covariates
from grnrep._record_check import COUNT_LINK
from grnrep.core.als.count_data import COUNT_LIKELIHOODS
from grnrep.core.choose.intercept import needs_intercept
from grnrep.core.choose.likelihood import choose_likelihood
from grnrep.core.choose.ridge import RIDGES as FREE_RIDGES
from grnrep.core.choose.ridge import of_many_cells
from grnrep.core.choose.sample_size import sufficient_cells
from grnrep.core.choose.shrinkage import RIDGES, Shrinkage, choose_shrinkage, is_signed
from grnrep.core.network import Network
from grnrep.rows.scan import Scan

logger = logging.getLogger("grnrep")

LINKS = ("auto", "relu", "identity")
LIKELIHOODS = ("auto", "gaussian", *COUNT_LIKELIHOODS)
# held-out values ask for more, which costs activities up to 0.03 of correlation
_COUNT_RIDGE = 1e-3


def check_model(
    *,
    solver: str,
    likelihood: str,
    link: str,
    intercept: bool | str,
    ridge: float | str,
    prior: float | str,
) -> None:
    """Check the choices of a model."""
    check_choice("likelihood", likelihood, LIKELIHOODS)
    check_choice("link", link, LINKS)
    if is_count(likelihood):
        if prior not in ("auto", 0):
            raise ValueError(
                f"prior must be 'auto' or 0 with likelihood={likelihood!r}; found {prior!r}"
            )
        if link != "auto":
            raise ValueError(
                f"link must be 'auto' with likelihood={likelihood!r}, which has one; found {link!r}"
            )
        if solver != "exact":
            raise ValueError(
                f"likelihood={likelihood!r} needs solver='exact'; found solver={solver!r}"
            )
    if not isinstance(intercept, bool) and intercept != "auto":
        raise ValueError(f"intercept must be True, False or 'auto'; found {intercept!r}")
    for name, value in {"ridge": ridge, "prior": prior}.items():
        number = isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < np.inf
        if not number and value != "auto":
            raise ValueError(
                f"{name} must be a finite number of at least 0, or 'auto'; found {value!r}"
            )
        if value != "auto" and solver != "exact":
            raise ValueError(f"{name} is an option of solver='exact' only; found solver={solver!r}")


def check_covariates(design: Covariates | None, *, solver: str, intercept: bool | str) -> None:
    """Check that the rest of the model goes with covariates."""
    if design is not None and solver != "exact":
        raise ValueError(
            f"covariates are an option of solver='exact' only; found solver={solver!r}"
        )
    if design is not None and intercept is False:
        raise ValueError(
            "intercept must be True or 'auto' with covariates, which are differences from it; found False"
        )


def check_gaussian_only(likelihood: str, **asked: bool) -> None:
    """Check that nothing was asked for that counts do not have."""
    for name, wanted in asked.items():
        if wanted and is_count(likelihood):
            raise ValueError(
                f"{name}=True needs likelihood='gaussian' and normalised expression; found counts, for which "
                f"{likelihood!r} is used. Normalise, e.g. with scanpy.pp.normalize_total and log1p, or name "
                "such a layer"
            )


def settle_likelihood(
    x: np.ndarray,
    network: Network,
    scan: Scan,
    size_factors: np.ndarray | None,
    *,
    solver: str,
    likelihood: str,
    link: str,
    rng: int,
) -> str:
    """Settle the likelihood; a link that was asked for, and the gradient solver, are of the Gaussian one.

    ``size_factors`` are those that a fit of counts would have for the cells ``x``, from all genes; None where
    sums over all genes are not finite, so that there are none.
    """
    if likelihood != "auto":
        return likelihood
    no_counts = scan.fraction.count or scan.negative.count or size_factors is None
    if link != "auto" or solver != "exact" or no_counts:
        return "gaussian"
    chosen, reason = choose_likelihood(x, network, size_factors=size_factors, rng=rng)
    if is_count(chosen) and is_signed(network):
        logger.warning(
            "likelihood='auto' chose 'gaussian', because only that draws weights to prior signs, though "
            "values are counts. Normalise and take logarithms, or choose likelihood=%r", chosen
        )  # fmt: skip
        return "gaussian"
    logger.info("likelihood='auto' chose %r: %s", chosen, reason)
    return chosen


def settle_link(scan: Scan, *, likelihood: str, link: str) -> str:
    """Settle the link: identity where any value is negative."""
    if is_count(likelihood):
        return COUNT_LINK
    return link if link != "auto" else "identity" if scan.negative.count else "relu"


def settle_intercept(
    x: np.ndarray, network: Network, cells: Cells, *, link: str, intercept: bool | str, rng: int
) -> bool:
    """Settle whether every gene has an intercept.

    Without a ReLU the zero of expression has no meaning of its own, so that every
    gene needs one; under a ReLU the data decide. Covariates are differences from an intercept.
    """
    if intercept != "auto":
        return bool(intercept)
    if link == "identity" or cells.n_covariates > 0:
        return True
    return needs_intercept(cells.scaled(x), network, rng=rng)


def settle_penalty(
    x: np.ndarray,
    network: Network,
    cells: Cells,
    *,
    link: str,
    intercept: bool,
    ridge: float | str,
    prior: float | str,
    rng: int,
) -> dict[str, float | bool]:
    """Settle how strongly the exact solver shrinks activities, and weights to which prior values.

    Of counts, whose genes differ in scale, weights are not drawn to ±1 unless asked for.
    """
    settled = {
        name: None if value == "auto" else float(value)
        for name, value in {"ridge": ridge, "prior": prior}.items()
    }
    if cells.size_factors is not None:
        of_counts = {"ridge": _COUNT_RIDGE, "prior": 0.0, "shared_prior": False}
        settled["shared_prior"] = None
        return {
            name: of_counts[name] if value is None else value for name, value in settled.items()
        }
    model = {"link": link, "intercept": intercept, "covariates": cells.covariates, "rng": rng}
    chosen = choose_shrinkage(x, network, **model, **settled)
    _report_end(chosen, settled, len(x))
    if not chosen.signs_predict:
        logger.warning(
            "the signs of net predict genes that were held out no better than chance; weights are %s. "
            "Check the names and the signs of net: those of a shuffled network do as well",
            "free" if chosen.prior == 0 else f"drawn to them as prior={chosen.prior} does",
        )
    return {"ridge": chosen.ridge, "prior": chosen.prior, "shared_prior": chosen.shared}


def _report_end(chosen: Shrinkage, settled: dict[str, float | None], n_cells: int) -> None:
    """Warn where the search ended at the strongest ridge that it tries."""
    strongest = max(RIDGES) if chosen.prior > 0 else of_many_cells(max(FREE_RIDGES), n_cells)
    if settled["ridge"] is None and chosen.ridge >= strongest:
        logger.warning(
            "ridge='auto' chose %.3g, the strongest that it tries: noise is large beside what the network "
            "explains, and activities are shrunk towards 0. More cells and prior signs help; whether the "
            "network fits these data at all, grnrep.validation.network_information tells",
            chosen.ridge,
        )


def settle_cells(
    scan: Scan, network: Network, *, link: str, n_known: int, max_cells: int | str
) -> int:
    """Settle how many cells the exact solver learns from in memory."""
    if max_cells == "auto":
        return sufficient_cells(scan.n_obs, scan.n_constraints(link), network, n_known=n_known)
    return min(scan.n_obs, int(max_cells))
