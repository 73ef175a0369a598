"""Solves of systems that may be singular: they neither amplify rounding nor lose what can be told."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.kernels import solve_genes
from grnrep.core.linalg import inverse_spd, solve_spd, soundness


def gram(rng, k, rank, dtype=np.float64):
    a = rng.normal(size=(50, rank)) @ rng.normal(size=(rank, k)) * np.exp(rng.normal(size=k))
    a = torch.as_tensor(a.astype(dtype))
    return a, (a.mT @ a).double()


def compiled(systems, rhs, precision, ridge=0.0):
    """By :func:`grnrep.core.kernels.solve_genes`, a gene for every system; above the diagonal there is nothing."""
    b, k = systems.shape[:2]
    edges = (k * np.arange(b + 1), np.tile(np.arange(k), b), k * k * np.arange(b + 1))
    lower = np.where(np.tri(k, dtype=bool), systems.numpy(), np.nan).ravel()
    out = np.empty(b * k)
    given = (lower / 2, 0, np.full(b, 2.0), np.full(b * k, ridge), rhs.numpy().ravel().copy())
    solve_genes(*edges, *given, *soundness(precision), out)
    return torch.as_tensor(out.reshape(b, k, 1))


def test_inverse_of_a_definite_matrix():
    _, system = gram(np.random.default_rng(0), 5, 5)
    np.testing.assert_allclose(inverse_spd(system, torch.float64), np.linalg.inv(system), rtol=1e-9)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 12), double=st.booleans())
def test_steps_of_singular_systems_leave_a_residual_no_larger_than_least_squares(seed, k, double):
    rng = np.random.default_rng(seed)
    dtype = np.float64 if double else np.float32
    rank = int(rng.integers(1, k + 1))
    a, system = gram(rng, k, rank, dtype)
    x = torch.as_tensor(rng.normal(size=(50, 1)).astype(dtype))
    rhs = (a.mT @ x).double()
    wanted = np.linalg.lstsq(a.double().numpy(), x.double().numpy(), rcond=1e-5)[0]
    least = np.square(a.double().numpy() @ wanted - x.numpy()).sum()
    precision = a.dtype
    for found in (
        solve_spd(system[None].repeat(3, 1, 1), rhs[None].repeat(3, 1, 1), precision)[1],
        inverse_spd(system, precision).to(a).double() @ rhs,
        compiled(system[None].repeat(3, 1, 1), rhs[None].repeat(3, 1, 1), precision)[1],
    ):
        residual = np.square(a.double().numpy() @ found.numpy() - x.numpy()).sum()
        assert residual <= least * 1.02


def test_a_batch_damps_only_what_is_singular():
    rng = np.random.default_rng(1)
    systems = torch.stack([gram(rng, 4, rank)[1] for rank in (4, 2, 4)])
    rhs = torch.as_tensor(rng.normal(size=(3, 4, 1)))
    for found in (solve(systems, rhs, torch.float64) for solve in (solve_spd, compiled)):
        for i in (0, 2):
            np.testing.assert_allclose(found[i], np.linalg.solve(systems[i], rhs[i]), rtol=1e-9)
        assert torch.isfinite(found).all()


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 40), ridge=st.sampled_from([0.0, 0.7]))
def test_compiled_code_solves_and_damps_as_torch_does(seed, k, ridge):
    rng = np.random.default_rng(seed)
    systems = torch.stack([gram(rng, k, int(rng.integers(1, k + 1)))[1] for _ in range(3)])
    systems[1, :, k // 2], systems[1, k // 2] = 0, 0  # a column of zeros
    rhs = systems @ torch.as_tensor(rng.normal(size=(3, k, 1)))
    plus = systems + ridge * torch.eye(k, dtype=torch.float64)
    found, expected = (
        compiled(systems, rhs, torch.float32, ridge),
        solve_spd(plus, rhs, torch.float32),
    )
    of_found, of_expected = plus @ found, plus @ expected
    np.testing.assert_allclose(of_found, of_expected, atol=1e-5 * float(rhs.abs().max()))


def test_compiled_code_reads_the_systems_of_genes_from_a_shared_gram_matrix():
    rng = np.random.default_rng(3)
    _, shared = gram(rng, 30, 30)
    columns = [np.sort(rng.choice(30, k, replace=False)) for k in (0, 1, 7, 0, 30, 16)]
    indptr = np.append(0, np.cumsum([len(of_gene) for of_gene in columns]))
    ridge, right = rng.uniform(0, 1, indptr[-1]), rng.normal(size=indptr[-1])
    out, lower = np.empty(indptr[-1]), np.where(np.tri(30, dtype=bool), shared.numpy(), np.nan)
    edges = (indptr, np.concatenate(columns), np.zeros(7, np.int64))
    solve_genes(*edges, lower.ravel(), 30, np.ones(6), ridge, right, *soundness(torch.float64), out)
    for i, of_gene in enumerate(columns):
        own = slice(indptr[i], indptr[i + 1])
        system = shared.numpy()[np.ix_(of_gene, of_gene)] + np.diag(ridge[own])
        np.testing.assert_allclose(out[own], np.linalg.solve(system, right[own]), rtol=1e-8)


def test_columns_of_zeros_do_not_matter_to_the_others():
    _, system = gram(np.random.default_rng(2), 3, 3)
    padded = torch.zeros(4, 4, dtype=torch.float64)
    padded[:3, :3] = system
    inverse = inverse_spd(padded, torch.float64)
    np.testing.assert_allclose(inverse[:3, :3], np.linalg.inv(system), rtol=1e-9)
    assert (inverse[3, :3] == 0).all()


def test_what_is_not_a_number_stays_one():
    system = torch.full((2, 2), torch.nan, dtype=torch.float64)
    assert torch.isnan(inverse_spd(system, torch.float64)).any()


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_no_regulators(precision):
    assert inverse_spd(torch.zeros(0, 0, dtype=torch.float64), precision).shape == (0, 0)
