"""Reading genes from any store gives the same dense array."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from grnrep.rows import matrix

FORMATS = [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.csc_array]
GENES = np.array([4, 0, 2])
CELLS = np.array([3, 1, 0, 2, 6, 5, 4])


@pytest.fixture
def values():
    return np.random.default_rng(0).poisson(0.7, size=(7, 5))


def _data(x) -> ad.AnnData:
    names = [f"c{i}" for i in range(x.shape[0])], [f"g{i}" for i in range(x.shape[1])]
    return ad.AnnData(x, obs=pd.DataFrame(index=names[0]), var=pd.DataFrame(index=names[1]))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8, np.uint16, bool])
def test_formats_and_dtypes_give_the_same(values, form, dtype, monkeypatch):
    monkeypatch.setattr(matrix, "_BLOCK_BYTES", 8 * 5 * 2)  # two rows a block
    wanted = values.astype(dtype)
    found = matrix.dense(_data(form(wanted)), GENES, cells=CELLS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted[np.ix_(CELLS, GENES)].astype(np.float32))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_backed_file_is_read_in_blocks(values, form, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "_BLOCK_BYTES", 8 * 5 * 2)
    _data(form(values.astype(np.float32))).write_h5ad(tmp_path / "data.h5ad")
    backed = ad.read_h5ad(tmp_path / "data.h5ad", backed="r")
    assert backed.isbacked
    np.testing.assert_array_equal(matrix.dense(backed, GENES, cells=CELLS), values[np.ix_(CELLS, GENES)])


def test_layer_is_read_instead_of_x(values):
    adata = _data(values.astype(float))
    adata.layers["twice"] = sp.csr_matrix(2.0 * values)
    np.testing.assert_array_equal(matrix.dense(adata, GENES, layer="twice"), 2 * values[:, GENES])


def test_unknown_layer_lists_the_known(values, refuses):
    adata = _data(values.astype(float))
    adata.layers["counts"] = values
    with refuses(KeyError, "layer='count' is not in adata.layers", "'counts'", adata=adata):
        matrix.dense(adata, GENES, layer="count")


def test_missing_x_says_so(values, refuses):
    adata = ad.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["g"]))
    with refuses(ValueError, "adata.X is None", adata=adata):
        matrix.dense(adata, GENES)


def test_complex_numbers_are_refused(values, refuses):
    adata = _data(values.astype(complex))
    with refuses(TypeError, "adata must hold real numbers", "complex128", adata=adata):
        matrix.dense(adata, GENES)


def test_canonical_order_is_by_name_whatever_the_order(values):
    adata = _data(values.astype(float))
    x, cells = matrix.canonical(adata, GENES)
    shuffled = adata[[5, 2, 0, 6, 1, 3, 4]].copy()
    again, order = matrix.canonical(shuffled, GENES)
    np.testing.assert_array_equal(x, again)
    assert list(adata.obs_names[cells]) == list(shuffled.obs_names[order]) == sorted(adata.obs_names)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_cells_of_one_name_are_ordered_by_their_values():
    x = np.array([[3.0, 1.0], [2.0, 5.0], [1.0, 4.0], [0.0, 2.0]])
    adata = _data(x)
    adata.obs_names = ["b", "a", "b", "b"]
    shuffled = adata[[2, 3, 1, 0]].copy()
    first, cells = matrix.canonical(adata, np.arange(2))
    second, order = matrix.canonical(shuffled, np.arange(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, x[cells])
    np.testing.assert_array_equal(second, shuffled.X[order])
