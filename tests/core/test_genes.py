"""The gene solver against one dense least-squares problem per gene."""

import numpy as np
import pytest
import torch

from grnrep.core.als.genes import GeneSolver
from grnrep.core.als.stats import Work
from grnrep.core.likelihoods.gaussian import residual
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network


def problem(seed, n_genes=60, m=12, n_cells=50, density=0.3):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < density * rng.uniform(0, 2, (n_genes, 1))
    mask[:2] = [[False] * m, [True] * m]
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m)
    weight = torch.as_tensor(rng.normal(size=len(gene)))
    z = torch.as_tensor(rng.normal(size=(m, n_cells)))
    x = torch.as_tensor(np.maximum(rng.normal(size=(n_genes, n_cells)), 0))
    return network, weight, z, x


def sums(network, weight, z, x, cuts=()):
    pattern, solver = Pattern(network), GeneSolver(network)
    stats = solver.no_stats()
    for zb, xb in zip(
        torch.tensor_split(z, cuts, dim=1), torch.tensor_split(x, cuts, dim=1), strict=True
    ):
        zb = zb.contiguous()
        r = residual(xb, pattern.matmul(weight, zb), "tobit")
        solver.add(stats, pattern, zb, Work(r, None, r.square().sum(1)))
    return stats


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_step_minimises_the_majoriser_of_every_gene(seed, ridge):
    network, weight, z, x = problem(seed)
    lam = torch.full((network.n_edges,), ridge, dtype=torch.float64)
    anchor = weight.sign()
    new = GeneSolver(network).step(sums(network, weight, z, x), weight, lam, anchor).numpy()
    for i in range(network.n_genes):
        edges = slice(network.indptr[i], network.indptr[i + 1])
        a = z.numpy()[network.regulator[edges]].T
        p = a @ weight.numpy()[edges]
        t = np.where(x[i] > 0, x[i], np.minimum(p, 0))
        a = np.vstack([a, np.sqrt(ridge) * np.eye(a.shape[1])])
        expected = np.linalg.lstsq(a, np.append(t, np.sqrt(ridge) * anchor[edges]), rcond=None)[0]
        np.testing.assert_allclose(new[edges], expected, atol=1e-9)


@pytest.mark.parametrize("n_genes", [3, 60])
def test_a_step_does_not_depend_on_which_part_of_the_genes_is_solved_first(monkeypatch, n_genes):
    network, weight, z, x = problem(4, n_genes=n_genes)
    given = (sums(network, weight, z, x), weight, torch.ones(network.n_edges), weight.sign())

    def from_the_last(function, *arguments):
        return [function(*of_one) for of_one in reversed(list(zip(*arguments, strict=True)))]

    parts = GeneSolver(network).step(*given, each=from_the_last)
    monkeypatch.setattr("grnrep.core.als.genes._PARTS", 1)
    assert torch.equal(parts, GeneSolver(network).step(*given))


@pytest.mark.parametrize("cuts", [(1,), (10, 20, 49), (25, 25)])
def test_sums_add_over_blocks_of_cells(cuts):
    network, weight, z, x = problem(3)
    whole, parts = sums(network, weight, z, x), sums(network, weight, z, x, cuts)
    for name in ("gram", "edge", "loss"):
        torch.testing.assert_close(
            getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=1e-12
        )


def test_sums_equal_their_definition():
    network, weight, z, x = problem(4)
    dense = np.zeros((network.n_genes, network.n_regulators))
    dense[network.gene, network.regulator] = weight
    p = dense @ z.numpy()
    r = np.where(x.numpy() > 0, x.numpy() - p, np.minimum(-p, 0))
    stats = sums(network, weight, z, x)
    np.testing.assert_allclose(stats.gram, z.numpy() @ z.numpy().T)
    np.testing.assert_allclose(stats.edge, (r @ z.numpy().T)[network.gene, network.regulator])
    np.testing.assert_allclose(stats.loss, (r**2).sum(1))


def test_collinear_regulators_get_the_least_norm_weights():
    network = Network.from_edges([0, 0], [0, 1], [0, 0], 1, 2)
    z = torch.as_tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], dtype=torch.float64)
    x = 4 * z[:1]
    start = torch.zeros(2, dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    new = GeneSolver(network).step(sums(network, start, z, x), start, zero, zero)
    np.testing.assert_allclose(new, [2.0, 2.0], atol=1e-6)


def test_only_one_triangle_of_the_gram_matrix_is_needed():
    network, weight, z, x = problem(6, m=300, density=0.05)
    stats, lam = (
        sums(network, weight, z, x),
        torch.full((network.n_edges,), 0.5, dtype=torch.float64),
    )
    torch.testing.assert_close(stats.gram.tril(), (z @ z.mT).tril(), rtol=1e-12, atol=1e-12)
    solver = GeneSolver(network)
    found = solver.step(stats, weight, lam, weight.sign())
    stats.gram = (z @ z.mT).masked_fill(torch.ones(300, 300, dtype=torch.bool).triu(1), torch.nan)
    torch.testing.assert_close(solver.step(stats, weight, lam, weight.sign()), found)
    stats.gram = z @ z.mT
    torch.testing.assert_close(solver.step(stats, weight, lam, weight.sign()), found)


def test_systems_of_genes_with_curvatures_of_their_own_equal_their_definition():
    network, weight, z, _ = problem(7)
    a = torch.as_tensor(np.random.default_rng(0).uniform(0.1, 2, (network.n_genes, z.shape[1])))
    r = torch.as_tensor(np.random.default_rng(1).normal(size=a.shape))
    solver, pattern = GeneSolver(network, shared=False), Pattern(network)
    whole, parts = solver.no_stats(), solver.no_stats()
    solver.add(whole, pattern, z, Work(r, a, r.square().sum(1)))
    for cells in torch.arange(z.shape[1]).split(13):
        part = (values[:, cells].contiguous() for values in (z, r, a))
        at, slope, bend = part
        solver.add(parts, pattern, at, Work(slope, bend, slope.square().sum(1)))
    torch.testing.assert_close(parts.systems, whole.systems)
    lam = torch.full((network.n_edges,), 0.3, dtype=torch.float64)
    new = solver.step(whole, weight, lam, weight.sign()).numpy()
    for i in range(network.n_genes):
        edges = slice(network.indptr[i], network.indptr[i + 1])
        of_gene = z.numpy()[network.regulator[edges]]
        system = (of_gene * a[i].numpy()) @ of_gene.T + 0.3 * np.eye(len(of_gene))
        pull = of_gene @ r[i].numpy() + 0.3 * (weight.sign() - weight).numpy()[edges]
        expected = weight.numpy()[edges] + np.linalg.solve(system, pull)
        np.testing.assert_allclose(new[edges], expected, rtol=1e-8, atol=1e-10)
