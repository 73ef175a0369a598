"""Compiled residuals and gradients against dense products."""

import numba
import numpy as np
import pytest

from grnrep.core import compiled
from grnrep.core.compiled import Rows
from grnrep.core.residuals import gradients, residuals


def problem(n_cells, dtype, *, n_genes=23, m=7, q=2):
    rng = np.random.default_rng(n_cells)
    dense = rng.normal(size=(n_genes, m + q)) * (rng.random((n_genes, m + q)) < 0.4)
    dense[3], dense[:, 1] = 0, 0  # a gene without edges, a regulator without targets
    z, x = rng.normal(size=(m + q, n_cells)), np.maximum(rng.normal(size=(n_genes, n_cells)), 0)
    most = np.where(x > 0, np.inf, 0.0)
    least = np.where(rng.random(x.shape) < 0.2, 0.0, -np.inf)
    most[least == 0] = 0
    return tuple(a.astype(dtype) for a in (dense, z, x, most, least))


def rows(dense):
    row, column = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum((dense != 0).sum(1))])
    return Rows(indptr.astype(np.int32), column.astype(np.int32), dense[row, column])


def expected(dense, z, x, most, least):
    r = x - dense @ z
    r = r if most is None else np.minimum(r, most)
    return r if least is None else np.maximum(r, least)


@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("n_bounds", [0, 1, 2])
@pytest.mark.parametrize("n_cells", [0, 1, 7, 8, 16, 17, 50])
def test_both_equal_dense_products(n_cells, n_bounds, dtype, atol):
    dense, z, x, most, least = problem(n_cells, dtype)
    most, least = most if n_bounds > 0 else None, least if n_bounds > 1 else None
    wanted, out = expected(dense, z, x, most, least), np.full_like(x, np.nan)
    residuals(rows(dense), x, most, least, z, out)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=atol)
    ridge, downhill = np.linspace(0, 1, 7).astype(dtype), np.full((7, n_cells), np.nan, dtype)
    gradients(rows(dense), rows(np.ascontiguousarray(dense.T)), ridge, x, most, least, z, downhill)
    np.testing.assert_allclose(
        downhill, dense.T[:7] @ wanted - ridge[:, None] * z[:7], rtol=0, atol=10 * atol
    )
    residuals(rows(dense), x, most, least, z, x)  # in its place
    np.testing.assert_allclose(x, wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_company_does_not_matter_to_the_last_bit(dtype):
    dense, z, x, most, least = problem(50, dtype)
    whole, order = np.empty_like(x), np.random.default_rng(0).permutation(50)[:33]
    residuals(rows(dense), x, most, least, z, whole)
    some = [np.ascontiguousarray(a[:, order]) for a in (x, most, least, z)]
    part = np.empty_like(some[0])
    residuals(rows(dense), *some, part)
    np.testing.assert_array_equal(part, whole[:, order])


def test_without_a_folder_for_compiled_code_it_is_compiled_anew(monkeypatch):
    njit, asked = numba.njit, []

    def refusing(**options):
        asked.append(options.get("cache", False))
        if asked[-1]:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(compiled.numba, "njit", refusing)
    assert compiled.compiled(lambda a: a + 1)(2) == 3
    assert asked == [True, False]
