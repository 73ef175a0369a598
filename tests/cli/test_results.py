"""Comparisons and tables of a fit, from the shell."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grnrep as gr


def _table(path):
    text = {"sep": "\t" if ".tsv" in path.name else ",", "float_precision": "round_trip"}
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, **text)


@pytest.mark.parametrize("form", ["csv", "tsv", "csv.gz", "parquet"])
def test_export_gives_what_the_fit_has(grnrep, fitted, tmp_path, form):
    places = {name: tmp_path / f"{name}.{form}" for name in ("activities", "edges", "regulators")}
    options = [part for name, path in places.items() for part in (f"--{name}", path)]
    result = grnrep("export", fitted, *options)
    assert result.exit_code == 0, result.stderr
    adata, found = ad.read_h5ad(fitted), {name: _table(path) for name, path in places.items()}
    record = adata.uns["grnrep"]
    activity = found["activities"].set_index("cell")
    assert list(activity.index) == list(adata.obs_names)
    assert list(activity.columns) == list(adata.obsm["grnrep"].columns)
    np.testing.assert_array_equal(activity.astype(np.float32), adata.obsm["grnrep"])
    assert list(found["edges"].columns[:4]) == ["source", "target", "weight", "learned"]
    np.testing.assert_array_equal(found["edges"]["learned"], record["network"]["learned"])
    assert list(found["regulators"]["regulator"]) == list(record["regulators"].index)
    refused = grnrep("export", fitted, *options)
    assert refused.exit_code == 2
    assert "exists" in refused.stderr


def test_a_packed_table_is_the_same_whenever_it_is_written(grnrep, fitted, tmp_path):
    for name in ("one", "two"):
        assert grnrep("export", fitted, "--edges", tmp_path / f"{name}.csv.gz").exit_code == 0
    assert (tmp_path / "one.csv.gz").read_bytes()[:10] == (tmp_path / "two.csv.gz").read_bytes()[
        :10
    ]


def test_marginal_activities_are_exported(grnrep, fitted, tmp_path):
    path = tmp_path / "marginal.parquet"
    assert grnrep("export", fitted, "--activities", path, "--marginal").exit_code == 0
    alone = gr.get.activity(ad.read_h5ad(fitted), marginal=True)
    np.testing.assert_allclose(pd.read_parquet(path).set_index("cell"), alone.X, atol=1e-5)


def test_rank_regulators_as_in_memory(grnrep, fitted, tmp_path):
    options = ["--groupby", "half", "--sample", "donor", "--reference", "second", "--top", 2]
    outputs = [
        "--csv",
        tmp_path / "table.csv",
        "-o",
        tmp_path / "out.h5ad",
        "--key-added",
        "halves",
    ]
    result = grnrep("rank-regulators", fitted, *options, *outputs)
    assert result.exit_code == 0, result.stderr
    adata = ad.read_h5ad(fitted)
    gr.tl.rank_regulators(adata, "half", sample="donor", reference="second")
    table = adata.uns["rank_regulators"]
    for found in (
        _table(tmp_path / "table.csv"),
        ad.read_h5ad(tmp_path / "out.h5ad").uns["halves"],
    ):
        pd.testing.assert_frame_equal(
            found, table, check_index_type=False, check_column_type=False, check_dtype=False
        )
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:5] == ["first:", "2", "of", "4", "regulators"]
    assert [line[0] for line in lines[2:]] == list(table["regulator"][:2])
