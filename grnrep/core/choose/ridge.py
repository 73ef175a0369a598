"""How strongly to shrink, chosen by predicting values that were held out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from grnrep.core.als.data import typical_gram
from grnrep.core.als.fit import fit_decoder
from grnrep.core.fitted import Fit
from grnrep.core.load import constraints_of
from grnrep.core.network import Network

RIDGES = (0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4)  # that are tried, in steps of half a decade
_FIRST_RIDGE = 3  # position in RIDGES of the one that the search begins with
FEW_GENES_PRIORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # that are tried with few genes
_MAX_CELLS = 200  # that penalties are compared on
_HELD_OUT = 0.1  # share of the values
_MAX_ITER, _TOL = 30, 1e-2  # of the fits that are compared: enough to rank them
_SLACK = 0.05  # error above the smallest, as a share, that is taken for the same
# rise of the error, as a share, that may be but the worse optimum of a fit with a weak ridge
_RISE = 0.01
_LEAST_SHARE = 0.3  # of the ridge chosen, for any number of cells: a step of RIDGES
# effective load from which the noise of a fit can be told by its degrees of freedom
_MIN_LOAD = 2.0
_CLEAR_RIDGE = 1e-3  # estimate of the best ridge, of data so clear that the weakest will do
_SHARED_GAIN = 0.15  # fall of the error, as a share, that speaks for weights of another size


@dataclass(frozen=True, eq=False)
class Model:
    """What all fits of a search have in common.

    Parameters
    ----------
    likelihood, intercept, covariates, rng
        As in :func:`grnrep.core.als.fit.fit_decoder`.
    bar
        Counts the fits.
    """

    likelihood: str = "tobit"
    intercept: bool = False
    covariates: np.ndarray | None = None
    rng: int = 0
    bar: tqdm | None = None

    def of_cells(self, cells: np.ndarray) -> Model:
        """The model of some of the cells."""
        return self if self.covariates is None else replace(self, covariates=self.covariates[cells])

    def fit(
        self,
        x: np.ndarray,
        network: Network,
        *,
        ridge: float,
        prior: float = 0.0,
        shared: bool = False,
        max_iter: int,
        tol: float,
        start: np.ndarray | None = None,
        without: np.ndarray | None = None,
    ) -> Fit:
        """Fit with these penalties; parameters as in :func:`grnrep.core.als.fit.fit_decoder`."""
        fit = fit_decoder(
            x,
            network,
            likelihood=self.likelihood,
            intercept=self.intercept,
            covariates=self.covariates,
            ridge=ridge,
            prior=prior,
            shared=shared,
            max_iter=max_iter,
            tol=tol,
            rng=self.rng,
            start=start,
            without=without,
            compared=True,
        )
        if self.bar is not None:
            with self.bar.get_lock():  # fits may be side by side
                self.bar.update()
        return fit


def choose_ridge(
    x: np.ndarray,
    network: Network,
    *,
    likelihood: str = "tobit",
    intercept: bool = False,
    covariates: np.ndarray | None = None,
    prior: float = 0.0,
    rng: int = 0,
    bar: tqdm | None = None,
) -> float:
    """Choose ``ridge`` of :func:`grnrep.core.als.fit.fit_decoder`.

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
    likelihood, intercept, covariates, prior
        As in the fit.
    rng
        Source of the choice of cells and values, and of the fits' start.
    bar
        Counts the fits.
    """
    n_cells, draw = len(x), np.random.default_rng(rng)
    x, model = _draw_cells(x, Model(likelihood, intercept, covariates, rng, bar), draw)
    if prior == 0 and _is_clear(x, network, model):
        return RIDGES[-1]

    held_out = draw.random(x.shape) < _HELD_OUT
    errors: dict[float, float] = {}
    weight = None  # of the fit before, where the next one starts
    weaker, stronger = RIDGES[_FIRST_RIDGE:], RIDGES[:_FIRST_RIDGE][::-1]
    for ridges, rise in ((weaker, 0.0), (stronger, _RISE)):
        for ridge in ridges:
            errors[ridge], weight = _held_out_error(
                x, network, held_out, model, ridge=ridge, prior=prior, start=weight
            )
            if errors[ridge] > (1 + rise) * min(errors.values()):
                break
    enough = (1 + _SLACK) * min(errors.values())
    return of_many_cells(min(ridge for ridge, e in errors.items() if e <= enough), n_cells)


def of_many_cells(ridge: float, n_cells: int) -> float:
    """What a ridge, chosen on the cells that are tried, becomes for ``n_cells``."""
    # noise by signal in Σ_cells z z' and Σ_cells x z falls with the square root of the number of cells
    share = np.clip(np.sqrt(_MAX_CELLS / n_cells), _LEAST_SHARE, 1.0)
    return float(max(RIDGES[-1], ridge * share))


def choose_prior(
    x: np.ndarray,
    network: Network,
    model: Model,
    *,
    ridge: float,
    priors: tuple[float, ...] = FEW_GENES_PRIORS,
) -> tuple[float, bool]:
    """Choose ``prior`` and ``shared`` of :func:`grnrep.core.als.fit.fit_decoder` by the same held-out values.

    The smallest squared error wins. A prior above zero also settles what the data leave open:
    the activity of a regulator whose targets are all targets of another one. It does so better
    where its weights have the right size: genes of many regulators may vary more than others, or as
    much, which is taken to be so where the error is then smaller by 15 % or more.

    Parameters
    ----------
    x, network
        As in :func:`choose_ridge`.
    model
        Of all the fits.
    ridge
        Of all the fits.
    priors
        Which to choose from.
    """
    draw = np.random.default_rng(model.rng)
    x, model = _draw_cells(x, model, draw)
    held_out = draw.random(x.shape) < _HELD_OUT

    def best(shared: bool) -> tuple[float, float]:
        """Smallest error, and the prior that has it."""
        tried = []
        for prior in priors:
            error, _ = _held_out_error(
                x, network, held_out, model, ridge=ridge, prior=prior, shared=shared
            )
            tried.append((error, prior))
        return min(tried)

    (error, prior), (shared_error, shared_prior) = best(False), best(True)
    shared = shared_error < (1 - _SHARED_GAIN) * error
    return (shared_prior if shared else prior), shared


def _held_out_error(
    x: np.ndarray,
    network: Network,
    held_out: np.ndarray,
    model: Model,
    *,
    ridge: float,
    prior: float,
    shared: bool = False,
    start: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """Squared error of the values that are held out, and the weights learned without them."""
    mean = np.where(held_out, 0, x).sum(0) / np.maximum((~held_out).sum(0), 1)
    filled = np.where(held_out, mean, x).astype(x.dtype)  # for the start; the fit leaves them out
    fit = model.fit(
        filled,
        network,
        ridge=ridge,
        prior=prior,
        shared=shared,
        max_iter=_MAX_ITER,
        tol=_TOL,
        start=start,
        without=held_out,
    )
    cell, gene = np.nonzero(held_out)
    p = _pre_activation(fit, network)[cell, gene]
    predicted = np.maximum(p, 0) if model.likelihood == "tobit" else p
    return float(np.square(x[cell, gene] - predicted).sum()), fit.weight


def _draw_cells(x: np.ndarray, model: Model, draw: np.random.Generator) -> tuple[np.ndarray, Model]:
    """A random part of the cells, in their order."""
    cells = np.sort(draw.permutation(len(x))[:_MAX_CELLS])
    return x[cells], model.of_cells(cells)


def _is_clear(x: np.ndarray, network: Network, model: Model) -> bool:
    """Whether the ratio of noise to signal asks for hardly any ridge.

    The most probable w and z under normal distributions of their own sizes have
    λ = σ² sqrt(n_cells n_targets) / (‖w_j‖ ‖z_j‖) for every regulator j, in balanced scale.
    """
    constraints = constraints_of(x, likelihood=model.likelihood)
    n_known = int(model.intercept)
    if model.covariates is not None:
        n_known += model.covariates.shape[1]
    parameters = network.n_edges + len(x) * network.n_regulators + n_known * network.n_genes
    if constraints < _MIN_LOAD * parameters:
        return False
    fit = model.fit(x, network, ridge=RIDGES[-1], max_iter=_MAX_ITER, tol=_TOL)
    variance = fit.squared_error / (constraints - parameters)  # σ²
    m = network.n_regulators
    weight_norm = np.sqrt(np.bincount(network.regulator, weights=fit.weight**2, minlength=m))
    signal = weight_norm * np.sqrt(np.square(fit.activity).sum(0))  # ‖w_j‖ ‖z_j‖
    noise = variance * np.sqrt(len(x) * network.targets_per_regulator())
    # a ridge is a share of the typical Gram matrix: λ_j = noise / signal, less than so much of it
    gram = typical_gram(float(np.square(x, dtype=np.float64).sum()), m)
    return bool(np.median(noise - _CLEAR_RIDGE * gram * signal) <= 0)


def _pre_activation(fit: Fit, network: Network) -> np.ndarray:
    """W z with intercepts and covariates of all cells, (n_cells, n_genes)."""
    return (network.matrix(fit.weight) @ fit.activity.T).T + fit.offset()
