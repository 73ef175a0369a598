"""What cannot be done is said in a paragraph, with exit code 2, and changes no file."""

from __future__ import annotations

import shutil

import anndata as ad
import pandas as pd
import pytest

import grnrep as gr

pytestmark = pytest.mark.usefixtures("quick_choices")

FIT = ["fit", "data.h5ad", "net.csv", "-o", "out.h5ad"]
SIMULATE = ["simulate", "-o", "x.h5ad", "--network-output", "n.csv", "--n-obs=9"]


def _check_refused(result, fragments):
    """Check that this ended with one paragraph that has the fragments."""
    assert result.exit_code == 2, result.output
    paragraph = result.stderr.splitlines()[-1]
    assert paragraph.startswith("error: ")
    for fragment in fragments:
        assert fragment in paragraph
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        # inputs
        (["fit", "data.h5ad", "lost.csv", "-o", "out.h5ad"], ["'lost.csv' does not exist"]),
        (["fit", "data.h5ad", "net", "-o", "out.h5ad"], ["found no extension"]),
        (
            ["fit", "data.h5ad", "junk.parquet", "-o", "out.h5ad"],
            ["'junk.parquet' could not be read"],
        ),
        (["transform", "new.h5ad", "junk.h5ad", "-o", "o.h5ad"], ["'junk.h5ad' could not be read"]),
        # outputs
        ([*FIT[:4], "data.h5ad"], ["'data.h5ad' exists", "--overwrite"]),
        ([*FIT[:4], "junk.zarr", "--overwrite"], ["'junk.zarr' exists and is no .zarr data"]),
        ([*FIT[:4], "folder.h5ad", "--overwrite"], ["'folder.h5ad' exists and is no .h5ad data"]),
        (["transform", "new.h5ad", "data.h5ad", "-o", "new.h5ad"], ["'new.h5ad' exists"]),
        (["transform", "new.h5ad", "data.h5ad"], ["give --output", "than that --activity-store"]),
        ([*FIT[:3], "--activity-store", "here.h5ad"], ["must end in .zarr", "'here.h5ad'"]),
        (["evaluate", "data.h5ad", "--csv", "net.csv"], ["'net.csv' exists"]),
        (["check-network", "data.h5ad", "net.csv", "--csv", "x.txt"], ["'x.txt' must end in"]),
        (["simulate", "-o", "new.h5ad", "--network-output", "n.csv"], ["'new.h5ad' exists"]),
        (["simulate", "-o", "x.h5ad", "--network-output", "net.csv"], ["'net.csv' exists"]),
        (["demo", "--output-dir", "net.csv"], ["'net.csv' exists and is no folder"]),
        (["export", "data.h5ad", "-o", "net.csv"], ["'net.csv' is a file; choose another name"]),
        # what the verbs refuse
        ([*FIT, "--solver", "magic"], ["--solver must be one of 'exact', 'gradient'"]),
        (
            [*FIT, "--solver", "gradient", "--ridge", "1"],
            ["--ridge is an option of --solver exact"],
        ),
        ([*FIT, "--max-cells", "most"], ["--max-cells must be auto, all or a whole number"]),
        ([*FIT, "--block-size", "0"], ["--block-size must be at least 1; found 0"]),
        ([*FIT, "--stratify", "lost"], ["--stratify='lost' is not in obs of 'data.h5ad'"]),
        (["evaluate", "data.h5ad"], ["--key='grnrep' is not in obsm of", "'true_activity'"]),
        (["export", "data.h5ad", "-o", "tables"], ["--key='grnrep' is no fit in uns of"]),
        (["report", "data.h5ad", "-o", "x.html"], ["--key='grnrep' is no fit in uns of"]),
        ([*SIMULATE, "--connectivity", "2"], ["--connectivity must be at most 1; found 2.0"]),
        ([*SIMULATE, "--counts", "nbinom"], ["--counts must be one of 'poisson', 'nb'"]),
        (
            ["validate", "mars"],
            ["NAME must be one of yeast, ecoli, load-study, ", "; found 'mars'"],
        ),
        (["validate", "yeast", "--data-dir", "lost"], ["zev_expression.tsv is missing"]),
    ],
    ids=lambda value: " ".join(value) if value[0].isalpha() else "",
)
def test_refusal(grnrep, work, listing, arguments, fragments):
    (work / "junk.h5ad").write_text("no data")
    (work / "junk.parquet").write_text("no data")
    (work / "junk.zarr").mkdir()
    (work / "junk.zarr" / "letter.txt").write_text("dear")
    (work / "folder.h5ad").mkdir()
    before = listing()
    result = grnrep(*arguments)
    _check_refused(result, fragments)
    assert listing() == before


@pytest.mark.parametrize("arguments", [["fit", "data.h5ad"], ["demo", "--n-obs", "1"], ["lost"]])
def test_wrong_use_has_exit_code_2(grnrep, work, listing, arguments):
    before = listing()
    assert grnrep(*arguments).exit_code == 2
    assert listing() == before


def test_debug_shows_where(grnrep, work):
    arguments = ["fit", "lost.h5ad", "net.csv", "-o", "out.h5ad"]
    for result in (grnrep("--debug", *arguments), grnrep(*arguments, env={"GRNREP_DEBUG": "1"})):
        assert isinstance(result.exception, FileNotFoundError)
        assert result.exit_code == 1


def test_a_defect_keeps_its_traceback(grnrep, work, monkeypatch):
    def broken(*args, **kwargs):
        raise AttributeError("a defect")

    monkeypatch.setattr("grnrep.tl.fit", broken)
    assert isinstance(grnrep(*FIT).exception, AttributeError)


@pytest.fixture(scope="module")
def models(fitted, tmp_path_factory):
    """Folder with ``model.zarr``, of the key "mine", and the damaged ``bad.zarr``."""
    folder = tmp_path_factory.mktemp("models")
    adata = ad.read_h5ad(fitted)
    adata.uns["mine"] = adata.uns.pop("grnrep")
    gr.io.save(adata, folder / "model.zarr", key="mine")
    shutil.copytree(folder / "model.zarr", folder / "bad.zarr")
    (folder / "bad.zarr" / "record" / "network" / "zarr.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ([*FIT, "--model", "model.zarr"], ["'model.zarr' exists", "--overwrite"]),
        ([*FIT, "--model", "junk.zarr", "--overwrite"], ["'junk.zarr' exists and is no model"]),
        ([*FIT, "--model", "m.h5ad"], ["must end in .zarr or .zarr.zip; found 'm.h5ad'"]),
        ([*FIT, "--model", "lost/m.zarr"], ["'lost/m.zarr' is in a folder that does not exist"]),
        ([*FIT[:4], "model.zarr", "--overwrite"], ["'model.zarr' exists and is no .zarr data"]),
        (
            ["transform", "model.zarr", "model.zarr", "-o", "o.h5ad"],
            ["is a model, which has no cells"],
        ),
        (
            ["transform", "new.h5ad", "model.zarr", "-o", "o.h5ad"],
            ["--key='grnrep' is no fit", "there: 'mine'"],
        ),
        (["transform", "new.h5ad", "bad.zarr", "-o", "o.h5ad"], ["'bad.zarr' is damaged"]),
    ],
    ids=lambda value: " ".join(value) if value[0].isalpha() else "",
)
def test_refusal_of_models(grnrep, work, models, listing, arguments, fragments):
    shutil.copytree(models, work, dirs_exist_ok=True)
    (work / "junk.zarr").mkdir()
    before = listing()
    result = grnrep(*arguments)
    _check_refused(result, fragments)
    assert listing() == before


# writing


@pytest.fixture
def quick(monkeypatch):
    """Make fits take no time: they leave their key."""

    def fit(adata, net, *, key_added, **options):
        adata.uns[key_added] = len(net)

    monkeypatch.setattr("grnrep.tl.fit", fit)


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_overwrite_replaces(grnrep, work, quick, form):
    output = f"out.{form}"
    first = grnrep("fit", "data.h5ad", "net.csv", "-o", output, "--key-added", "one")
    second = grnrep(
        "fit", "data.h5ad", "net.csv", "-o", output, "--key-added", "two", "--overwrite"
    )
    assert (first.exit_code, second.exit_code) == (0, 0)
    back = ad.read_h5ad(output) if form == "h5ad" else ad.read_zarr(output)
    assert "two" in back.uns
    assert "one" not in back.uns
    assert sorted(path.name for path in work.iterdir()) == [
        "data.h5ad",
        "net.csv",
        "new.h5ad",
        output,
    ]


def test_output_may_be_the_input(grnrep, work, quick):
    assert grnrep(*FIT[:4], "data.h5ad", "--overwrite").exit_code == 0
    assert "grnrep" in ad.read_h5ad("data.h5ad").uns


def test_a_link_stays_a_link(grnrep, work, quick):
    (work / "folder").mkdir()
    (work / "folder" / "real.h5ad").write_text("old")
    (work / "out.h5ad").symlink_to(work / "folder" / "real.h5ad")
    assert grnrep(*FIT, "--overwrite").exit_code == 0
    assert (work / "out.h5ad").is_symlink()
    assert "grnrep" in ad.read_h5ad("folder/real.h5ad").uns


# interruptions


def test_interrupted_while_fitting(grnrep, work, listing, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("grnrep.tl.fit", interrupted)
    before = listing()
    result = grnrep(*FIT)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "interrupted; no file is half-written"
    assert listing() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
@pytest.mark.parametrize("exists", [True, False])
def test_stopped_while_writing(grnrep, work, quick, listing, monkeypatch, form, error, exists):
    output = f"out.{form}"
    if exists:
        assert grnrep(*FIT[:4], output).exit_code == 0
    # a copy of the file is added to; where the format changes, all is written
    place, name = (ad.io, "write_elem") if form == "h5ad" else (ad.AnnData, "write_zarr")
    whole = getattr(place, name)

    def half(*arguments):
        whole(*arguments)
        raise error

    monkeypatch.setattr(place, name, half)
    before = listing()
    result = grnrep(*FIT[:4], output, "--overwrite")
    assert result.exit_code == (130 if error is KeyboardInterrupt else 2)
    assert listing() == before


def test_a_model_stays_where_data_cannot_be_written(grnrep, work, monkeypatch):
    def failing(source, target):
        raise OSError(28, "No space left on device", str(source))

    monkeypatch.setattr(shutil, "copyfile", failing)
    given = ["--sign-shrinkage=0.3", "--ridge=0.001", "--intercept=yes", "--max-iter=3"]
    result = grnrep(*FIT, "--model", "model.zarr", *given)
    assert result.exit_code == 2
    assert "error: 'out.h5ad' could not be written: no space is left on the device" in result.stderr
    assert gr.io.load("model.zarr").n_obs == 0


def test_stopped_between_two_stores(grnrep, work, quick, listing, monkeypatch):
    assert grnrep(*FIT[:4], "out.zarr").exit_code == 0
    before = listing()
    replace = type(work).replace

    def failing(self, target):
        if target.name == "out.zarr":
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(type(work), "replace", failing)
    assert grnrep(*FIT[:4], "out.zarr", "--overwrite").exit_code == 2
    assert listing() == before


def test_simulation_interrupted_at_its_second_output(grnrep, work, listing, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupted)
    before = listing()
    assert grnrep(*SIMULATE).exit_code == 130
    assert listing() == before
