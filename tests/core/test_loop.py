"""What the loop of the exact solver promises: the objective falls to the optimum, or it says so."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm.auto import tqdm

from grnrep.core.als import loop
from grnrep.core.als.data import Penalty, Scale
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.loop import alternate
from grnrep.core.als.problem import Problem, State, _groups
from grnrep.core.likelihoods.base import Block
from grnrep.core.likelihoods.gaussian import Gaussian
from grnrep.core.network import Network


def collinear(seed, *, nested=False, n_cells=30, n_genes=50, m=4, noise=0.3):
    """Regulators of which one or two have the targets and signs of others, or some of these."""
    rng = np.random.default_rng(seed)
    n_twins = 1 + seed % 2
    mask = rng.random((n_genes, m)) < 0.3
    mask = np.hstack(
        [mask, mask[:, :n_twins] & (rng.random((n_genes, 1)) < (0.5 if nested else 2))]
    )
    w = mask * rng.uniform(0.2, 1, mask.shape) * np.resize(rng.choice([-1, 1], m), m + n_twins)
    z = rng.gamma(1.0, size=(n_cells, m + n_twins))
    e = noise * rng.normal(size=(n_cells, n_genes))
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.sign(w[gene, regulator]), n_genes, m + n_twins)
    return (z @ w.T + e).astype(np.float32), network, z @ w.T


@settings(deadline=None, max_examples=12, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    nested=st.booleans(),
    likelihood=st.sampled_from(["gaussian", "tobit"]),
    precision=st.sampled_from([np.float32, np.float64]),
)
def test_without_a_ridge_collinear_regulators_explain_no_less_than_the_truth(
    seed, nested, likelihood, precision
):
    x, network, p = collinear(seed, nested=nested)
    x = (x if likelihood == "gaussian" else np.maximum(x, 0)).astype(precision)
    fit = fit_decoder(x, network, likelihood=likelihood, ridge=0.0, rng=seed)
    r = np.where((x > 0) | (likelihood == "gaussian"), x - p, np.minimum(-p, 0))
    assert (np.diff(fit.history) <= 0).all()
    assert fit.converged
    # the truth is one of the points that are searched, so that the optimum is no higher
    assert fit.history[-1] <= np.square(r).sum()
    assert fit.squared_error <= np.square(r).sum()


def rising(objectives, dtype=torch.float32):
    """Run the loop with the objectives given; what it returns, and the weights it started from."""
    network = Network.from_edges([0, 1], [0, 0], [0, 0], 2, 1)
    x = torch.ones(2, 3, dtype=dtype)
    problem = Problem(
        [Block(x)],
        [torch.zeros(0, 3, dtype=dtype)],
        network,
        1,
        Penalty.of(network, 1, Scale(6.0, 6.0, 3), ridge=0.1, prior=0.0),
        Gaussian(),
    )
    start, left, step = torch.ones(2, dtype=torch.float64), list(objectives), problem.cell_step

    def cell_step(at, **how):
        z, stats, _ = step(at)
        return z, stats, left.pop(0)

    problem.cell_step = cell_step
    with tqdm(disable=True) as bar:
        return alternate(problem, problem.begin(start), max_iter=9, tol=0.0, window=10, bar=bar)


def test_a_rise_within_rounding_is_the_end_and_one_beyond_it_is_a_failure(caplog):
    eps = torch.finfo(torch.float32).eps
    _, history, converged = rising([2.0, 1.0, 1.1, 1.0 + 4 * eps])
    assert converged
    assert history == [2.0, 1.0]
    with caplog.at_level(logging.WARNING, "grnrep"):
        last, history, converged = rising([2.0, 1.0, *[1.1] * (loop._TRIALS + 1)])
    assert not converged
    assert history == [2.0, 1.0]
    assert "a larger ridge" in caplog.text
    assert torch.isfinite(last.weight).all()
    # what rounding explains depends on the precision of the data
    assert not rising([2.0, 1.0, 1.1, *[1.0 + 4 * eps] * loop._TRIALS], torch.float64)[2]


def test_after_a_rise_the_iterate_before_is_returned():
    network = Network.from_edges([0, 1], [0, 0], [0, 0], 2, 1)
    problem = Problem(
        [Block(torch.tensor([[1.0, 2.0, 4.0], [3.0, 1.0, 1.0]]))],
        [torch.zeros(0, 3)],
        network,
        1,
        Penalty.of(network, 1, Scale(6.0, 6.0, 3), ridge=0.1, prior=0.0),
        Gaussian(),
    )
    problem.gene_step = lambda stats, at: -3 * at.weight  # worse than before
    with tqdm(disable=True) as bar:
        start = problem.begin(torch.ones(2, dtype=torch.float64))
        state, history, converged = alternate(problem, start, max_iter=9, tol=0, window=10, bar=bar)
    assert not converged
    assert len(history) == 1
    _, _, objective = problem.cell_step(State(state.weight, state.z))
    assert objective <= history[-1] * (1 + 1e-6)


@pytest.mark.parametrize("objective", [float("nan"), float("inf")])
@pytest.mark.parametrize("before", [[], [2.0, 1.0]])
def test_an_objective_that_is_no_number_never_passes(objective, before):
    with pytest.raises(
        FloatingPointError, match=f"objective is {objective} in iteration {len(before) + 1}"
    ):
        rising([*before, objective, objective])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_data_that_float32_cannot_square_are_refused(value):
    x, network, _ = collinear(0)
    x[0, 0] = value
    with pytest.raises(FloatingPointError, match="expression must be finite"):
        fit_decoder(x, network, likelihood="gaussian")


def test_counts_are_held_to_the_same(monkeypatch):
    network = Network.from_edges([0, 1, 2], [0, 0, 0], [0, 0, 0], 3, 1)
    c = np.random.default_rng(0).poisson(3.0, size=(20, 3))

    def fit(**options):
        return fit_decoder(c, network, likelihood="poisson", ridge=1e-3, **options)

    assert fit(tol=0.0).converged
    step, left = Problem.cell_step, [3.0, 2.0, *[2.1] * (loop._TRIALS + 1)]
    monkeypatch.setattr(
        Problem, "cell_step", lambda self, at, **how: (*step(self, at, **how)[:2], left.pop(0))
    )
    assert not fit(start=np.ones(3)).converged
    assert left == []
    left += [np.nan]
    with pytest.raises(FloatingPointError, match="objective is nan"):
        fit(start=np.ones(3))


@pytest.mark.parametrize("n_blocks", [1, 7, 8, 18, 40])
def test_groups_of_blocks_are_all_blocks_in_order_the_largest_first(n_blocks):
    groups = _groups(n_blocks)
    assert [k for group in groups for k in range(n_blocks)[group]] == list(range(n_blocks))
    sizes = [len(range(n_blocks)[group]) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1
