"""Data in another unit, c x: every quantity changes by its own unit, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.als.data import Scale
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.passes import refine
from grnrep.core.als.project import Projection, project
from grnrep.core.network import Network
from grnrep.core.posterior.laplace import Spread, activity_sd
from grnrep.core.posterior.sample import sample_posterior
from grnrep.core.posterior.spread import curvature_spread
from grnrep.core.repair import repair_network
from grnrep.core.signs import orient

# of what has a unit; weights have none, and a ridge is a penalty in units of the loss on squared activities
POWER = {"activity": 1, "bias": 1, "effects": 1, "activity_sd": 1, "bias_sd": 1}
POWER |= {"squared_error": 2, "noise_variance": 2}
EXACT = (2.0**-20, 0.25, 4.0)  # their square roots are powers of two as well: no rounding differs
UNITS = st.sampled_from([*EXACT, 0.01, 100.0])
# While they are fitted, activities of free regulators have the root of the unit of x, those of regulators
# with prior signs that unit; where there are both, the rule that ends a cell's search looks at them together


@st.composite
def problems(draw, *, n_cells=40, n_genes=30, m=4):
    """Expression, network and the model of it."""
    rng = np.random.default_rng(draw(st.integers(0, 20)))
    mask = rng.random((n_genes, m)) < 0.4
    mask[np.arange(n_genes), rng.integers(m, size=n_genes)] = True
    w = mask * rng.uniform(0.2, 1.0, mask.shape) * rng.choice([-1, 1], mask.shape)
    v = rng.normal(size=(n_cells, 1))
    p = rng.gamma(1.0, size=(n_cells, m)) @ w.T + 0.3 * rng.normal(size=(n_cells, n_genes))
    signed = draw(st.sampled_from(["all", "some regulators", "none"]))
    gene, regulator = np.nonzero(mask)
    known = {"all": np.ones(m), "none": np.zeros(m), "some regulators": np.arange(m) % 2}[signed]
    network = Network.from_edges(gene, regulator, np.sign(w[mask]) * known[regulator], n_genes, m)
    likelihood = draw(st.sampled_from(["tobit", "gaussian"]))
    model = {"intercept": draw(st.booleans())}
    model["covariates"] = v if model["intercept"] and draw(st.booleans()) else None
    penalty = {
        "ridge": draw(st.sampled_from([1e-4, 1e-2])),
        "prior": 0.0 if signed == "none" else 0.3,
    }
    mixed = signed == "some regulators"
    return (
        np.maximum(p, 0) if likelihood == "tobit" else p,
        network,
        {"likelihood": likelihood},
        model,
        penalty,
        mixed,
    )


def assert_units(found: dict, expected: dict, c: float, *, share: float | None = None) -> None:
    """``found``, of c x, is ``expected``, of x, in other units; to a ``share``, or but for rounding."""
    rel = share or (1e-11 if c in EXACT else 1e-5)
    for name, value in expected.items():
        if value is None:
            assert found[name] is None
            continue
        value = np.asarray(value) * c ** POWER.get(name, 0)
        least = rel * np.nanmax(np.abs(value))
        np.testing.assert_allclose(found[name], value, rtol=rel, atol=least, err_msg=name)


def of_fit(fit) -> dict:
    names = ("weight", "bias", "effects", "activity", "ridge")
    return {name: getattr(fit, name) for name in names}


@settings(deadline=None, max_examples=6, derandomize=True)
@given(problems(), UNITS)
def test_of_a_fit_its_projection_and_its_errors(problem, c):
    x, network, likelihood, model, penalty, mixed = problem

    def results(x):
        fit = fit_decoder(x, network, **likelihood, **model, **penalty)
        fit, confidence, _ = orient(fit, network)
        new = project(
            x[:7], fit, network, covariates=None if (v := fit.covariates) is None else v[:7]
        )
        found = of_fit(fit) | {"squared_error": fit.squared_error, "confidence": confidence}
        found |= {"noise_variance": fit.noise_variance}
        return found, {"activity": new}

    for pair in zip(results(c * x), results(x), strict=True):
        assert_units(*pair, c, share=2e-3 if mixed else None)


@settings(deadline=None, max_examples=6, derandomize=True)
@given(problems(), UNITS)
def test_of_a_posterior_and_of_cells_outside_the_chain(problem, c):
    x, network, likelihood, model, penalty, mixed = problem
    v = model["covariates"]
    later = None if v is None else v[30:]

    def results(x):
        fit = fit_decoder(x, network, **likelihood, **model, **penalty)
        some = replace(fit, activity=fit.activity[:30], covariates=None if v is None else v[:30])
        options = {"prior": penalty["prior"], "n_draws": 12}
        found, confidence, _ = sample_posterior(
            x[:30], some, network, **likelihood, **options
        ).orient(network)
        new = project(x[30:], found.fit, network, covariates=later)
        fit = replace(found.fit, activity=new, covariates=later)
        square = np.square(new).mean(0)
        spread = Spread(found.weight_sd, found.noise_variance, square)
        sd = activity_sd(x[30:], fit, network, spread)
        names = ("activity_sd", "weight_sd", "bias_sd", "noise_variance", "rhat")
        drawn = of_fit(found.fit) | {name: getattr(found, name) for name in names}
        return drawn | {"confidence": confidence}, {"activity": new, "activity_sd": sd}

    for pair in zip(results(c * x), results(x), strict=True):
        assert_units(*pair, c, share=2e-3 if mixed else None)


@settings(deadline=None, max_examples=6, derandomize=True)
@given(problems(), UNITS)
def test_of_passes_over_all_cells(problem, c):
    x, network, likelihood, model, penalty, mixed = problem
    v = model["covariates"]

    def results(x):
        first = None if v is None else v[:20]
        fit = fit_decoder(x[:20], network, **likelihood, **model | {"covariates": first}, **penalty)
        squares = float(np.square(x).sum())

        def sums(decoder):
            bare = replace(decoder, covariates=None)
            return Projection.of(bare, network, dtype=torch.float64).sums(x, v)

        scale = Scale(squares, squares, len(x))
        fit, *_ = orient(refine(fit, network, sums, scale, max_iter=10, **penalty), network)
        return of_fit(fit)

    assert_units(results(c * x), results(x), c, share=2e-2 if mixed else None)


@settings(deadline=None, max_examples=3, derandomize=True)
@given(problems(n_cells=50, n_genes=24, m=3), UNITS)
def test_of_a_repaired_network(problem, c):
    x, network, likelihood, *_ = problem
    found, expected = (repair_network(unit * x, network, **likelihood) for unit in (c, 1.0))
    np.testing.assert_array_equal(found.kept, expected.kept)
    t = [r.weight / r.std_err for r in (found, expected)]
    judged = np.isfinite(expected.std_err)  # of others the order is that of weights, in no unit
    assert_units({"t": t[0], "fdr": found.fdr[judged]}, {"t": t[1], "fdr": expected.fdr[judged]}, c)


@settings(deadline=None, max_examples=3, derandomize=True)
@given(
    st.integers(0, 20),
    st.sampled_from(["poisson", "nb"]),
    st.booleans(),
    st.sampled_from([0.125, 2.0, 64.0]),
)
def test_of_counts_is_that_of_their_size_factors(seed, likelihood, intercept, c):
    """Counts themselves have no other unit: twice as many counts are twice as much evidence."""
    rng = np.random.default_rng(seed)
    mask = rng.random((30, 3)) < 0.5
    mask[np.arange(30), rng.integers(3, size=30)] = True
    w, s = mask * rng.uniform(1, 4, mask.shape), rng.uniform(0.5, 2.0, 40)
    counts = rng.poisson(s[:, None] * (rng.gamma(1.0, size=(40, 3)) @ w.T + 0.5)).astype(np.float64)
    network = Network.from_edges(*np.nonzero(mask), np.zeros(mask.sum()), 30, 3)

    def results(s):
        options = {"likelihood": likelihood, "intercept": intercept, "max_iter": 20, "ridge": 1e-3}
        fit, confidence, _ = orient(
            fit_decoder(counts, network, size_factors=s, **options), network
        )
        spread = curvature_spread(counts, fit, network, size_factors=s)
        sd = activity_sd(counts, fit, network, spread, size_factors=s)
        found = of_fit(fit) | {
            "activity_sd": sd,
            "weight_sd": spread.weight_sd,
            "scatter": spread.scatter,
        }
        # the loss of counts has no unit, so that the penalty of squared activities has one over theirs
        return found | {"ridge": fit.ridge / s.mean() ** 2, "confidence": confidence}

    assert_units(results(s / c), results(s), c, share=1e-6)
