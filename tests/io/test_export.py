"""Tables that other programs read: what they say is what the fit says."""

from __future__ import annotations

import pandas as pd
import pytest

import grnrep as gr

QUICK = {"ridge": 0.1, "sign_shrinkage": 0.0, "max_iter": 3, "progress": False}


@pytest.fixture(scope="module")
def fitted(small):
    adata, net = small()
    few = pd.DataFrame({"source": "few", "target": adata.var_names[:2], "weight": 1.0})
    gr.tl.fit(adata, pd.concat([net, few]), **QUICK)
    return adata


def _read(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, index_col=None if path.name.startswith("network") else 0)


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_tables_come_back(fitted, tmp_path, form):
    paths = gr.io.export(fitted, tmp_path / "new" / "tables", format=form)
    assert sorted(p.name for p in (tmp_path / "new" / "tables").iterdir()) == sorted(
        p.name for p in paths
    )
    found = {path.name.removesuffix(f".{form}"): _read(path) for path in paths}
    loose = {"check_dtype": False, "check_names": False, "check_exact": False}
    pd.testing.assert_frame_equal(found["activity"], fitted.obsm["grnrep"], **loose)
    pd.testing.assert_frame_equal(found["network"], gr.get.network(fitted), **loose)
    record = fitted.uns["grnrep"]
    for name in ("regulators", "genes", "dropped_regulators"):
        pd.testing.assert_frame_equal(found[name], record[name], **loose)


def test_errors_of_activities_are_there_if_there_are_any(fitted, tmp_path):
    adata = fitted.copy()
    adata.obsm["grnrep_sd"] = adata.obsm["grnrep"] * 0 + 0.5
    paths = gr.io.export(adata, tmp_path)
    sd = pd.read_csv(tmp_path / "activity_sd.csv", index_col=0)
    assert tmp_path / "activity_sd.csv" in paths
    assert (sd == 0.5).all(axis=None)
    assert list(sd.columns) == list(adata.obsm["grnrep"].columns)


def test_marginal_scores_are_written_where_asked_for(fitted, tmp_path):
    gr.io.export(fitted, tmp_path, marginal=True)
    found = pd.read_csv(tmp_path / "activity_marginal.csv", index_col=0)
    expected = gr.get.activity(fitted, marginal=True).to_df()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_names=False)


def test_a_packed_table_is_the_same_whenever_it_is_written(fitted, tmp_path):
    one, two = (gr.io.export(fitted, tmp_path / name, format="csv.gz") for name in "ab")
    assert [path.read_bytes()[:10] for path in one] == [path.read_bytes()[:10] for path in two]


def test_nothing_is_replaced_unless_asked(fitted, tmp_path):
    gr.io.export(fitted, tmp_path)
    before = (tmp_path / "network.csv").read_bytes()
    (tmp_path / "activity.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"activity\.csv' exists; .* overwrite=True"):
        gr.io.export(fitted, tmp_path)
    assert (tmp_path / "activity.csv").read_text() == "mine"
    gr.io.export(fitted, tmp_path, overwrite=True)
    assert (tmp_path / "network.csv").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="is a file"):
        gr.io.export(fitted, tmp_path / "file")


def test_what_cannot_be_exported_is_said(small, fitted, tmp_path):
    with pytest.raises(ValueError, match=r"format must be one of 'csv', 'csv.gz', 'parquet'"):
        gr.io.export(fitted, tmp_path, format="xlsx")
    with pytest.raises(KeyError, match=r"is no fit in adata\.uns"):
        gr.io.export(small()[0], tmp_path)
    assert not list(tmp_path.iterdir())
