"""Comparisons and tables of a fit, from the shell."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

import grnrep as gr


def _table(path):
    text = {"sep": "\t" if ".tsv" in path.name else ",", "float_precision": "round_trip"}
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, **text)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_export_as_in_memory(grnrep, fitted, tmp_path, form):
    options = ["-o", tmp_path / "tables", "--format", form, "--marginal"]
    result = grnrep("export", fitted, *options)
    assert result.exit_code == 0, result.stderr
    expected = gr.io.export(ad.read_h5ad(fitted), tmp_path / "expected", format=form, marginal=True)
    found = [Path(line) for line in result.stdout.splitlines()]
    assert [path.name for path in found] == [path.name for path in expected]
    for path, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(_table(path), _table(other), rtol=1e-4)
    refused = grnrep("export", fitted, *options)
    assert refused.exit_code == 2
    assert "choose another folder, or replace it with --overwrite" in refused.stderr


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


def test_without_samples_cells_are_compared_with_a_warning(grnrep, fitted):
    result = grnrep("rank-regulators", fitted, "--groupby", "half")
    assert result.exit_code == 0, result.stderr
    assert "cells are compared, which are no replicates" in result.stderr
    assert "by --sample=" in result.stderr
    assert "cell, no replicate" in result.stdout
