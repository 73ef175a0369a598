"""A fit with noise of every gene, and with what the network does not know: the evidence decides how much of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.assumed import Assumptions, model_of, units
from grnrep.core.als.data import cuts, precision_of
from grnrep.core.als.evidence import Model, search
from grnrep.core.als.factors import programmes, with_factors, without_idle
from grnrep.core.als.moments import Moments
from grnrep.core.als.project import Projection
from grnrep.core.als.start import moments_of, start_weights
from grnrep.core.design import known_columns, regress, split_rows, split_weights, unconfound
from grnrep.core.fitted import Fit, Interrupted
from grnrep.core.likelihoods import LIKELIHOODS, restored
from grnrep.core.likelihoods.gaussian import check_squared_error
from grnrep.core.network import Network
from grnrep.core.progress import end_bar, progress_bar
from grnrep.core.threads import side_by_side

_FIRST_ITERATIONS = 10  # before free factors are looked for in residuals
_FIRST_SPREAD = 0.3  # C_jj at the start
_FIRST_NOISE = 0.5  # ψ at the start, as a share of the variance
_LEAST_FIRST_NOISE = 0.1  # of genes without variance, which would hold activities at 0 for long
_TOL, _MOST_LOOSER, _WORK = 2e-5, 10.0, 5e5  # rise of the bound a value, at so many products
_PRUNINGS = 3  # times that free factors are asked whether they explain anything


def fit_evidence(
    x: np.ndarray,
    network: Network,
    *,
    likelihood: str = "gaussian",
    intercept: bool = True,
    covariates: np.ndarray | None = None,
    assumptions: Assumptions | None = None,
    max_iter: int = 300,
    tol: float | None = None,
    rng: int | np.random.Generator = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
    start: Fit | None = None,
    looks: int = 3,
    settled: bool = True,
) -> Fit:
    """Learn decoder, representations, noise and priors together (:mod:`grnrep.core.als.evidence`).

    Every gene is taken in units of its own spread, so that the unit of a gene changes nothing. A weight has the size
    1 / sqrt(number of regulators of its gene) before anything is known of it: they share the gene's variance.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes). Its precision is that of the products.
    network
        Edges; known signs are where weights are expected, and where the search starts.
    likelihood
        "gaussian" or "tobit".
    intercept
        Whether every gene has an intercept. Under a ReLU their variance is learned: they cost nothing where they
        are 0.
    covariates
        Covariates of cells, (n_cells, n_covariates), beside an intercept.
    assumptions
        By default those without any prior knowledge.
    max_iter
        Limit of iterations.
    tol
        Stop when the bound on the evidence rose by less than this a value over the last 10 iterations. By default
        2e-5, and up to ten times that where there are more than a few cells and regulators.
    rng
        Source of the draws that the start is made from.
    device
        Where to compute; the CPU by default.
    progress
        Whether to show a progress bar.
    start
        A fit by evidence of these cells to go on from, with the edges of ``network`` and as many intercepts and
        covariates.
    looks
        Times that programmes are looked for in residuals: strong ones hide others.
    settled
        Whether activities are those under the decoder that was learned, or of the last step, which are nearly
        those: enough to compare fits.

    Returns
    -------
    Fit
        With a ``covariance`` in place of ``ridge``, free factors where there are any, and the noise of genes in its
        likelihood. Its history is -2 times the bound.

    Raises
    ------
    ValueError
        If the likelihood is not one of squared error.
    Interrupted
        At Ctrl-C, with the fit so far.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.als.learn import fit_evidence
    >>> from grnrep.core.network import Network
    >>> draw = np.random.default_rng(0)
    >>> noise = np.repeat([0.1, 0.4], 10)
    >>> x = draw.standard_normal((200, 1)) + noise * draw.standard_normal((200, 20))
    >>> network = Network.from_edges(np.arange(20), np.zeros(20), np.zeros(20), 20, 1)
    >>> fit = fit_evidence(x, network)
    >>> sd = fit.likelihood.arrays()["noise_sd"]
    >>> bool(sd[:10].max() < 0.15 < 0.3 < sd[10:].min())
    True
    """
    check_squared_error(likelihood)
    assumed = Assumptions() if assumptions is None else assumptions
    if tol is None:
        # products of an iteration, about
        work = len(x) * (network.n_regulators**2 + 2 * network.n_edges)
        tol = _TOL * min(_MOST_LOOSER, max(1.0, work / _WORK))
    values = torch.as_tensor(x, dtype=precision_of(x), device=device)
    unit = units(values, centred=intercept)
    columns = known_columns(len(x), intercept=intercept, covariates=covariates)
    known = torch.as_tensor(columns, device=device)
    scaled = values / unit.to(values)
    like = LIKELIHOODS[likelihood].of(scaled.mT, None)
    blocks = [like.block(scaled[cut].mT.contiguous()) for cut in cuts(scaled)]
    with (
        side_by_side(len(blocks)) as each,
        progress_bar(progress, desc=likelihood, total=max_iter) as bar,
    ):

        def model_with(n_factors: int) -> Model:
            return model_of(
                blocks, network, known.shape[1], n_factors, assumed, each,
                n_cells=len(x), device=values.device, intercept=intercept,
                censored=likelihood == "tobit",
            )  # fmt: skip

        model, history = model_with(0 if start is None else start.n_factors), list[float]()
        if start is None:
            at = _first(model, scaled, known, network, rng)
        else:
            rows = split_rows(known, [block.x for block in blocks])
            at = moments_of(start, network, unit, model.prior, rows)
        steps = _FIRST_ITERATIONS if assumed.n_factors else max_iter
        try:
            at, history, converged = search(model, at, max_iter=steps, tol=tol, bar=bar)
            if not assumed.exactly:
                model, at = without_idle(model, at, model_with)
            for _ in range(looks if assumed.n_factors else 0):
                left = assumed.n_factors - model.n_factors
                loadings = programmes(model, at, left, every=assumed.exactly)
                if not loadings.shape[1]:
                    break
                before = model.n_factors
                wider = model_with(before + loadings.shape[1])
                model, at = wider, with_factors(wider, at, loadings)
                for _ in range(0 if assumed.exactly else _PRUNINGS):
                    at, more, _ = search(model, at, max_iter=steps, tol=tol, bar=bar)
                    history, found = history + more, model.n_factors
                    model, at = without_idle(model, at, model_with)
                    if model.n_factors == found:
                        break
                if model.n_factors == before:
                    break  # none of them is dense
            if assumed.n_factors:
                at, more, converged = search(model, at, max_iter=max_iter, tol=tol, bar=bar)
                history += more
            end_bar(bar, converged=converged)
        except KeyboardInterrupt as stop:
            last = stop.so_far if isinstance(stop, Interrupted) else at
            so_far = fit_of(model, last, unit, covariates, likelihood, intercept)
            raise Interrupted(so_far) from stop
        if covariates is not None:
            m, matrix = model.n_free, model.pattern.matrix(at.weight)
            weight, z = unconfound(at.z, at.weight, matrix, model.network, m, intercept=intercept)
            at = replace(at, weight=weight, z=z)
        fit = fit_of(model, at, unit, covariates, likelihood, intercept)
        fit = replace(fit, history=history, converged=converged)
    if not settled:
        return fit
    return Projection.of(fit, network, dtype=values.dtype, device=device).into(fit, x)


def _first(
    model: Model,
    x: Tensor,
    known: Tensor,
    network: Network,
    rng: int | np.random.Generator,
) -> Moments:
    """First iterate: weights at prior signs, or else along principal components of targets."""
    m, column, parts = network.n_regulators, network.regulator, [block.x for block in model.blocks]
    draw = start_weights(parts, network, rng).cpu().numpy()
    # a component has either sign; edges without a prior sign must not start against those with one
    agree = np.bincount(column, weights=draw * network.sign, minlength=m)
    squares = np.bincount(column, weights=draw**2, minlength=m)
    rms = np.sqrt(squares / np.maximum(1, network.targets_per_regulator()))
    draw *= (np.where(agree < 0, -1.0, 1.0) / np.where(rms > 0, rms, 1.0))[column]
    free = torch.as_tensor(model.network.regulator < m, device=x.device)
    weight = torch.zeros(len(free), dtype=torch.float64, device=x.device)
    start = torch.as_tensor(np.where(network.sign != 0, network.expected, draw), device=x.device)
    weight[free] = start * model.prior.size[free]
    left = x.double()
    if known.shape[1]:
        on_known = regress(left, known)
        weight[~free] = on_known.mT.reshape(-1)
        left = left - known.to(left) @ on_known
    noise = (_FIRST_NOISE * left.square().mean(0)).clamp(min=_LEAST_FIRST_NOISE)
    columns, eye = model.network.n_regulators, torch.eye(m, dtype=torch.float64, device=x.device)
    return Moments(
        weight,
        [torch.cat([row.new_zeros(m, row.shape[1]), row]) for row in split_rows(known, parts)],
        noise,
        _FIRST_SPREAD * eye,
        1.0 if model.prior.tau2 is None else model.prior.tau2,
        weight.new_ones(model.prior.n_groups),
        weight.new_zeros(columns, columns),
        torch.zeros_like(weight),
    )


def fit_of(
    model: Model,
    at: Moments,
    unit: Tensor,
    covariates: np.ndarray | None,
    likelihood: str,
    intercept: bool,
) -> Fit:
    """The fit at an iterate, in the units of expression, on the CPU in float64."""
    n = model.n_factors
    m = model.n_free - n
    noise_sd = ((at.noise / model.prior.inflation).sqrt() * unit).cpu().numpy()
    free = torch.as_tensor(model.network.regulator < m, device=unit.device)
    own = unit[model.pattern.gene]
    variance = model.prior.variance(at.tau2, at.of_group) * own.square()
    none = unit.new_zeros(m + n, 0)
    both = torch.cat([none, *(z[: m + n].double() for z in at.z)], dim=1).mT.cpu().numpy()
    weight = (at.weight * own).cpu().numpy()
    parts = split_weights(weight, model.network, m, n_factors=n, intercept=intercept)
    return Fit(
        **parts,
        activity=both[:, :m],
        factors=both[:, m:] if n else None,
        likelihood=restored(likelihood, {"noise_sd": noise_sd}),
        covariance=at.covariance[:m, :m].cpu().numpy(),
        weight_sd=(at.weight_sd * own)[free].cpu().numpy(),
        anchor=(model.prior.anchor * own)[free].cpu().numpy(),
        anchor_variance=variance[free].cpu().numpy(),
        inflation=model.prior.inflation,
        covariates=covariates,
        noise_variance=float(np.square(noise_sd).mean()),
        converged=False,
    )
