"""Every store gives the same blocks, rows and sums."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace

import anndata as ad
import dask.array as da
import distributed
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from grnrep._values import open_values, read_values
from grnrep.rows.blocks import Blocks
from grnrep.rows.scan import BlockScan, add_scans

GENES = np.array([4, 0, 2])
MEMORY = {
    "numpy": np.asarray,
    "csr_matrix": sp.csr_matrix,
    "csc_matrix": sp.csc_matrix,
    "csr_array": sp.csr_array,
    "csc_array": sp.csc_array,
}
FILES = (
    "h5ad dense",
    "h5ad csr",
    "h5ad csc",
    "zarr dense",
    "zarr csr",
    "lazy zarr",
    "lazy h5ad",
    "dask",
    "memmap",
)
FORMATS = (*MEMORY, *FILES)


@pytest.fixture
def values():
    x = np.random.default_rng(0).poisson(0.7, size=(23, 5)).astype(float)
    x[:, 2] = 3
    return x


def data(x, names=None) -> ad.AnnData:
    names = [f"c{i}" for i in range(x.shape[0])] if names is None else names
    return ad.AnnData(
        x,
        obs=pd.DataFrame(index=names),
        var=pd.DataFrame(index=[f"g{i}" for i in range(x.shape[1])]),
    )


def stored(x, form, folder, names=None) -> ad.AnnData:
    """Data of the form, in memory or in a file."""
    if form in MEMORY:
        return data(MEMORY[form](x), names)
    if form == "dask":
        import dask.array

        return data(dask.array.from_array(x, chunks=(7, x.shape[1])), names)
    if form == "memmap":
        np.save(folder / "x.npy", x)
        return data(np.load(folder / "x.npy", mmap_mode="r"), names)
    kind = (
        sp.csr_matrix
        if "csr" in form or "lazy" in form
        else sp.csc_matrix
        if "csc" in form
        else np.asarray
    )
    if "h5ad" in form:
        data(kind(x), names).write_h5ad(folder / "x.h5ad")
        path = folder / "x.h5ad"
        return ad.experimental.read_lazy(path) if "lazy" in form else ad.read_h5ad(path, backed="r")
    data(kind(x), names).write_zarr(folder / "x.zarr")
    if "lazy" in form:
        return ad.experimental.read_lazy(folder / "x.zarr")
    node = zarr.open(folder / "x.zarr", mode="r")["X"]
    return data(node if "dense" in form else ad.io.sparse_dataset(node), names)


def test_values_of_dask_are_computed_by_the_thread_that_asks(values):
    seen = set()

    def look(block):
        seen.add(threading.get_ident())
        return block

    x = da.from_array(values, chunks=(5, -1)).map_blocks(look, meta=values[:0])
    blocks = Blocks.of(ad.AnnData(x), GENES, n_rows=4)
    np.testing.assert_array_equal(blocks.read(0), values[:4, GENES])
    assert seen == {threading.get_ident()}


def test_values_that_workers_of_a_cluster_hold_are_had(values):
    options = {"n_workers": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        x = client.persist(da.from_array(values, chunks=(5, -1)))
        blocks = Blocks.of(ad.AnnData(x), GENES, n_rows=4)
        np.testing.assert_array_equal(blocks.take(np.arange(23)), values[:, GENES])


@pytest.mark.parametrize("form", FORMATS)
def test_every_store_gives_the_same(values, form, tmp_path):
    blocks = Blocks.of(stored(values, form, tmp_path), GENES, n_rows=4)
    assert len(blocks) == 6
    found = np.full((23, 3), np.nan)
    for k in range(len(blocks)):
        block = blocks.read(k)
        assert (block.dtype, block.flags.c_contiguous) == (np.float32, True)
        found[blocks.rows(k)] = block
    np.testing.assert_array_equal(found, values[:, GENES])
    some = np.array([22, 3, 4, 0, 11])
    np.testing.assert_array_equal(blocks.take(some), values[np.ix_(some, GENES)])
    whole = replace(blocks, n_rows=23)
    for some in ([22, 3], [20, 3, 9, 4, 12, 5]):  # far apart, and many of those between
        np.testing.assert_array_equal(whole.take(some), values[np.ix_(some, GENES)])
    assert list(blocks.order) == list(np.argsort([f"c{i}" for i in range(23)]))


@pytest.mark.parametrize("form", FORMATS)
def test_every_store_has_the_same_sums(values, form, tmp_path):
    adata = stored(values, form, tmp_path)
    _, scan = open_values(adata, adata.var_names[GENES], GENES, layer=None, block_size=4)
    np.testing.assert_array_equal(scan.positive, (values[:, GENES] > 0).sum(0))
    np.testing.assert_allclose(scan.mean, values[:, GENES].mean(0))
    assert scan.varies.tolist() == [True, True, False]
    np.testing.assert_allclose(scan.deviation, 23 * values[:, GENES].var(0))
    np.testing.assert_allclose(scan.depth, values.sum(1))
    assert (scan.negative.count, scan.fraction.count, scan.infinite.count) == (0, 0, 0)
    assert (scan.n_constraints("relu"), scan.n_constraints("identity")) == (
        (values[:, GENES] > 0).sum(),
        69,
    )


@pytest.mark.parametrize("form", ["numpy", "csr_matrix", "h5ad csr", "zarr dense"])
def test_what_is_odd_is_found_where_it_is(values, form, tmp_path):
    # g1 is not wanted
    values[9, 0], values[12, 4], values[14, 0], values[3, 1] = (0.5, -2, -3, np.nan)
    blocks = Blocks.of(stored(values, form, tmp_path), GENES, n_rows=4)
    scan = add_scans([(blocks.rows(k), BlockScan(blocks)(k)) for k in range(len(blocks))])
    assert (scan.fraction.count, scan.fraction.row, scan.fraction.gene, scan.fraction.value) == (
        1,
        9,
        1,
        0.5,
    )
    assert (scan.negative.count, scan.negative.row, scan.negative.gene, scan.negative.value) == (
        2,
        12,
        0,
        -2,
    )
    assert scan.infinite.count == 0


@pytest.mark.parametrize("form", FORMATS)
def test_blocks_travel(values, form, tmp_path):
    blocks = Blocks.of(stored(values, form, tmp_path), GENES, n_rows=4)
    there = pickle.loads(pickle.dumps(blocks.portable()))
    for k in range(len(blocks)):
        np.testing.assert_array_equal(there.read(k), blocks.read(k))
    further = pickle.loads(pickle.dumps(there))  # also once they were used
    np.testing.assert_array_equal(further.read(1), blocks.read(1))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8, np.uint16, bool])
@pytest.mark.parametrize("form", MEMORY)
def test_dtypes_give_the_same(values, form, dtype):
    wanted = values.astype(dtype)
    adata = data(MEMORY[form](wanted))
    x, cells = read_values(adata, adata.var_names[GENES], GENES, layer=None)
    np.testing.assert_array_equal(x, wanted[np.ix_(cells, GENES)].astype(np.float32))


@pytest.mark.parametrize("form", ["numpy", "csr_matrix", "h5ad csr", "zarr dense"])
def test_order_is_by_name_and_then_by_value(values, form, tmp_path):
    names = [f"c{i % 9}" for i in range(23)]
    draw = np.random.default_rng(1).permutation(23)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = Blocks.of(stored(values, form, tmp_path / "a", names), GENES)
    second = Blocks.of(stored(values[draw], form, tmp_path / "b", [names[i] for i in draw]), GENES)
    np.testing.assert_array_equal(first.take(first.order), second.take(second.order))


def test_in_memory_blocks_come_in_canonical_order(values):
    draw = np.random.default_rng(1).permutation(23)
    first, second = (
        Blocks.of(data(values), GENES, n_rows=4),
        Blocks.of(data(values)[draw].copy(), GENES, n_rows=4),
    )
    for k in range(6):
        np.testing.assert_array_equal(first.read(k), second.read(k))


def test_dense_chunks_are_not_cut(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        x = file.create_dataset("x", (1000, 50), chunks=(37, 50), dtype="f4")
        assert Blocks.of(data(x), GENES).n_rows % 37 == 0


def test_layer_is_read_instead_of_x(values):
    adata = data(values)
    adata.layers["twice"] = sp.csr_matrix(2.0 * values)
    np.testing.assert_array_equal(
        Blocks.of(adata, GENES, layer="twice").read(0),
        2 * values[:, GENES][np.argsort(adata.obs_names)],
    )


def test_unknown_layer_lists_the_known(values, refuses):
    adata = data(values)
    adata.layers["counts"] = values
    with refuses(KeyError, "layer='count' is not in adata.layers", "'counts'", adata=adata):
        Blocks.of(adata, GENES, layer="count")


def test_missing_x_says_so(refuses):
    adata = ad.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["g"]))
    with refuses(ValueError, "adata.X is None", adata=adata):
        Blocks.of(adata, GENES)


def test_complex_numbers_are_refused(values, refuses):
    adata = data(values.astype(complex))
    with refuses(TypeError, "adata must hold real numbers", "complex128", adata=adata):
        Blocks.of(adata, GENES)


def test_objects_are_refused_and_what_would_do_is_said(values, refuses):
    adata = data(values.astype(object))
    with refuses(
        TypeError, "found dtype object. Make them numbers: .astype('float32')", adata=adata
    ):
        Blocks.of(adata, GENES)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_closed_file_is_called_so(values, sparse, tmp_path):
    adata = data(sp.csr_matrix(values) if sparse else values)
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad") as file:
        adata.X = ad.io.sparse_dataset(file["X"]) if sparse else file["X"]
        assert Blocks.of(adata, GENES).in_memory is False
    with pytest.raises(ValueError, match="adata must be in an open file; found a closed one"):
        Blocks.of(adata, GENES)


@pytest.mark.parametrize(("rows", "columns"), [(15, 5), (23, 4), (30, 5), (30, 7)])
@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_a_file_that_changes_shape(values, tmp_path, kind, rows, columns):
    """Another process opens the file anew: it may be another one by then."""
    path = tmp_path / "a.h5ad"
    as_kind = np.asarray if kind == "dense" else sp.csr_matrix
    data(as_kind(values)).write_h5ad(path)
    adata = ad.read_h5ad(path, backed="r")
    there = pickle.dumps(Blocks.of(adata, GENES[columns > GENES], n_rows=10).portable())
    adata.file.close()
    other = np.ones((rows, columns))
    data(as_kind(other)).write_h5ad(path)
    changed = pickle.loads(there)
    with pytest.raises(
        ValueError, match="changed while they were read: there were 23 cells and 5 genes"
    ):
        changed.read(0)
