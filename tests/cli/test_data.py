"""Data are opened without reading their expression, and results are added to a copy of their file."""

from __future__ import annotations

import gzip
import warnings

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from grnrep.cli import data
from grnrep.cli.shell import bars

GIVEN = ["--sign-shrinkage=0.3", "--ridge=0.001", "--intercept=yes", "--max-iter=3", "-q"]


def _read(path):
    return ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)


@pytest.fixture(scope="module")
def rich(sources, tmp_path_factory):
    """Files that hold something in every part, as h5ad and zarr."""
    folder = tmp_path_factory.mktemp("rich")
    adata = ad.read_h5ad(sources / "data.h5ad")
    adata.layers["sparse"], adata.layers["gene"] = sp.csr_matrix(adata.X), sp.csc_matrix(adata.X)
    adata.raw = adata.copy()
    adata.obsp["near"] = sp.eye(adata.n_obs, format="csr")
    adata.obs["kind"] = pd.Categorical(["a", "b", None] * 20)
    adata.uns["old"] = {"number": 1}
    adata.write_h5ad(folder / "data.h5ad")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Writing zarr v2")
        adata.write_zarr(folder / "data.zarr")
    return folder


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("source", ["h5ad", "zarr"])
@pytest.mark.parametrize("target", ["h5ad", "zarr"])
def test_results_are_added_and_the_rest_stays(rich, tmp_path, source, target):
    output = tmp_path / f"out.{target}"
    with data.opened(rich / f"data.{source}") as opened:
        cells = opened.adata
        held = [cells.X, *cells.layers.values(), cells.raw.X]
        assert not any(isinstance(values, np.ndarray) or sp.issparse(values) for values in held)
        activity = pd.DataFrame(np.ones((60, 2)), index=cells.obs_names, columns=["P", "Q"])
        cells.obsm["new"] = cells.obsm["true_activity"] = activity
        cells.varm["new"] = sp.csr_matrix(np.ones((40, 2)))
        cells.uns["new"] = {"table": activity, "none": np.array([], dtype=object)}
        del cells.uns["old"]
        data.write_results(opened, output)
    before, after = _read(rich / "data.h5ad"), _read(output)
    for name in ("new", "true_activity"):
        pd.testing.assert_frame_equal(after.obsm[name], activity, check_column_type=False)
    assert set(after.uns) == {"new"}
    np.testing.assert_array_equal(after.varm["new"].toarray(), 1)
    np.testing.assert_array_equal(after.X, before.X)
    for name in ("sparse", "gene"):
        assert (after.layers[name] != before.layers[name]).nnz == 0
    np.testing.assert_array_equal(after.raw.X, before.raw.X)
    assert (after.obsp["near"] != before.obsp["near"]).nnz == 0
    pd.testing.assert_frame_equal(after.obs, before.obs)


def test_a_file_of_before_elements_is_read_as_a_whole(rich, tmp_path):
    path = tmp_path / "old.h5ad"
    path.write_bytes((rich / "data.h5ad").read_bytes())
    with h5py.File(path, "r+") as file:
        del file.attrs["encoding-type"], file.attrs["encoding-version"]
    with data.opened(path) as opened:
        assert isinstance(opened.adata.X, np.ndarray)
        opened.adata.uns["new"] = 1
        data.write_results(opened, tmp_path / "out.h5ad")
    assert _read(tmp_path / "out.h5ad").uns["new"] == 1


@pytest.mark.usefixtures("quick_choices")
@pytest.mark.parametrize(("form", "layer"), [("h5ad", "gene"), ("zarr", "sparse")])
def test_layers_are_fitted_where_they_lie(grnrep, work, rich, form, layer):
    found = []
    for options in ([], ["--layer", layer]):
        output = f"out{len(found)}.h5ad"
        command = ["fit", rich / f"data.{form}", "net.csv", "-o", output]
        result = grnrep(*command, *GIVEN, *options)
        assert result.exit_code == 0, result.stderr
        found.append(ad.read_h5ad(output).obsm["grnrep"].to_numpy())
    np.testing.assert_allclose(found[1], found[0], atol=1e-4 * found[0].std())


@pytest.mark.usefixtures("quick_choices")
def test_a_model_and_a_store_without_a_copy_of_the_data(grnrep, work):
    outputs = ["--model", "model.zarr", "--activity-store", "activity.zarr"]
    result = grnrep("fit", "data.h5ad", "net.csv", *outputs, *GIVEN)
    assert result.exit_code == 0, result.stderr
    both = ["--activity-store", "new.zarr", "-o", "new_fitted.h5ad", "--block-size", 7, "-q"]
    result = grnrep("transform", "data.h5ad", "model.zarr", *both)
    assert result.exit_code == 0, result.stderr
    fitted, projected = ad.read_zarr(work / "activity.zarr"), ad.read_zarr(work / "new.zarr")
    assert list(fitted.obs_names) == list(ad.read_h5ad("data.h5ad").obs_names)
    np.testing.assert_allclose(fitted.X, projected.X, atol=2e-3 * fitted.X.std())  # other blocks
    np.testing.assert_array_equal(ad.read_h5ad("new_fitted.h5ad").obsm["grnrep"], projected.X)
    assert "grnrep" in zarr.open_group(work / "model.zarr", mode="r").attrs["key"]


@pytest.mark.parametrize("form", ["csv", "tsv", "csv.gz", "parquet"])
def test_networks_packed_or_piped(grnrep, work, form):
    net = pd.read_csv("net.csv")
    if form == "parquet":
        net.to_parquet("again.parquet")
    else:
        net.to_csv(f"again.{form}", index=False, sep="\t" if form == "tsv" else ",")
    wanted = grnrep("check-network", "data.h5ad", "net.csv")
    named = grnrep("check-network", "data.h5ad", f"again.{form}")
    piped = grnrep("check-network", "data.h5ad", "-", input=(work / f"again.{form}").read_bytes())
    assert named.stdout == piped.stdout == wanted.stdout != ""
    assert (gzip.compress(b"")[:2] == (work / f"again.{form}").read_bytes()[:2]) is ("gz" in form)


def test_bars_are_for_those_who_look_on(monkeypatch):
    assert not bars(quiet=False)  # a test has no terminal
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert bars(quiet=False)
    assert not bars(quiet=True)
