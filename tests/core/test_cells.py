"""The cell solver against a general-purpose optimiser and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.sparse.linalg import cg

from grnrep.core.als import cells, preconditioners
from grnrep.core.als.cells import project_cells
from grnrep.core.als.preconditioners import cell_solver, quick_solver, tried
from grnrep.core.likelihoods.base import Block
from grnrep.core.likelihoods.gaussian import Gaussian, Tobit
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network

OF_NAME = {"tobit": Tobit(), "gaussian": Gaussian()}


def problem(seed, *, n_genes=40, m=6, n_cells=15, density=0.4):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < density
    mask[0] = False
    w = mask * rng.uniform(-1, 1, (n_genes, m))
    z = rng.gamma(1.0, size=(n_cells, m))
    x = np.maximum(z @ w.T + 0.3 * rng.normal(size=(n_cells, n_genes)), 0)
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m)
    return network, w, x


def solve(network, w, x, ridge, likelihood, n_known=0, **options):
    m = network.n_regulators - n_known
    weight = torch.as_tensor(w[network.gene, network.regulator])
    solver = cell_solver(Pattern(network), weight, m, torch.full((m,), ridge, dtype=torch.float64))
    start = torch.zeros(network.n_regulators, len(x), dtype=torch.float64)
    start[m:] = 1
    block = OF_NAME[likelihood].block(torch.as_tensor(x.T.copy()))
    z = project_cells(solver, block, start, max_iter=20_000, tol=1e-12, **options)
    return z[:m].T.numpy()


def objective(z, w, x, ridge, bias=0.0):
    p = w @ z + bias
    r = np.where(x > 0, x - p, np.minimum(-p, 0))
    gradient = -2 * w.T @ r + 2 * ridge * z
    return (r**2).sum() + ridge * (z**2).sum(), gradient


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ridge", [1e-6, 0.5])
def test_censored_projection_equals_lbfgs(seed, ridge):
    network, w, x = problem(seed)
    ours = solve(network, w, x, ridge, "tobit")
    for k in range(len(x)):
        best = minimize(
            objective, np.zeros(6), (w, x[k], ridge), jac=True, method="L-BFGS-B",
            options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-10},
        )  # fmt: skip
        assert objective(ours[k], w, x[k], ridge)[0] <= best.fun * (1 + 1e-9)
        np.testing.assert_allclose(ours[k], best.x, atol=2e-5)


def test_gradient_vanishes_with_known_columns():
    _, w, x = problem(7)
    w = np.column_stack([w, np.linspace(-1, 1, len(w))])  # the last column is an intercept
    gene, regulator = np.nonzero(np.column_stack([w[:, :-1] != 0, np.ones(len(w), bool)]))
    full = Network.from_edges(gene, regulator, np.zeros(len(gene)), len(w), 7)
    z = solve(full, w, x, 0.1, "tobit", n_known=1)
    for k in range(len(x)):
        _, gradient = objective(z[k], w[:, :-1], x[k], 0.1, bias=w[:, -1])
        np.testing.assert_allclose(gradient, 0, atol=1e-8)


def test_identity_link_is_ridge_regression():
    network, w, x = problem(1)
    expected = np.linalg.solve(w.T @ w + 0.3 * np.eye(6), w.T @ x.T).T
    np.testing.assert_allclose(solve(network, w, x, 0.3, "gaussian"), expected, atol=1e-10)


def test_cells_do_not_influence_each_other():
    network, w, x = problem(2)
    together = solve(network, w, x, 0.01, "tobit")
    alone = np.vstack([solve(network, w, x[[k]], 0.01, "tobit") for k in range(len(x))])
    np.testing.assert_allclose(together, alone, atol=1e-8)


def test_regulator_without_weight_gets_zero_and_collinear_ones_share():
    mask = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1]], dtype=float)
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(9), 3, 3)
    w = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [3.0, 3.0, 0.0]])
    z = solve(network, w, np.array([[2.0, 4.0, 6.0]]), 0.0, "gaussian")
    np.testing.assert_allclose(z, [[1.0, 1.0, 0.0]], atol=1e-10)


def large(dtype, ridge, *, n_cells=40):
    """Many regulators of few targets each."""
    network, w, x = problem(3, n_genes=600, m=300, n_cells=n_cells, density=0.02)
    weight = torch.as_tensor(w[network.gene, network.regulator], dtype=dtype)
    pattern, lam = Pattern(network), torch.full((300,), ridge, dtype=dtype)
    block = Tobit().block(torch.as_tensor(x.T.copy(), dtype=dtype))
    start = torch.zeros(300, n_cells, dtype=dtype)
    return pattern, weight, lam, block, start


def test_quick_solver_takes_the_diagonal_where_that_will_do_and_finds_the_same():
    pattern, weight, lam, block, start = large(torch.float64, 5.0)
    quick, dense = quick_solver(pattern, weight, 300, lam), cell_solver(pattern, weight, 300, lam)
    assert quick.inverse.shape == (300, 1)
    assert dense.inverse.shape == (300, 300)
    found, expected = (project_cells(s, block, start, tol=1e-10) for s in (quick, dense))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


def test_quick_solver_takes_the_whole_inverse_where_regulators_are_alike():
    rng = np.random.default_rng(0)
    mask = np.repeat(rng.random((600, 30)) < 0.1, 10, axis=1)  # ten regulators share all targets
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), 600, 300)
    weight = torch.as_tensor(1 + 0.1 * rng.normal(size=len(gene)))
    solver = quick_solver(
        Pattern(network), weight, 300, torch.full((300,), 0.1, dtype=torch.float64)
    )
    assert solver.inverse.shape == (300, 300)


@pytest.mark.parametrize("ridge", [0.01, 0.3, 3.0, 30.0])
@pytest.mark.parametrize(
    ("n_genes", "m", "density"), [(600, 300, 0.02), (90, 60, 0.2), (60, 8, 0.5)]
)
def test_the_trial_takes_what_scipy_is_done_with_first(n_genes, m, density, ridge):
    network, w, _ = problem(3, n_genes=n_genes, m=m, density=density)
    weight = torch.as_tensor(w[network.gene, network.regulator])
    pattern = Pattern(network)
    trial = tried(pattern, weight, m, torch.full((m,), ridge, dtype=torch.float64))
    whole, third = w.T @ w + ridge * np.eye(m), w[::3].T @ w[::3] + ridge * np.eye(m)
    counts = []
    for inverse in (np.diag(1 / np.diag(whole)), np.linalg.inv(whole)):
        steps = []
        right = third @ np.random.default_rng(0).normal(size=m)
        cg(third, right, rtol=1e-5, M=inverse, callback=steps.append)
        counts.append(len(steps))
    (fast, slow), longer = counts, 1 + preconditioners._extra(pattern, m)
    taken, other = (fast, slow * longer) if trial.diagonal else (slow * longer, fast)
    assert taken <= other + 3 * longer  # right sides differ
    assert abs(trial.iterations - (fast if trial.diagonal else slow)) <= 3
    wanted = np.diag(1 / np.diag(whole)).sum(1)[:, None] if trial.diagonal else np.linalg.inv(whole)
    np.testing.assert_allclose(trial.inverse.numpy(), wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ridge", [1e-3, 5.0])
def test_company_does_not_matter_to_the_last_bit(ridge, dtype):
    pattern, weight, lam, block, start = large(dtype, ridge)
    solver = quick_solver(pattern, weight, 300, lam)
    together = project_cells(solver, block, start)
    order = torch.as_tensor(np.random.default_rng(0).permutation(40)[:33])
    torch.testing.assert_close(
        project_cells(solver, block.cells(order), start[:, order]),
        together[:, order],
        rtol=0,
        atol=0,
    )
    for k in range(0, 40, 5):
        alone = project_cells(solver, block.cells(torch.tensor([k])), start[:, [k]])
        torch.testing.assert_close(alone[:, 0], together[:, k], rtol=0, atol=0)


@pytest.mark.parametrize("n_cells", [40, 83, 128])
def test_lanes_that_are_done_early_take_cells_of_others(n_cells):
    """Cells that begin at their end lie in the same few lanes of a tile, or in none of its first ones."""
    pattern, weight, lam, block, start = large(torch.float64, 0.3)
    some = torch.arange(n_cells) % 40
    left_out = torch.as_tensor(np.random.default_rng(2).random((len(block.x), n_cells)) < 0.1)
    block, start = Tobit().block(block.x[:, some], without=left_out), start[:, some]
    solver = quick_solver(pattern, weight, 300, lam)
    alone = [
        project_cells(solver, block.cells(k), start[:, k]) for k in torch.arange(n_cells).split(1)
    ]
    end = torch.cat(alone, dim=1)
    for early in (torch.arange(n_cells) % 8 < 3, torch.arange(n_cells) >= 20):
        begun = torch.where(early, end, start)
        found = project_cells(solver, block, begun)
        torch.testing.assert_close(found[:, ~early], end[:, ~early], rtol=0, atol=0)
        torch.testing.assert_close(found[:, early], end[:, early], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("n_known", [0, 2])
@pytest.mark.parametrize("left_out", [True, False])
def test_both_ways_of_computing_agree(dtype, atol, whole, n_known, left_out):
    """On a processor the descent is compiled, elsewhere it is made of torch's operations."""
    pattern, weight, lam, block, start = large(dtype, 0.3)
    m, rng = 300 - n_known, np.random.default_rng(1)
    if left_out:
        without = torch.as_tensor(rng.random(block.x.shape) < 0.1)
        block = Tobit().block(block.x, without=without)
    start = torch.as_tensor(rng.normal(size=start.shape), dtype=dtype)
    solver = cell_solver(pattern, weight, m, lam[:m])
    if not whole:
        diagonal = pattern.gram(weight.double()).diagonal()[:m] + lam[:m].double()
        solver = replace(solver, inverse=(1 / diagonal)[:, None].to(dtype))
    tol = 1e-6 if dtype is torch.float32 else 1e-11
    compiled, general = (
        descent(solver, block, start, 500, tol) for descent in (cells._in_cache, cells._by_torch)
    )
    torch.testing.assert_close(compiled, general, rtol=0, atol=atol * float(general.abs().max()))
    torch.testing.assert_close(compiled[m:], start[m:], rtol=0, atol=0)


@pytest.mark.parametrize("max_iter", [0, 3, 500])
@pytest.mark.parametrize("n_cells", [5, 16, 37])
@pytest.mark.parametrize("likelihood", ["tobit", "gaussian"])
def test_residuals_are_those_of_the_representations(max_iter, n_cells, likelihood):
    pattern, weight, lam, block, start = large(torch.float64, 0.3)
    few = torch.arange(n_cells)
    block, start = OF_NAME[likelihood].block(block.x[:, few]), start[:, few]
    solver, r = cell_solver(pattern, weight, 300, lam), torch.full_like(block.x, torch.nan)
    z = project_cells(solver, block, start, max_iter=max_iter, tol=1e-3, residual=r)
    torch.testing.assert_close(r, solver.residual(block, z), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n_known", [0, 2])
@pytest.mark.parametrize("likelihood", ["tobit", "gaussian"])
def test_steps_agree_with_those_of_torch(likelihood, n_known):
    pattern, weight, lam, block, start = large(torch.float64, 0.3)
    block, m = OF_NAME[likelihood].block(block.x), 300 - n_known
    compiled = cell_solver(pattern, weight, m, lam[:m])
    general = replace(compiled, edges=None)
    z = start + torch.as_tensor(np.random.default_rng(0).normal(size=start.shape))
    for name in ("residual", "descent", "step"):
        found, expected = (getattr(solver, name)(block, z) for solver in (compiled, general))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_layout_in_memory_does_not_matter():
    pattern, weight, lam, block, start = large(torch.float32, 0.3)
    turned = Block(*(None if a is None else a.mT.contiguous().mT for a in (block.x, block.most)))
    assert not turned.x.is_contiguous()
    solver = quick_solver(pattern, weight, 300, lam)
    z = torch.as_tensor(np.random.default_rng(0).normal(size=start.shape), dtype=torch.float32)
    for step in (solver.residual, solver.descent, lambda *pair: project_cells(solver, *pair)):
        expected = step(block, z)
        for found in (step(turned, z), step(block, z.mT.contiguous().mT)):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_limit_of_iterations_is_kept(limit):
    pattern, weight, lam, block, start = large(torch.float64, 1e-3)
    solver = cell_solver(pattern, weight, 300, lam)
    stopped = project_cells(solver, block, start, max_iter=limit)
    if limit == 0:
        assert bool((stopped == start).all())
    torch.testing.assert_close(stopped, cells._by_torch(solver, block, start, limit, 1e-5))
    whole = project_cells(solver, block, start)
    assert float((stopped - whole).norm()) > 1e-3 * float(whole.norm())


@pytest.mark.parametrize(("n_cells", "m"), [(0, 300), (5, 0)])
def test_nothing_to_find(n_cells, m):
    pattern, weight, lam, block, start = large(torch.float32, 0.1)
    solver = cell_solver(pattern, weight, m, lam[:m])
    found = project_cells(solver, block.cells(torch.arange(n_cells)), start[:, :n_cells] + 1)
    assert found.shape == (300, n_cells)
    assert bool((found == 1).all()) or m > 0


def test_entries_left_out_do_not_matter():
    network, w, x = problem(5)
    weight = torch.as_tensor(w[network.gene, network.regulator])
    solver = cell_solver(Pattern(network), weight, 6, torch.full((6,), 0.1, dtype=torch.float64))
    out = torch.as_tensor(np.random.default_rng(0).random(x.T.shape) < 0.2)
    other = torch.where(out, 7.0, torch.as_tensor(x.T.copy()))
    start = torch.zeros(6, len(x), dtype=torch.float64)
    found = [
        project_cells(solver, Tobit().block(values, without=out), start, tol=1e-11)
        for values in (torch.as_tensor(x.T.copy()), other)
    ]
    torch.testing.assert_close(*found, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_not_above_zero_is_censored(dtype):
    tiny = torch.finfo(dtype).smallest_normal / 4  # below the least normal number
    x = torch.tensor([[0.0, -0.0, tiny, 1e-3, 7.0, torch.finfo(dtype).max, -1.0]], dtype=dtype)
    most = Tobit().block(x).most
    assert most.dtype == dtype
    assert most.tolist() == torch.where(x > 0, torch.inf, 0.0).tolist()
