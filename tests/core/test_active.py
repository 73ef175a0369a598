"""Steps by the curvature of entries with a residual: their sums against dense ones, their end against the bound's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.als import cells
from grnrep.core.als.active import ActiveSolver
from grnrep.core.als.cells import project_cells
from grnrep.core.als.data import Data, Penalty
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.genes import GeneSolver
from grnrep.core.als.loop import alternate
from grnrep.core.als.preconditioners import diagonal_solver
from grnrep.core.als.problem import Problem
from grnrep.core.als.start import first_weights
from grnrep.core.als.stats import Work
from grnrep.core.design import split_rows
from grnrep.core.likelihoods.gaussian import Tobit
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network, with_known_columns


def simulated(seed, *, n_cells=60, n_genes=80, m=12, density=0.2, zeros=0.7, dtype=np.float64):
    """Expression of regulators with prior signs, with about as many zeros as asked for."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < density
    mask[0], mask[1], mask[2:, :][~mask[2:].any(1), 0] = False, True, True
    w = mask * rng.uniform(0.2, 1, mask.shape) * rng.choice([-1, 1], mask.shape)
    p = rng.gamma(1.0, size=(n_cells, m)) @ w.T + 0.5 * rng.normal(size=(n_cells, n_genes))
    x = np.maximum(p - np.quantile(p, zeros, axis=0), 0).astype(dtype)
    gene, regulator = np.nonzero(mask)
    return x, Network.from_edges(gene, regulator, np.sign(w[gene, regulator]), n_genes, m)


def prepared(x, network, *, ridge=0.1, prior=0.3, active, lags=False, without=None):
    """A problem, and its first iterate."""
    data = Data.of(x, "tobit", None, True, None, None)
    m, full = network.n_regulators, with_known_columns(network, 1)
    penalty = Penalty.of(full, m, data.scale, ridge=ridge, prior=prior)
    blocks = data.blocks(without)
    known = split_rows(data.known, [block.x for block in blocks])
    solver = ActiveSolver.of(full, m, penalty, data.x, lags=lags) if active else None
    assert (solver is not None) == active
    problem = Problem(blocks, known, full, m, penalty, data.likelihood, active=solver)
    return problem, problem.begin(torch.as_tensor(first_weights(problem, data, network, 0, None)))


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    m=st.integers(1, 40),
    n_cells=st.integers(1, 50),
    share=st.sampled_from([0.0, 0.1, 1.0]),
    precision=st.sampled_from([np.float32, np.float64]),
)
def test_sums_are_those_of_entries_with_a_residual(seed, m, n_cells, share, precision):
    rng = np.random.default_rng(seed)
    _, network = simulated(seed, n_cells=n_cells, n_genes=15, m=m, density=0.5)
    z = rng.normal(size=(m, n_cells)).astype(precision)
    r = (rng.normal(size=(15, n_cells)) * (rng.random((15, n_cells)) < share)).astype(precision)
    genes = GeneSolver(network, shared=False, active=True)
    total, loss = genes.no_stats(), torch.as_tensor(r).double().square().sum(1)
    for some in (slice(0, n_cells // 2), slice(n_cells // 2, None)):
        parts = (torch.as_tensor(part[:, some].copy()) for part in (z, r))
        part, residual = parts
        work = Work(residual, None, residual.double().square().sum(1))
        genes.add(total, Pattern(network), part, work)
    tolerance = 1e-5 if precision is np.float32 else 1e-12
    scale = n_cells * max(1.0, float(np.abs(z).max()) ** 2)
    for i in range(15):
        columns = network.regulator[network.indptr[i] : network.indptr[i + 1]]
        own = z[columns].astype(np.float64)
        system = (own * (r[i] != 0)) @ own.T
        found = total.systems.numpy()[genes.first_pair[i] : genes.first_pair[i + 1]]
        lower = found.reshape(system.shape)[np.tril_indices(len(system))]
        np.testing.assert_allclose(
            lower, system[np.tril_indices(len(system))], atol=tolerance * scale
        )
        edges = total.edge.numpy()[network.indptr[i] : network.indptr[i + 1]]
        np.testing.assert_allclose(edges, own @ r[i].astype(np.float64), atol=tolerance * scale)
    np.testing.assert_allclose(total.squares, np.square(z.astype(float)).sum(1), rtol=1e-5)
    torch.testing.assert_close(total.loss, loss)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("zeros", [0.3, 0.9])
@pytest.mark.parametrize("lags", [True, False])
def test_ends_where_steps_by_a_bound_end(seed, zeros, lags):
    x, network = simulated(seed, zeros=zeros)
    ends = []
    for active in (True, False):
        problem, state = prepared(x, network, active=active, lags=lags)
        state, history, converged = alternate(
            problem, state, max_iter=3000, tol=1e-12, window=3 if active else 10
        )
        assert converged
        ends.append((history[-1], state.weight.numpy(), len(history)))
    (ours, weight, n), (theirs, other, n_other) = ends
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert np.corrcoef(weight, other)[0, 1] > 0.9999
    assert n < n_other


def test_systems_of_the_last_time_grow_with_entries_and_a_gene_without_any_waits():
    network = Network.from_edges([0, 0, 1, 2], [0, 1, 1, 0], [1, 1, 1, 1], 3, 2)
    genes = GeneSolver(network, shared=False, active=True)
    last, stats = genes.no_stats(), genes.no_stats(systems=False)
    last.systems += torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 0.0])
    last.entries += torch.tensor([4.0, 2.0, 0.0])
    stats.entries += torch.tensor([6.0, 1.0, 3.0])
    stats.edge += 1
    genes.borrow(stats, last)
    assert stats.systems is last.systems
    assert stats.growth.tolist() == [1.5, 1.0, 3.0]
    assert stats.edge.tolist() == [1, 1, 1, 0]


@settings(deadline=None, max_examples=20, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    batches=st.sampled_from([0, 2, 3]),
    prior=st.sampled_from([0.03, 0.3]),
)
def test_genes_without_values_in_these_cells_are_not_left_far_below_zero(seed, batches, prior):
    """What no residual calls back has to stay near: other cells may have these genes."""
    rng = np.random.default_rng(seed)
    x, network = simulated(seed, n_cells=150, zeros=0.7)
    batch = rng.integers(0, max(1, batches), len(x))
    x[batch == 0, :40] = 0
    covariates = (batch[:, None] == np.arange(1, batches)).astype(float) if batches else None
    fit = fit_decoder(
        x, network, intercept=True, covariates=covariates, ridge=1e-3, prior=prior, max_iter=100
    )
    level = fit.offset()[:, :40] if batches else fit.bias[None, :40]
    assert np.abs(level).max() < 5 * x.max()


@settings(deadline=None, max_examples=20, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    zeros=st.sampled_from([0.2, 0.6, 0.95]),
    ridge=st.sampled_from([1e-4, 0.1, 3.0]),
    prior=st.sampled_from([0.03, 10.0]),
    precision=st.sampled_from([np.float32, np.float64]),
)
def test_the_objective_never_rises(seed, zeros, ridge, prior, precision):
    x, network = simulated(seed, n_cells=25, zeros=zeros, dtype=precision)
    fit = fit_decoder(x, network, intercept=True, ridge=ridge, prior=prior)
    assert (np.diff(fit.history) <= 0).all()
    assert fit.converged


def test_values_left_out_do_not_matter():
    x, network = simulated(0)
    out = np.random.default_rng(1).random(x.shape) < 0.1
    ends = []
    for other in (0.0, 3.0):
        problem, _ = prepared(x, network, active=True)  # the same unit of penalties and start
        changed, state = prepared(np.where(out, other, x), network, active=True, without=out)
        changed.penalty = problem.penalty
        state = changed.begin(torch.as_tensor(problem.penalty.anchor.numpy().copy()))
        ends.append(alternate(changed, state, max_iter=40, tol=0.0, window=50)[0].weight)
    torch.testing.assert_close(*ends, rtol=0, atol=1e-8)


def test_the_bound_is_kept_where_long_steps_could_lose_regulators_or_cells_are_loosely_held():
    x, network = simulated(3, n_genes=240, m=120, n_cells=20)
    sign = np.where(network.regulator == 1, 0.0, network.sign)
    unsigned = Network.from_edges(network.gene, network.regulator, sign, 240, 120)
    for some, ridge, active in (
        (network, 0.3, True),
        (unsigned, 0.3, False),
        (network, 1e-5, False),
    ):
        data, full = Data.of(x, "tobit", None, True, None, None), with_known_columns(some, 1)
        penalty = Penalty.of(full, 120, data.scale, ridge=ridge, prior=0.3)
        assert (ActiveSolver.of(full, 120, penalty, data.x) is not None) == active
        assert fit_decoder(x, some, ridge=ridge, prior=0.3, intercept=True).converged


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_cells", [1, 7, 16, 35, 48])
@pytest.mark.parametrize("limit", [1, 3])
def test_steps_of_a_cell_do_not_hang_on_those_that_enter_with_it(dtype, n_cells, limit):
    x, network = simulated(5, n_cells=n_cells)
    weight = torch.as_tensor(network.sign * 0.5).to(dtype)
    solver = diagonal_solver(Pattern(network), weight, 12, torch.full((12,), 0.1))
    rng = np.random.default_rng(0)
    out = torch.as_tensor(rng.random((80, n_cells)) < 0.1)
    block = Tobit().block(torch.as_tensor(x.T.copy()).to(dtype), without=out)
    start = torch.as_tensor(rng.normal(size=(12, n_cells))).to(dtype)
    found = project_cells(solver, block, start, max_iter=limit, tol=1e-12)
    torch.testing.assert_close(found, cells._by_torch(solver, block, start, limit, 1e-12))
    for k in range(n_cells):
        some = torch.tensor([k])
        alone = project_cells(solver, block.cells(some), start[:, some], max_iter=limit, tol=1e-12)
        assert bool((alone[:, 0] == found[:, k]).all())
