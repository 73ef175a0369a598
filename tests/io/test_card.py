"""A model in one file is the same model; its card says what it was learned from, wherever it goes."""

from __future__ import annotations

import zipfile

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import grnrep as gr
from grnrep.cli import app

pytestmark = pytest.mark.usefixtures("quick_choices")

CARD = {"data": "70 simulated cells", "network": "made up", "licence": "CC0-1.0"}


@pytest.fixture
def packed(fitted, tmp_path):
    """Path of a model in one file, with a card."""
    gr.io.save(fitted[0], tmp_path / "model.zarr.zip", card=CARD)
    return tmp_path / "model.zarr.zip"


def test_a_model_in_one_file_infers_as_the_fit_does(fitted, packed):
    adata, new = fitted
    options = {"progress": False, "copy": True}
    one, two = (gr.tl.transform(new, model, **options) for model in (adata, gr.io.load(packed)))
    pd.testing.assert_frame_equal(one.obsm["grnrep"], two.obsm["grnrep"], check_exact=True)
    assert [path.name for path in packed.parent.iterdir()] == ["model.zarr.zip"]


def test_the_same_model_is_the_same_file_and_has_the_checksum_of_its_folder(
    fitted, packed, tmp_path
):
    for name in ("again.zarr.zip", "again.zarr"):
        gr.io.save(fitted[0], tmp_path / name, card=CARD)
    assert (tmp_path / "again.zarr.zip").read_bytes() == packed.read_bytes()
    folder, file = (gr.io.card(path)["sha256"] for path in (tmp_path / "again.zarr", packed))
    assert folder == file


def test_a_damaged_file_is_refused_by_its_own_name(packed):
    content = packed.read_bytes()
    for bad in (content[: len(content) // 2], b"PK\x05\x06" + bytes(18)):
        packed.write_bytes(bad)
        with pytest.raises(ValueError, match=r"is damaged|no zarr store") as caught:
            gr.io.load(packed)
        assert str(packed) in str(caught.value)


def test_whatever_byte_is_changed_a_file_is_refused_or_the_same(fitted, packed):
    content, wanted = packed.read_bytes(), gr.io.load(packed).uns["grnrep"]["network"]
    for place in np.linspace(0, len(content) - 1, 30).astype(int):
        changed = bytes([content[place] ^ 1])
        packed.write_bytes(content[:place] + changed + content[place + 1 :])
        said = None
        try:
            found = gr.io.load(packed).uns["grnrep"]["network"]
        except ValueError as error:
            said, found = str(error), wanted
        assert said is None or str(packed) in said
        pd.testing.assert_frame_equal(found, wanted)  # a date, say, is no part of the model


def test_a_file_that_would_write_elsewhere_is_refused(packed, tmp_path):
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../../escaped", "x")
    with pytest.raises(ValueError, match="is damaged"):
        gr.io.load(packed)
    assert not list(tmp_path.rglob("escaped"))
    assert not list(tmp_path.parent.glob("escaped"))


def test_only_a_model_is_replaced(fitted, packed, tmp_path):
    with pytest.raises(FileExistsError, match="choose another name, or overwrite it"):
        gr.io.save(fitted[0], packed)
    gr.io.save(fitted[0], packed, overwrite=True)
    assert "data" not in gr.io.card(packed)
    with zipfile.ZipFile(tmp_path / "other.zarr.zip", "w") as archive:
        archive.writestr("letter", "dear")
    with pytest.raises(FileExistsError, match="is no model"):
        gr.io.save(fitted[0], tmp_path / "other.zarr.zip", overwrite=True)


def test_the_card_says_what_was_given_and_what_the_fit_knows(fitted, packed):
    adata = fitted[0]
    card = gr.io.card(packed)
    kept = adata.uns["grnrep"]
    known = {
        "key": "grnrep",
        "likelihood": kept["params"]["likelihood"],
        "cells": 70,
        "load": kept["params"]["effective_load"],
        "genes": len(kept["genes"]),
        "regulators": len(kept["regulators"]),
        "edges": len(kept["network"]),
        "grnrep": gr.__version__,
    }
    assert {name: card[name] for name in (*CARD, *known)} == {**CARD, **known}
    assert "card" not in kept  # saving changes nothing


def test_the_card_goes_with_the_decoder(fitted, packed, tmp_path):
    new = fitted[1].copy()
    gr.tl.transform(new, gr.io.load(packed), progress=False)
    gr.io.save(new, tmp_path / "next.zarr")
    assert gr.io.card(tmp_path / "next.zarr")["licence"] == CARD["licence"]
    gr.io.save(new, tmp_path / "own.zarr", card={"licence": "MIT"})
    card = gr.io.card(tmp_path / "own.zarr")
    assert card["licence"] == "MIT"
    assert "data" not in card


@pytest.mark.parametrize(
    ("card", "error", "fragments"),
    [
        ("CC0", TypeError, ["card must be a mapping", "found str"]),
        ({"license": "MIT"}, ValueError, ["card can have 'data'", "'licence'", "found 'license'"]),
        ({"licence": " "}, ValueError, ["card must have text under 'licence'", "' '"]),
        ({"data": 3}, ValueError, ["card must have text under 'data'", "found 3"]),
    ],
)
def test_save_refuses_a_card_that_says_nothing(fitted, tmp_path, card, error, fragments):
    with pytest.raises(error) as caught:
        gr.io.save(fitted[0], tmp_path / "model.zarr", card=card)
    assert all(fragment in str(caught.value) for fragment in fragments)
    assert not list(tmp_path.iterdir())


def test_the_command_line_takes_it(fitted, packed, tmp_path):
    fitted[1].write_h5ad(tmp_path / "new.h5ad")
    words = ["transform", *(str(tmp_path / name) for name in ("new.h5ad", "model.zarr.zip"))]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out.h5ad"), "--quiet"])
    assert done.exit_code == 0, done.output
    wanted = gr.tl.transform(fitted[1], fitted[0], progress=False, copy=True).obsm["grnrep"]
    got = sc.read_h5ad(tmp_path / "out.h5ad").obsm["grnrep"]
    pd.testing.assert_frame_equal(got, wanted, check_exact=True)


def test_the_decoder_that_comes_along_knows_the_lineages_of_blood():
    model = gr.ds.decoder("blood_cells")
    assert set(model.uns["grnrep"]["card"]) == {"data", "network", "licence", "reference"}
    cells = sc.datasets.pbmc68k_reduced()
    gr.tl.transform(cells, model, use_raw=True, progress=False)
    labels = cells.obs["bulk_labels"]
    lineages = {"EBF1": ["CD19+ B"], "SPI1": ["CD14+ Monocyte", "Dendritic"]}
    areas = [
        roc_auc_score(labels.isin(of), cells.obsm["grnrep"][tf]) for tf, of in lineages.items()
    ]
    assert np.min(areas) > 0.8


def test_a_decoder_that_nobody_made():
    with pytest.raises(ValueError, match="name must be one of 'blood_cells'; found 'liver'"):
        gr.ds.decoder("liver")


def test_a_model_that_comes_along_goes_by_its_name_unless_something_lies_there(
    fitted, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    model = gr.io.load("blood_cells")
    assert list(model.var_names) == list(gr.ds.decoder("blood_cells").var_names)
    assert gr.io.card("blood_cells")["licence"] == "CC-BY-4.0"
    with pytest.raises(
        FileNotFoundError, match=r"'blood_cell' does not exist; models .* 'blood_cells'"
    ):
        gr.io.load("blood_cell")
    with pytest.raises(FileNotFoundError, match=r"'lost\.zarr' does not exist$"):
        gr.io.load("lost.zarr")
    (tmp_path / "blood_cells").mkdir()  # what is there wins, whatever it is
    with pytest.raises(ValueError, match="is no zarr store"):
        gr.io.load("blood_cells")
    gr.io.save(fitted[0], "kept.zarr")
    (tmp_path / "blood_cells").rmdir()
    (tmp_path / "kept.zarr").rename("blood_cells")
    assert list(gr.io.load("blood_cells").var_names) != list(model.var_names)
