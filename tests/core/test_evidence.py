"""The bound on the evidence and the steps that raise it: dense arithmetic, exact evidences, and no step down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import log_ndtr

from grnrep.core.als import evidence
from grnrep.core.als.evidence import Model
from grnrep.core.als.moments import Moments, Prior
from grnrep.core.als.variances import pooled
from grnrep.core.likelihoods.gaussian import Gaussian, Tobit
from grnrep.core.network import Network
from tests.twins import dense

TOBIT = pytest.mark.parametrize("tobit", [False, True], ids=["gaussian", "tobit"])
# Learned together or shrunk, these are not what maximises the bound: the misfit in every noise, variances pooled,
# correlations shrunk, representations that are not centred, and τ² where only some signs are known. In 1,700 problems
# as those below a step lost .09 of what 15 steps gain at most, and in all but one .04 or less.
MOST_LOST = 0.3


def tensor(values):
    return torch.as_tensor(np.asarray(values, dtype=np.float64))


def prior_of(network, m, *, n_factors=0, tau2=None, correlated=False, seed=0):
    """Signs as in the network, sizes of every kind; factors have a variance each, known columns are flat."""
    rng, column = np.random.default_rng(seed), network.regulator
    size = rng.uniform(0.3, 1, network.n_edges)
    regulator = column < m - n_factors
    factor = (column >= m - n_factors) & (column < m)
    return Prior(
        anchor=tensor(network.sign * size * regulator),
        size=tensor(size),
        signed=torch.as_tensor(regulator & (network.sign != 0)),
        unsigned=torch.as_tensor(regulator & (network.sign == 0)),
        group=torch.as_tensor(np.where(factor, column - (m - n_factors), -1)),
        tau2=tau2,
        correlated=correlated,
    )


def problem(
    seed=0,
    *,
    tobit=False,
    n_factors=0,
    n_known=1,
    signed=0.5,
    n_cells=50,
    n_genes=30,
    m=4,
    **options,
):
    """Data that the model does not quite hold for, in two blocks, and an iterate far from any optimum."""
    rng = np.random.default_rng(seed)
    columns, free = m + n_factors + n_known, m + n_factors
    mask = rng.random((n_genes, columns)) < 0.5
    mask[:, m:] = True
    gene, column = np.nonzero(mask)
    true = rng.normal(size=len(gene))
    known = (column < m) & (rng.random(len(gene)) < signed)
    network = Network.from_edges(gene, column, np.sign(true) * known, n_genes, columns)
    z = np.concatenate([rng.gamma(1, size=(m + n_factors, n_cells)), np.ones((n_known, n_cells))])
    z[free + 1 :] = rng.normal(size=(max(0, n_known - 1), n_cells))
    noise = np.exp(0.7 * rng.normal(size=(n_genes, 1)))
    x = dense(true, network) @ z + noise * rng.standard_t(4, size=(n_genes, n_cells))
    x /= x.std(1, keepdims=True)
    x = np.maximum(x, 0) if tobit else x
    likelihood, cut = Tobit() if tobit else Gaussian(), n_cells // 3
    blocks = [likelihood.block(tensor(part.copy())) for part in (x[:, :cut], x[:, cut:])]
    prior = prior_of(network, free, n_factors=n_factors, seed=seed, **options)
    model = Model(blocks, network, free, n_factors, prior, n_cells, n_known > 0)
    z[:free] = rng.normal(size=(free, n_cells))
    at = Moments(
        weight=tensor(rng.normal(size=len(gene))),
        z=[tensor(z[:, :cut]), tensor(z[:, cut:])],
        noise=tensor(rng.uniform(0.2, 1, n_genes)),
        covariance=tensor(np.diag(rng.uniform(0.3, 1, free))),
        tau2=1.0 if prior.tau2 is None else prior.tau2,
        of_group=tensor(np.ones(prior.n_groups)),
        doubt=torch.zeros(columns, columns, dtype=torch.float64),
        weight_sd=torch.zeros(len(gene), dtype=torch.float64),
    )
    return model, at


class Twin:
    """An iterate as dense arrays; what follows from its definition, one gene after the other."""

    def __init__(self, model, at):
        self.model, self.at, self.m = model, at, model.n_free
        self.network = model.network
        self.x = np.hstack([block.x.numpy() for block in model.blocks])
        self.z = np.hstack([part.numpy() for part in at.z])
        self.w, self.noise = dense(at.weight.numpy(), self.network), at.noise.numpy()
        self.covariance, self.doubt = at.covariance.numpy(), at.doubt.numpy()
        self.v = model.prior.variance(at.tau2, at.of_group).numpy()
        self.n_cells = self.x.shape[1]
        free = slice(self.m)
        self.precision = (self.w.T / self.noise @ self.w + self.doubt)[free, free]
        self.precision += np.linalg.inv(self.covariance)
        self.sigma = np.linalg.inv(self.precision)
        self.censored = (self.x == 0) & (model.blocks[0].most is not None)

    def expected(self):
        """Expression with what is expected below zeros, and its variance there."""
        sd = np.sqrt(self.noise)[:, None]
        u = self.w @ self.z / sd
        h = np.exp(stats.norm.logpdf(u) - log_ndtr(-u))
        y = np.where(self.censored, sd * (u - h), self.x)
        return y, np.where(self.censored, sd**2 * (1 - h * (h - u)), 0)

    def z_after(self):
        """Posterior means of representations given these weights and what is expected."""
        y, _ = self.expected()
        w, free, known = self.w, slice(self.m), slice(self.m, None)
        right = (w[:, free].T / self.noise) @ (y - w[:, known] @ self.z[known])
        right -= self.doubt[free, known] @ self.z[known]
        return np.vstack([self.sigma @ right, self.z[known]])

    def decoder(self):
        """Mean, covariance and expected squares of every gene's regression on uncertain representations."""
        (y, hidden), z = self.expected(), self.z_after()
        spread = np.zeros((len(z), len(z)))
        spread[: self.m, : self.m] = self.n_cells * self.sigma
        anchor, out = self.model.prior.anchor.numpy(), []
        for i in range(self.network.n_genes):
            edges = np.flatnonzero(self.network.gene == i)
            own = self.network.regulator[edges]
            second, by = (z @ z.T + spread)[np.ix_(own, own)], self.v[edges]
            v = np.linalg.inv(second / self.noise[i] + np.diag(1 / by))
            mean = v @ (z[own] @ y[i] / self.noise[i] + anchor[edges] / by)
            squares = (y[i] @ y[i]) - 2 * mean @ z[own] @ y[i] + mean @ second @ mean
            out.append((edges, mean, v, squares + (v * second).sum() + hidden[i].sum()))
        return out

    def cost(self, posteriors):
        """-2 times the bound, without n log 2π of what is seen, and without constants of flat priors."""
        p, sd, m = self.w @ self.z, np.sqrt(self.noise)[:, None], self.m
        seen = ((self.x - p) / sd) ** 2 + np.log(sd**2)
        total = np.where(self.censored, -2 * log_ndtr(-p / sd), seen).sum()
        for i, (edges, _, v, _) in enumerate(posteriors):
            own = self.network.regulator[edges]
            free, w, z = own < m, self.at.weight.numpy()[edges], self.z[own]
            # variance of p: of representations, of weights, and of both
            s = np.zeros((len(own), len(own)))
            s[np.ix_(free, free)] = self.sigma[np.ix_(own[free], own[free])]
            spread = w @ s @ w + ((v @ z) * z).sum(0) + (v * s).sum()
            total += spread.sum() / self.noise[i] - np.linalg.slogdet(v)[1]
            off = w - self.model.prior.anchor.numpy()[edges]
            by, proper = self.v[edges], np.isfinite(self.v[edges])
            total += ((off**2 + v.diagonal()) / by + np.log(by) - 1)[proper].sum()
        inverse, free = np.linalg.inv(self.covariance), self.z[:m]
        total += (free * (inverse @ free)).sum() + self.n_cells * (
            (inverse * self.sigma).sum() - m
            + np.linalg.slogdet(self.covariance)[1] - np.linalg.slogdet(self.sigma)[1]
        )  # fmt: skip
        return total


ASSUMED = [
    {"n_known": 0, "signed": 0.0},
    {"n_known": 2, "n_factors": 2, "tau2": 0.4},
    {"signed": 1.0, "correlated": True},
]


@TOBIT
@pytest.mark.parametrize("options", ASSUMED)
def test_decoder_is_a_bayesian_regression_of_every_gene(tobit, options):
    """On z with N Σ added to its squares; noise, doubt and determinants follow from the same regressions."""
    model, at = problem(1, tobit=tobit, **options)
    for _ in range(3):  # from a point without doubt, and from others with some
        wanted, twin = Twin(model, at).decoder(), Twin(model, at)
        new, _ = model.step(at)
        np.testing.assert_allclose(torch.hstack(new.z), twin.z_after(), rtol=1e-7, atol=1e-9)
        for i, (edges, mean, v, _) in enumerate(wanted):
            np.testing.assert_allclose(new.weight[edges], mean, rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(new.weight_sd[edges] ** 2, v.diagonal(), rtol=1e-8)
            assert (twin.network.gene[edges] == i).all()
        log_det = -sum(np.linalg.slogdet(v)[1] for _, _, v, _ in wanted)
        assert new.log_det == pytest.approx(log_det, rel=1e-9)
        squares = tensor([part[3] for part in wanted]) / model.n_cells
        p = dense(new.weight.numpy(), twin.network) @ twin.z_after()
        noise = pooled(squares, model.n_cells) + evidence._MISFIT * tensor(p.var(1)).clamp(max=1)
        np.testing.assert_allclose(new.noise, noise, rtol=1e-7)
        doubt = np.zeros_like(twin.doubt)
        for psi, (edges, _, v, _) in zip(noise.numpy(), wanted, strict=True):
            own = twin.network.regulator[edges]
            doubt[np.ix_(own, own)] += v / psi
        np.testing.assert_allclose(new.doubt, doubt, rtol=1e-7, atol=1e-10)
        at = new


@TOBIT
@pytest.mark.parametrize("options", ASSUMED)
def test_cost_is_the_bound_by_its_definition(tobit, options):
    """At an iterate, and where momentum has moved means away from it."""
    model, at = problem(2, tobit=tobit, **options)
    for _ in range(3):
        posteriors = Twin(model, at).decoder()
        at, before = model.step(at)[0], at
        ahead = evidence._ahead(at, before, 0.4)
        for iterate in (at, ahead):
            wanted = Twin(model, iterate).cost(posteriors)
            assert model.step(iterate)[1] == pytest.approx(wanted, rel=1e-9)


def fixed(seed, *, m, n_cells, n_genes=8, tobit=False):
    """Weights that are known: the variance of their prior is 0, all but."""
    rng = np.random.default_rng(seed)
    gene, column = np.nonzero(np.ones((n_genes, m)))
    network = Network.from_edges(gene, column, np.ones(len(gene)), n_genes, m)
    weight, c = rng.normal(size=len(gene)), rng.normal(size=(m, m))
    prior = replace(prior_of(network, m, tau2=1e-12, correlated=True), anchor=tensor(weight))
    x = rng.normal(size=(n_genes, n_cells)) * 2
    x = np.maximum(x, 0) if tobit else x
    block = (Tobit() if tobit else Gaussian()).block(tensor(x))
    model = Model([block], network, m, 0, prior, n_cells, False)
    variance = prior.variance(1e-12, tensor([]))
    at = Moments(
        tensor(weight),
        [tensor(np.zeros((m, n_cells)))],
        tensor(rng.uniform(0.3, 2, n_genes)),
        tensor(c @ c.T + 0.2 * np.eye(m)),
        1e-12,
        tensor([]),
        torch.zeros(m, m, dtype=torch.float64),
        variance.sqrt(),
        log_det=-float(variance.log().sum()),
    )
    return model, at


@pytest.mark.parametrize("seed", range(3))
def test_with_known_weights_the_bound_is_the_evidence(seed):
    """x ~ N(0, W C W' + Ψ), and representations are at their posterior after a step."""
    model, at = fixed(seed, m=3, n_cells=5)
    w, x = dense(at.weight.numpy(), model.network), model.blocks[0].x.numpy()
    covariance = w @ at.covariance.numpy() @ w.T + np.diag(at.noise.numpy())
    wanted = -2 * stats.multivariate_normal(np.zeros(8), covariance).logpdf(x.T).sum()
    wanted -= x.size * np.log(2 * np.pi)
    start = model.step(at)[1]
    assert start > wanted + 1
    there = replace(at, z=model.step(at)[0].z)
    assert model.step(there)[1] == pytest.approx(wanted, abs=1e-6)


def test_with_known_representations_the_bound_is_the_evidence():
    """Of covariates alone, with weights from N(0, v): x_i ~ N(0, Σ_c v_c k_c k_c' + ψ I)."""
    rng = np.random.default_rng(0)
    n_genes, n_cells, v = 6, 15, tensor([2.0, 0.5])
    gene, column = np.nonzero(np.ones((n_genes, 2)))
    # a regulator without targets, and two known columns whose weights have a variance each
    network = Network.from_edges(gene, column + 1, 0 * gene, n_genes, 3)
    group = torch.as_tensor(column)
    prior = replace(prior_of(network, 1), group=group)
    known, x = rng.normal(size=(2, n_cells)), rng.normal(size=(n_genes, n_cells))
    model = Model([Gaussian().block(tensor(x))], network, 1, 0, prior, n_cells, False)
    none = torch.zeros(12, dtype=torch.float64)
    at = Moments(
        none, [tensor(np.vstack([np.zeros(n_cells), known]))], tensor([0.7] * n_genes),
        tensor([[1.0]]), 1.0, v, torch.zeros(3, 3, dtype=torch.float64), none,
    )  # fmt: skip
    new, _ = model.step(at)
    # the posterior, the same of every gene, is the best at the first ψ and v
    doubt = new.doubt * (n_genes / 0.7) / (1 / new.noise).sum()
    there = replace(
        at, weight=new.weight, weight_sd=new.weight_sd, log_det=new.log_det, doubt=doubt
    )
    covariance = known.T @ np.diag(v.numpy()) @ known + 0.7 * np.eye(n_cells)
    exact = stats.multivariate_normal(np.zeros(n_cells), covariance).logpdf(x).sum()
    cost = model.step(there)[1]
    assert cost == pytest.approx(-2 * exact - x.size * np.log(2 * np.pi), rel=1e-10)
    # and v is then as a step of expectation and maximisation has it: a better one
    better = replace(there, of_group=new.of_group)
    assert model.step(better)[1] < cost


@pytest.mark.parametrize("seed", range(3))
def test_of_what_is_censored_it_is_a_bound_and_a_near_one(seed):
    """With one regulator of known weights the evidence is an integral over its activity."""
    model, at = fixed(seed, m=1, n_cells=6, tobit=True)
    x, w, sd = model.blocks[0].x.numpy(), at.weight.numpy(), at.noise.sqrt().numpy()
    scale = float(at.covariance.sqrt())

    def density(z, own):
        zero = own == 0
        return np.exp(
            np.where(zero, log_ndtr(-w * z / sd), stats.norm.logpdf(own, w * z, sd)).sum()
            + stats.norm.logpdf(z, scale=scale)
        )

    exact = sum(
        np.log(integrate.quad(density, -8 * scale, 8 * scale, (own,), limit=200)[0]) for own in x.T
    )
    exact += 0.5 * (x > 0).sum() * np.log(2 * np.pi)
    bounds = []
    for _ in range(60):
        new, cost = model.step(at)
        at = replace(at, z=new.z)
        bounds.append(-cost / 2)
    assert (np.diff(bounds) > -1e-9).all()
    assert bounds[-1] < exact
    # it takes what is below zeros for independent of the activity: 0.13 a cell or less
    assert exact - bounds[-1] < 0.2 * x.shape[1]


def costs_of(model, at, n):
    """Bounds of plain steps, from the second on: at the start weights have no posterior."""
    out = []
    for _ in range(n):
        at, cost = model.step(at)
        out.append(cost)
    return np.array(out[1:])


KIND = {
    "seed": st.integers(0, 10_000),
    "tobit": st.booleans(),
    "n_factors": st.sampled_from([0, 2]),
    "n_known": st.sampled_from([0, 1, 2]),
    "n_cells": st.sampled_from([8, 50]),
}


@settings(max_examples=10, deadline=None)
@given(**KIND, signed=st.sampled_from([0.0, 1.0]), tau2=st.sampled_from([None, 0.3]))
def test_no_step_lowers_the_bound(tau2, **kind):
    """Where each parameter is what maximises it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "_MISFIT", 0.0)
        patch.setattr(evidence, "pooled", lambda variance, n: variance)
        model, at = problem(tau2=tau2, **kind)
        object.__setattr__(model, "centred", False)
        costs = costs_of(model, at, 15)
    assert (np.diff(costs) <= 1e-9 * np.abs(costs).max()).all()
    assert costs[-1] < costs[0]


@settings(max_examples=10, deadline=None)
@given(**KIND, signed=st.sampled_from([0.0, 0.5, 1.0]), correlated=st.booleans())
def test_pooled_and_shrunk_a_step_lowers_it_hardly(**kind):
    model, at = problem(**kind)
    costs = costs_of(model, at, 15)
    assert costs[-1] < costs[0]
    assert np.diff(costs).max() < MOST_LOST * (costs[0] - costs[-1])
