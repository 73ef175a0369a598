"""No store can make the package run what is in it, whatever the version of numcodecs."""

from __future__ import annotations

import json
import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import anndata as ad
import numcodecs
import numcodecs.pickles
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata.io import read_elem

import grnrep as gr
from grnrep.io.codecs import check_codecs
from grnrep.io.store import checksum

PICKLED = {"compressor": None, "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 4}]}
COMPRESSED = {"compressor": {"id": "pickle", "protocol": 4}, "filters": [{"id": "vlen-utf8"}]}
VALUE = "uns/grnrep/params/solver"  # an array of the data whose metadata are made hostile

pytestmark = pytest.mark.filterwarnings("ignore:zarr v3|Writing zarr v2|Consolidated|Object at")


class _Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _edit(file: Path, change: dict) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """Path of a file that hostile stores make, since numcodecs is told to unpickle."""
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    return tmp_path / "code was run"


@pytest.fixture(scope="module")
def version_2(fitted, tmp_path_factory):
    """Path of data as zarr version 2, which nobody changes."""
    path = tmp_path_factory.mktemp("data") / "data.zarr"
    with ad.settings.override(zarr_write_format=2):
        fitted[0].write_zarr(path)
    return path


def _hostile_data(
    data: Path, path: Path, mark: Path, *, array=PICKLED, linked=False, consolidated=False
) -> None:
    """A copy of data whose ``VALUE`` is pickled."""
    shutil.copytree(data, path)
    (path / VALUE / "0").write_bytes(pickle.dumps(_Touch(mark)))
    if consolidated:  # zarr believes these metadata, and never looks at the others
        every = json.loads((path / ".zmetadata").read_text())
        every["metadata"][f"{VALUE}/.zarray"] |= array
        (path / ".zmetadata").write_text(json.dumps(every))
    else:
        (path / ".zmetadata").unlink()
        _edit(path / VALUE / ".zarray", array)
    if linked:
        aside = path.with_name("aside")
        (path / VALUE).rename(aside)
        (path / VALUE).symlink_to(aside)


@pytest.mark.parametrize(
    "how",
    [{}, {"array": COMPRESSED}, {"consolidated": True}, {"linked": True}],
    ids=["filter", "compressor", "consolidated", "linked"],
)
def test_a_pickle_in_data_is_not_run(fitted, version_2, tmp_path, mark, monkeypatch, how):
    from typer.testing import CliRunner

    from grnrep.cli import app

    monkeypatch.chdir(tmp_path)
    _hostile_data(version_2, tmp_path / "bad.zarr", mark, **how)
    fitted[1].write_h5ad("new.h5ad")
    pd.DataFrame({"source": ["P"], "target": ["a"]}).to_csv("net.csv", index=False)
    for command in (
        ["transform", "new.h5ad", "bad.zarr", "-o", "out.h5ad"],
        ["transform", "bad.zarr", "bad.zarr", "-o", "out.h5ad"],
        ["fit", "bad.zarr", "net.csv", "-o", "out.h5ad"],
        ["evaluate", "bad.zarr"],
        ["check-network", "bad.zarr", "net.csv"],
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2, command
        assert "'bad.zarr' was not opened" in result.stderr
        assert "'pickle'" in result.stderr
    with pytest.raises(ValueError, match="no model"):
        gr.io.load("bad.zarr")
    assert not mark.exists()
    with suppress(Exception):
        ad.read_zarr("bad.zarr")
    assert mark.exists(), "the store is harmless, and this test with it"


@pytest.mark.parametrize("group", [".", "record"])
def test_a_pickle_in_a_model_is_not_run(model, mark, group):
    """Consolidated metadata of version 3 may hold arrays of version 2."""
    about = {"encoding-type": "string", "encoding-version": "0.2.0"}
    array = {
        "zarr_format": 2,
        "shape": [],
        "chunks": [],
        "dtype": "|O",
        "fill_value": "",
        "order": "C",
    }
    every = {
        file.parent.relative_to(model / group).as_posix(): json.loads(file.read_text())
        for file in (model / group).glob("*/**/zarr.json")
    }
    value = "params/solver" if group == "record" else "record/params/solver"
    every[value] = {**array, **PICKLED, "attributes": about}
    (model / group / value / "0").write_bytes(pickle.dumps(_Touch(mark)))
    consolidated = {"kind": "inline", "must_understand": False, "metadata": every}
    _edit(model / group / "zarr.json", {"consolidated_metadata": consolidated})
    attributes = json.loads((model / "zarr.json").read_text())["attributes"]
    _edit(
        model / "zarr.json", {"attributes": {**attributes, "sha256": checksum(model, attributes)}}
    )
    with pytest.raises(ValueError, match=r"'pickle'|as no model does"):
        gr.io.load(model)
    assert not mark.exists()
    with suppress(Exception):
        read_elem(zarr.open_group(model, mode="r")["record"])
    assert mark.exists(), "the store is harmless, and this test with it"


def test_the_library_refuses_too():
    """As it does from the version on that the package asks for."""
    with pytest.raises(Exception, match=r"Pickle\.decode is disabled"):
        numcodecs.get_codec({"id": "pickle"}).decode(pickle.dumps(3))


@pytest.mark.parametrize("version", [2, 3])
def test_what_anndata_writes_is_opened(fitted, tmp_path, version):
    with ad.settings.override(zarr_write_format=version):
        fitted[0].write_zarr(tmp_path / "data.zarr")
    check_codecs(tmp_path / "data.zarr")


def test_usual_codecs_are_opened_and_others_are_named(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    codecs = zarr.codecs
    options = {"shape": (8, 8), "dtype": "f4", "chunks": (2, 2), "shards": (4, 4)}
    group.create_array("x", **options, compressors=[codecs.BloscCodec(), codecs.Crc32cCodec()])
    group["x"][:] = np.eye(8)
    check_codecs(tmp_path / "a.zarr")
    inner = tmp_path / "a.zarr" / "x" / "zarr.json"
    for name in ("pickle", "numcodecs.pickle", "json2", 3, None):
        inner.write_text(inner.read_text().replace('"blosc"', json.dumps(name)))
        with pytest.raises(ValueError, match=f"asks for the codec {name!r}"):
            check_codecs(tmp_path / "a.zarr")
        inner.write_text(inner.read_text().replace(json.dumps(name), '"blosc"'))


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "\xff"])
def test_metadata_that_cannot_be_read_are_refused(tmp_path, content):
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    (tmp_path / "a.zarr" / ".zattrs").write_bytes(content.encode("latin1"))
    with pytest.raises(ValueError, match=r"zattrs' is damaged"):
        check_codecs(tmp_path / "a.zarr")
