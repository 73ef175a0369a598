import tracemalloc

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from grnrep.ds import model, simulate, write

OPTIONS = {
    "n_obs": 2 * model.BLOCK + 30,
    "n_vars": 60,
    "n_regulators": 8,
    "counts": "nb",
    "zero_fraction": 0.6,
}
READ = {".h5ad": ad.read_h5ad, ".zarr": ad.read_zarr}


@pytest.fixture(scope="module")
def memory():
    return simulate(**OPTIONS)


def assert_same(found, adata):
    np.testing.assert_array_equal(found.X.toarray(), adata.X)
    np.testing.assert_array_equal(
        found.layers["counts"].toarray(), adata.layers["counts"].toarray()
    )
    assert (found.X.dtype, found.layers["counts"].dtype) == (np.float32, np.int32)
    pd.testing.assert_frame_equal(found.obsm["true_activity"], adata.obsm["true_activity"])
    pd.testing.assert_frame_equal(found.obs, adata.obs)
    pd.testing.assert_frame_equal(found.var, adata.var)
    stored, expected = found.uns["simulation"], adata.uns["simulation"]
    pd.testing.assert_frame_equal(stored["network"], expected["network"])
    assert stored["params"] == expected["params"]


@pytest.mark.parametrize("suffix", READ)
@pytest.mark.parametrize("chunk", [1000, 5000, 2**18])
def test_disk_equals_memory_whatever_the_chunks(memory, tmp_path, monkeypatch, suffix, chunk):
    adata, net = memory
    monkeypatch.setattr(write, "_CHUNK", chunk)
    path = tmp_path / f"cells{suffix}"
    found, found_net = simulate(**OPTIONS, path=path)
    pd.testing.assert_frame_equal(found_net, net)
    assert_same(READ[suffix](path), adata)
    assert_same(found.to_memory(), adata)


@pytest.mark.parametrize("suffix", READ)
def test_matrices_stay_on_disk_until_indexed(memory, tmp_path, suffix):
    adata, _ = memory
    found, _ = simulate(**OPTIONS, path=tmp_path / f"cells{suffix}")
    for matrix, expected in [
        (found.X, adata.X),
        (found.layers["counts"], adata.layers["counts"].toarray()),
    ]:
        assert not isinstance(matrix, np.ndarray | sp.spmatrix | sp.sparray)
        assert matrix.shape == adata.shape
        np.testing.assert_array_equal(matrix[7:300].toarray(), expected[7:300])
    names = ["cell_0300", "cell_0002"]
    np.testing.assert_array_equal(found[names].X.toarray(), adata[names].X)


@pytest.mark.parametrize("suffix", READ)
def test_the_result_of_simulate_in_memory_can_be_written(memory, tmp_path, suffix):
    adata, _ = memory
    path = tmp_path / f"cells{suffix}"
    (adata.write_h5ad if suffix == ".h5ad" else adata.write_zarr)(path)
    found = READ[suffix](path)
    found.X = sp.csr_matrix(found.X)
    assert_same(found, adata)


def test_h5ad_opens_backed(memory, tmp_path):
    simulate(**OPTIONS, path=str(tmp_path / "cells.h5ad"))
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(backed.X[:3].toarray(), memory[0].X[:3])


def test_pointers_are_wide_enough_for_many_cells(tmp_path):
    simulate(**OPTIONS, path=tmp_path / "cells.zarr")
    group = zarr.open_group(tmp_path / "cells.zarr", mode="r")
    assert group["X"]["indptr"].dtype == group["layers/counts"]["indptr"].dtype == np.int64


@pytest.mark.parametrize("suffix", READ)
def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch, suffix):
    block = model.Expression.block

    def fail_in_the_second(self, k):
        if k == 1:
            raise OSError("disk is full")
        return block(self, k)

    monkeypatch.setattr(model.Expression, "block", fail_in_the_second)
    with pytest.raises(OSError, match="disk is full"):
        simulate(**OPTIONS, path=tmp_path / f"cells{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_only_the_finished_file_is_left(tmp_path):
    simulate(**OPTIONS, path=tmp_path / "cells.h5ad")
    assert [file.name for file in tmp_path.iterdir()] == ["cells.h5ad"]


def test_bad_paths(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .h5ad or .zarr; found 'x.csv'"):
        simulate(**OPTIONS, path="x.csv")
    (tmp_path / "x.h5ad").write_text("mine")
    with pytest.raises(FileExistsError, match="remove it or choose another"):
        simulate(**OPTIONS, path=tmp_path / "x.h5ad")
    assert (tmp_path / "x.h5ad").read_text() == "mine"
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        simulate(**OPTIONS, path=tmp_path / "no" / "x.h5ad")


def test_memory_does_not_hold_the_matrix(tmp_path):
    options = {"n_vars": 500, "n_regulators": 4, "connectivity": 0.05, "progress": False}
    peaks = []
    for n_obs in (5_000, 20_000):
        tracemalloc.start()
        simulate(n_obs, **options, path=tmp_path / f"{n_obs}.h5ad")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    per_cell = (peaks[1] - peaks[0]) / 15_000
    assert per_cell < 500  # bytes; a dense row has 2000, a name and the activities far less
