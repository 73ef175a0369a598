"""What is no model, or a damaged one, is recognised, whichever of its files it is about."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import pytest
import zarr

import grnrep as gr


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _refuses(path, error, *fragments):
    with pytest.raises(error) as caught:
        gr.io.load(path)
    for fragment in (str(path), *fragments):
        assert fragment in str(caught.value)


@pytest.mark.filterwarnings("ignore:zarr v3|Writing zarr v2|Consolidated")  # of writing data
def test_load_refuses_what_is_no_model(fitted, tmp_path):
    _refuses(tmp_path / "lost.zarr", FileNotFoundError, "does not exist")
    (tmp_path / "file.zarr").write_text("dear")
    _refuses(tmp_path / "file.zarr", ValueError, "is no zarr store", "grnrep.io.save")
    (tmp_path / "folder.zarr").mkdir()
    _refuses(tmp_path / "folder.zarr", ValueError, "is no zarr store")
    for version in (2, 3):
        path = tmp_path / f"data{version}.zarr"
        with ad.settings.override(zarr_write_format=version):
            fitted[0].write_zarr(path)
        _refuses(path, ValueError, "no model", "anndata.read_zarr")
        zarr.open_group(tmp_path / f"other{version}.zarr", mode="w", zarr_format=version)
        _refuses(tmp_path / f"other{version}.zarr", ValueError, "no model")
    with pytest.raises(TypeError, match="path must be a string or a Path; found int"):
        gr.io.load(3)


def test_load_refuses_a_newer_format(model):
    zarr.open_group(model, mode="r+").attrs.update(format_version=2, grnrep_version="9.1.0")
    _refuses(model, ValueError, "format 2", "grnrep 9.1.0", "Update grnrep")


def test_load_refuses_any_missing_file(model):
    for name, content in _files(model).items():
        (model / name).unlink()
        _refuses(model, ValueError, "no zarr store" if name == "zarr.json" else "is damaged")
        (model / name).write_bytes(content)
    assert gr.io.load(model).n_obs == 0


def test_load_refuses_any_truncated_or_changed_file(model):
    for name, content in _files(model).items():
        middle = len(content) // 2
        for bad in (
            content[:middle],
            content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        ):
            (model / name).write_bytes(bad)
            with pytest.raises(ValueError, match=r"is damaged|no model"):
                gr.io.load(model)
        (model / name).write_bytes(content)
    assert gr.io.load(model).n_obs == 0


def test_load_refuses_additions_and_changed_attributes(model):
    (model / "record" / "more").write_text("more")
    _refuses(model, ValueError, "is damaged")
    (model / "record" / "more").unlink()
    (model / "record" / "network").rename(model / "record" / "moved")
    _refuses(model, ValueError, "is damaged")
    (model / "record" / "moved").rename(model / "record" / "network")
    assert gr.io.load(model).n_obs == 0
    zarr.open_group(model, mode="r+").attrs.update(key="another")
    _refuses(model, ValueError, "is damaged")


@pytest.mark.parametrize("metadata", ["[]", '{"attributes": 3}', '{"attributes": {"format": '])
def test_load_refuses_metadata_that_are_none(model, metadata):
    (model / "zarr.json").write_text(metadata)
    _refuses(model, ValueError, "is damaged")


def test_load_says_that_a_whole_model_cannot_be_read(model):
    """As of one by a later anndata, with encodings that are not known yet."""
    gr.io.load(model)
    metadata = model / "record" / "network" / "zarr.json"
    content = json.loads(metadata.read_text())
    content["attributes"]["encoding-version"] = "99"
    metadata.write_text(json.dumps(content))
    group = zarr.open_group(model, mode="r+")
    group.attrs.update(sha256=gr.io.store.checksum(model, dict(group.attrs)))
    _refuses(
        model, ValueError, "is whole, but could not be read", gr.__version__, "Update grnrep and anndata"
    )
