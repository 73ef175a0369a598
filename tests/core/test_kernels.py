"""Compiled residuals and gradients against dense products; vectors; other processors."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from grnrep.core.kernels import Rows, gradients, residuals
from grnrep.core.kernels.exponentials import exp, log, log_of_one_plus
from grnrep.core.kernels.vectors import BYTES, load, store, tile_of


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


@numba.njit
def _of_vectors(x, small, out):
    for i in range(len(x) * x.itemsize // 64):
        store(out[0], i, exp(load(x, i)))
        store(out[1], i, log(load(out[0], i)))
        store(out[2], i, log_of_one_plus(load(small, i)))


@numba.njit
def address_and_size(n, like):
    tile = tile_of(n, like)
    return tile.ctypes.data, len(tile), np.abs(tile).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_vector_of_a_tile_lies_in_one_line_of_the_cache(dtype):
    like = np.zeros(1, dtype)
    for n in range(64):  # of many sizes, since what is not aligned may be so by chance
        address, size, total = address_and_size(n, like)
        assert address % BYTES == 0
        assert size == n * BYTES // like.itemsize
        assert total == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_and_logarithms_are_right_to_two_units_in_the_last_place(dtype):
    """Those of vectors, against those of the system in a higher precision."""
    x = np.append(np.linspace(-80, 80, 4094), [0, 1e-12]).astype(dtype)
    small = np.append(np.exp(np.linspace(-80, 0, 4094)), [0, 1]).astype(dtype)
    out = tuple(np.empty_like(x) for _ in range(3))
    _of_vectors(x, small, out)
    eps, high = np.finfo(dtype).eps, np.longdouble
    np.testing.assert_allclose(out[0], np.exp(high(x)), rtol=2 * eps)
    np.testing.assert_allclose(out[1], np.log(high(out[0])), rtol=2 * eps, atol=0.2 * eps)
    np.testing.assert_allclose(out[2], np.log1p(high(small)), rtol=2 * eps)


OTHER_PROCESSOR = """
import re, sys
import numpy as np
from grnrep.core.kernels import Rows, gradients
from grnrep.core.kernels.blocks import block_gradients

dense, z, x, most, least, downhill = np.load(sys.argv[1]).values()
ridge, order = np.linspace(0, 1, 7, dtype=x.dtype), np.random.default_rng(0).permutation(x.shape[1])[:20]


def rows(a):
    indptr = np.concatenate([[0], np.cumsum((a != 0).sum(1))])
    return Rows(indptr.astype(np.int32), np.nonzero(a)[1].astype(np.int32), a[np.nonzero(a)])


def found(*arrays):
    out = np.empty((7, arrays[-1].shape[1]), x.dtype)
    gradients(rows(dense), rows(np.ascontiguousarray(dense.T)), ridge, *arrays, out)
    return out


whole = found(x, most, least, z)
np.testing.assert_allclose(whole, downhill, rtol=0, atol=1e-4)
some = found(*(np.ascontiguousarray(a[:, order]) for a in (x, most, least, z)))
np.testing.assert_array_equal(some, whole[:, order])
code = "".join(block_gradients.inspect_asm().values())
called = re.findall(r"\\bfmaf?\\b", code)
assert "mul" in code and not called, called
"""


def test_a_processor_without_fused_instructions_gets_the_same_without_calls(tmp_path):
    dense, z, x, most, least = problem(37, np.float32)
    wanted = (
        dense.T[:7] @ expected(dense, z, x, most, least) - np.linspace(0, 1, 7)[:, None] * z[:7]
    )
    np.savez(tmp_path / "problem.npz", dense, z, x, most, least, wanted)
    other = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    run = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESSOR, tmp_path / "problem.npz"],
        env=os.environ | other, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
