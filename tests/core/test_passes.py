"""A decoder learned in passes against the one learned from all cells at once, and sums against numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from grnrep.core.als import project as projection
from grnrep.core.als.data import Data, Scale
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.genes import GeneSolver
from grnrep.core.als.passes import refine
from grnrep.core.als.project import Projection, project
from grnrep.core.fitted import Interrupted
from grnrep.core.network import Network


def problem(
    seed=0,
    *,
    n_cells=900,
    n_genes=80,
    m=6,
    noise=0.7,
    likelihood="tobit",
    signed=False,
    covariate=False,
):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.3
    mask[np.arange(n_genes), rng.integers(m, size=n_genes)] = True
    w = mask * rng.uniform(-1, 1, (n_genes, m))
    p = rng.gamma(1.0, size=(n_cells, m)) @ w.T + noise * rng.normal(size=(n_cells, n_genes))
    batch = (np.arange(n_cells) % 3 == 0).astype(float)[:, None] if covariate else None
    if covariate:
        p += batch @ rng.normal(size=(1, n_genes))
    gene, regulator = np.nonzero(mask)
    sign = np.sign(w[gene, regulator]) * signed
    x = (np.maximum(p, 0) if likelihood == "tobit" else p).astype(np.float32)
    return x, Network.from_edges(gene, regulator, sign, n_genes, m), batch


def predictions(x, fit, network, **options):
    full = np.zeros((network.n_genes, network.n_regulators))
    full[network.gene, network.regulator] = fit.weight
    covariates = options.get("covariates")
    z = project(x, fit, network, covariates=covariates)
    return z @ full.T + replace(fit, covariates=covariates).offset()


def in_passes(x, network, some, *, likelihood, covariates=None, interrupt=None, **options):
    part = None if covariates is None else covariates[:some]
    first = fit_decoder(x[:some], network, likelihood=likelihood, covariates=part, **options)
    known = np.hstack(
        [np.ones((len(x), int(first.bias is not None))), *([] if part is None else [covariates])]
    )
    rest = x - known @ np.linalg.lstsq(known, x, rcond=None)[0] if known.shape[1] else x
    calls = []

    def sums(fit):
        calls.append(fit)
        if len(calls) == interrupt:
            raise KeyboardInterrupt
        whole = Projection.of(fit, network)
        total = GeneSolver(whole.network).no_stats()
        for cells in (slice(0, 311), slice(311, None)):
            total.merge(whole.sums(x[cells], None if covariates is None else covariates[cells]))
        return total

    scale = Scale(float(np.square(x, dtype=float).sum()), float(np.square(rest).sum()), len(x))
    shrinkage = {name: options[name] for name in ("ridge", "prior") if name in options}
    return first, refine(first, network, sums, scale, **shrinkage), calls


@pytest.mark.parametrize(
    ("likelihood", "covariate", "options"),
    [
        ("tobit", False, {"ridge": 1e-3}),
        ("tobit", False, {"ridge": 0.3, "prior": 0.3, "intercept": True}),
        ("gaussian", False, {"ridge": 1e-2, "intercept": True}),
        ("tobit", True, {"ridge": 1e-3, "intercept": True}),
    ],
    ids=["free", "prior", "gaussian", "covariate"],
)
def test_passes_reach_the_decoder_of_all_cells(likelihood, covariate, options):
    x, network, batch = problem(
        likelihood=likelihood, signed="prior" in options, covariate=covariate
    )
    model = {"likelihood": likelihood, "covariates": batch}
    whole = fit_decoder(x, network, **model, **options, tol=1e-5)
    first, fit, _ = in_passes(x, network, 100, **model, **options)
    wanted = predictions(x, whole, network, **model)
    near, far = (
        np.square(predictions(x, f, network, **model) - wanted).mean() for f in (fit, first)
    )
    assert near < 0.05 * far
    assert fit.converged
    assert np.all(np.diff(fit.history) <= 0)
    assert fit.history[-1] == pytest.approx(whole.history[-1], rel=3e-3)
    if covariate:  # activities are uncorrelated with it
        z = project(x, fit, network, covariates=batch)
        within = [np.corrcoef(batch[:, 0], z[:, j])[0, 1] for j in range(z.shape[1])]
        assert np.abs(within).max() < 0.02


def test_sums_are_those_of_numpy(monkeypatch):
    monkeypatch.setattr(projection, "_ROUGH", 1e-6)
    x, network, batch = problem(n_cells=70, covariate=True)
    fit = fit_decoder(x, network, intercept=True, covariates=batch, ridge=1e-3)
    whole = Projection.of(fit, network)
    stats = whole.sums(x, batch)
    known = np.hstack([whole(x, batch), np.ones((70, 1)), batch])
    p = predictions(x, fit, network, covariates=batch)
    r = np.where(x > 0, x - p, np.minimum(-p, 0))
    np.testing.assert_allclose(np.tril(stats.gram), np.tril(known.T @ known), rtol=1e-4, atol=1e-3)
    products = r.T @ known
    gene, column = whole.network.gene, whole.network.regulator
    np.testing.assert_allclose(stats.edge, products[gene, column], rtol=1e-3, atol=1e-2)
    assert float(stats.loss.sum()) == pytest.approx(np.square(r).sum(), rel=1e-4)


def test_ctrl_c_brings_the_decoder_so_far():
    x, network, _ = problem()
    with pytest.raises(Interrupted) as stop:
        in_passes(x, network, 100, likelihood="tobit", ridge=1e-3, interrupt=3)
    so_far = stop.value.so_far
    assert not so_far.converged
    first = fit_decoder(x[:100], network, ridge=1e-3)
    assert not np.allclose(so_far.weight, first.weight)
    whole = fit_decoder(x, network, ridge=1e-3)
    error = [
        np.square(predictions(x, f, network) - predictions(x, whole, network)).mean()
        for f in (so_far, first)
    ]
    assert error[0] < error[1]


@pytest.mark.parametrize("likelihood", ["poisson", "nb", "bernoulli"])
def test_passes_are_of_every_likelihood(likelihood):
    rng = np.random.default_rng(3)
    x, network, _ = problem(n_cells=400, noise=0.0)
    x = rng.poisson(2 * x).astype(np.float64)
    if likelihood == "bernoulli":
        x = np.minimum(x, 1.0)
    options = {"likelihood": likelihood, "intercept": True, "ridge": 1e-2}
    sizes = None if likelihood == "bernoulli" else rng.uniform(0.5, 2.0, len(x))
    part = None if sizes is None else sizes[:120]
    first = fit_decoder(x[:120], network, size_factors=part, **options)

    def sums(fit):
        whole = Projection.of(fit, network, dtype=torch.float64)
        total = GeneSolver(whole.network, shared=False).no_stats()
        for cells in (slice(0, 151), slice(151, None)):
            size = None if sizes is None else sizes[cells]
            total.merge(whole.sums(x[cells], size_factors=size))
        return total

    data = Data.of(x, likelihood, sizes, True, None, None)
    fit = refine(first, network, sums, data.scale, ridge=1e-2)
    assert fit.converged
    assert np.all(np.diff(fit.history) <= 0)
    # with the likelihood's parameters of the sample, the same objective as a fit to all cells at once
    whole = replace(first, weight=fit.weight, bias=fit.bias, ridge=fit.ridge)
    of_all = fit_decoder(x, network, size_factors=sizes, tol=1e-5, **options)

    def loss(decoder):
        likelihood = decoder.likelihood
        z = project(x, decoder, network, size_factors=sizes)
        p = np.zeros((network.n_genes, network.n_regulators))
        p[network.gene, network.regulator] = decoder.weight
        p = torch.as_tensor((z @ p.T + decoder.bias).T)
        size = None if sizes is None else torch.as_tensor(sizes)
        return float(likelihood.loss(likelihood.block(torch.as_tensor(x.T.copy()), size), p).sum())

    assert fit.history[-1] == pytest.approx(of_all.history[-1], rel=3e-3)
    losses = [loss(replace(d, likelihood=of_all.likelihood)) for d in (first, whole, of_all)]
    assert losses[1] - losses[2] < 0.1 * (losses[0] - losses[2])
