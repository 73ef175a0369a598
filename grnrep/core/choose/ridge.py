"""How strongly to shrink, chosen by predicting values that were held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from grnrep.core.als.exact import fit_exact
from grnrep.core.als.penalty import typical_gram
from grnrep.core.fitted import Fit
from grnrep.core.load import count_constraints
from grnrep.core.network import Network

RIDGES = (0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4)
_FIRST = 3  # where the search begins
PRIORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_MAX_CELLS = 200
_HELD_OUT = 0.1  # share of the values
_FIT = {"max_iter": 30, "tol": 1e-2}
_SLACK = 0.05  # error above the smallest that is taken for the same
_BUMP = 0.01  # rise of the error that may be but the worse optimum of a fit with a weak ridge
_LEAST = 0.3  # share of the ridge of the cells tried that is left with any number of cells: a step of RIDGES
_ENOUGH = 2.0  # effective load from which the noise of a fit can be told by its degrees of freedom
_CLEARLY = 0.15  # fall of the error that speaks for weights of another size
_CLEAR = 1e-3  # estimate of the best ridge, of data so clear that the weakest will do


def choose_ridge(
    x: np.ndarray,
    network: Network,
    *,
    link: str = "relu",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    prior: float = 0.0,
    rng: int = 0,
) -> float:
    """Choose ``ridge`` of :func:`grnrep.core.als.exact.fit_exact`.

    A tenth of the values is held out and predicted from the rest. From a middle ridge the
    search goes to weaker ones as long as predictions get better, and to stronger ones as long
    as they do not get worse by more than 1 %, because a fit with a weak ridge may end in a worse optimum;
    each fit starts from the one before. The weakest ridge within 5 % of the smallest squared error
    wins: the best predictions ask for a little more shrinkage than the best activities do.
    With more cells than were tried the ridge falls with the square root of their number, as
    the ratio of noise to signal in the sums over cells does, but to 0.3 of it at most: what noise
    inside a ReLU adds to the values above zero is the same however many cells there are.

    Where many values per parameter leave little noise the weakest ridge is taken at once.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges.
    link, intercept, covariates, prior
        As in the fit.
    rng
        Source of the choice of cells and values, and of the fits' start.
    """
    n_cells = len(x)
    draw = np.random.default_rng(rng)
    x, covariates = _some(x, covariates, draw)
    options = {
        "link": link,
        "intercept": intercept,
        "covariates": covariates,
        "prior": prior,
        "rng": rng,
    } | _FIT
    if prior == 0 and _is_clear(x, network, **options):
        return RIDGES[-1]

    held = draw.random(x.shape) < _HELD_OUT
    errors, start = {}, None
    weaker, stronger = RIDGES[_FIRST:], RIDGES[:_FIRST][::-1]
    for ridges, rise in ((weaker, 0.0), (stronger, _BUMP)):
        for ridge in ridges:
            errors[ridge], start = _error(x, network, held, ridge=ridge, start=start, **options)
            if errors[ridge] > (1 + rise) * min(errors.values()):
                break
    weakest = min(ridge for ridge, e in errors.items() if e <= (1 + _SLACK) * min(errors.values()))
    return of_many_cells(weakest, n_cells)


def of_many_cells(ridge: float, n_cells: int) -> float:
    """What a ridge, chosen on the cells that are tried, becomes for ``n_cells``."""
    share = np.clip(np.sqrt(_MAX_CELLS / n_cells), _LEAST, 1.0)
    return float(max(RIDGES[-1], ridge * share))


def choose_prior(
    x: np.ndarray,
    network: Network,
    *,
    ridge: float,
    priors: Sequence[float] = PRIORS,
    link: str = "relu",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    rng: int = 0,
) -> tuple[float, bool]:
    """Choose ``prior`` and ``shared`` of :func:`grnrep.core.als.exact.fit_exact` by the same held-out values.

    The smallest squared error wins. A prior above zero also settles what the data leave open:
    the activity of a regulator whose targets are all targets of another one. It does so better
    where its weights have the right size: genes of many regulators may vary more than others, or as
    much, which is taken to be so where the error is then smaller by 15 % or more.

    Parameters
    ----------
    x, network, link, intercept, covariates, rng
        As in :func:`choose_ridge`.
    ridge
        Of all the fits.
    priors
        Which to choose from.
    """
    draw = np.random.default_rng(rng)
    x, covariates = _some(x, covariates, draw)
    held = draw.random(x.shape) < _HELD_OUT
    model = {"link": link, "intercept": intercept, "covariates": covariates}
    options = model | {"ridge": ridge, "rng": rng} | _FIT
    best = {}
    for shared in (False, True):
        model = options | {"shared": shared, "start": None}
        best[shared] = min(
            (_error(x, network, held, prior=prior, **model)[0], prior) for prior in priors
        )
    shared = best[True][0] < (1 - _CLEARLY) * best[False][0]
    return best[shared][1], shared


def _error(
    x: np.ndarray, network: Network, held: np.ndarray, *, start: np.ndarray | None, **options
) -> tuple[float, np.ndarray]:
    """Squared error of the values that are held out, and the weights found without them."""
    mean = np.where(held, 0, x).sum(0) / np.maximum((~held).sum(0), 1)
    filled = np.where(held, mean, x).astype(x.dtype)  # what the start sees; the fit leaves them out
    fit = fit_exact(filled, network, without=held, start=start, **options)
    cell, gene = np.nonzero(held)
    p = _pre_activation(fit, network)[cell, gene]
    if options["link"] == "relu":
        p = np.maximum(p, 0)
    return float(np.square(x[cell, gene] - p).sum()), fit.weight


def _some(
    x: np.ndarray, covariates: np.ndarray | None, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """A random part of the cells, in their order."""
    cells = np.sort(draw.permutation(len(x))[:_MAX_CELLS])
    return x[cells], None if covariates is None else covariates[cells]


def _is_clear(
    x: np.ndarray,
    network: Network,
    *,
    link: str,
    intercept: bool,
    covariates: np.ndarray | None,
    **options,
) -> bool:
    """Whether the ratio of noise to signal asks for hardly any ridge.

    The most probable w and z under normal distributions of their own sizes have
    λ = σ² sqrt(n_cells n_targets) / (‖w_j‖ ‖z_j‖) for every regulator j, in balanced scale.
    """
    constraints = count_constraints(x) if link == "relu" else x.size
    n_known = int(intercept) + (0 if covariates is None else covariates.shape[1])
    parameters = network.n_edges + len(x) * network.n_regulators + n_known * network.n_genes
    if constraints < _ENOUGH * parameters:
        return False
    model = {"link": link, "intercept": intercept, "covariates": covariates}
    fit = fit_exact(x, network, ridge=RIDGES[-1], **model, **options)
    variance = fit.squared_error / (constraints - parameters)
    m = network.n_regulators
    weight = np.sqrt(np.bincount(network.regulator, weights=fit.weight**2, minlength=m))
    signal = weight * np.sqrt(np.square(fit.activity).sum(0))
    noise = variance * np.sqrt(len(x) * network.targets_per_regulator())
    unit = typical_gram(float(np.square(x, dtype=np.float64).sum()), m)
    return bool(np.median(noise - _CLEAR * unit * signal) <= 0)


def _pre_activation(fit: Fit, network: Network) -> np.ndarray:
    """W z with intercepts and covariates of all cells, (n_cells, n_genes)."""
    shape = (network.n_genes, network.n_regulators)
    weights = sp.csr_array((fit.weight, network.regulator, network.indptr), shape=shape)
    return (weights @ fit.activity.T).T + fit.offset()
