"""What is no model, or a damaged one, is recognised, whichever of its files it is about."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import zarr
from anndata.io import write_elem
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr

pytestmark = pytest.mark.usefixtures("quick_choices")


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


def _edit_attributes(model, **changed):
    """Change attributes of a model as somebody would who knows of the checksum; None drops one."""
    document = json.loads((model / "zarr.json").read_text())
    document["attributes"] |= changed
    attributes = {
        name: value for name, value in document["attributes"].items() if value is not None
    }
    attributes["sha256"] = gr.io.store.checksum(model, attributes)
    (model / "zarr.json").write_text(json.dumps(document | {"attributes": attributes}))


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


def test_load_refuses_hidden_files_and_says_what_to_remove(model):
    for name in (".DS_Store", "record/.nfs0001", "record/.hidden/zarr.json"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text("{}")
        _refuses(model, ValueError, "is damaged", "(remove what is hidden: ")
        (model / name).unlink()
        if ".hidden" in name:
            (model / name).parent.rmdir()
    assert gr.io.load(model).n_obs == 0


@pytest.mark.parametrize(
    "name", ["record/network/zarr.json", "record/network", "record/params/likelihood/c", "x"]
)
def test_load_refuses_links_even_to_what_was_there(model, name):
    if (model / name).exists():
        (model / name).rename(model.parent / "elsewhere")
    (model / name).symlink_to(model.parent / "elsewhere")
    _refuses(model, ValueError, f"has '{name}', a link or device")


@pytest.mark.parametrize("version", ["1", True, 1.5, None, [], {}, 0, -1])
def test_load_refuses_an_odd_format_version(model, version):
    _edit_attributes(model, format_version=version)
    _refuses(model, ValueError, "is damaged: its format_version is", repr(version))


@pytest.mark.parametrize("key", [None, "", "a/b", 3, True])
def test_load_refuses_an_odd_key(model, key):
    _edit_attributes(model, key=key)
    _refuses(model, ValueError, "is damaged: key must be")


def test_load_refuses_attributes_that_no_model_has(model):
    _edit_attributes(model, key=["grnrep"])
    _refuses(model, ValueError, "is damaged: it has 'key', as no model does")
    document = json.loads((model / "zarr.json").read_text())
    (model / "zarr.json").write_text(json.dumps(document | {"consolidated_metadata": {}}))
    _refuses(
        model, ValueError, "is damaged: it has 'consolidated_metadata', 'key', as no model does"
    )


def test_load_refuses_a_record_of_a_later_version(model):
    """Of the present format, but with what this version cannot know."""
    version = model / "record" / "params" / "version"
    group = zarr.open_group(model / "record" / "params", mode="r+")
    del group["version"]
    write_elem(group, "version", "9.1.0")
    assert version.exists()
    _edit_attributes(model)
    _refuses(
        model,
        ValueError,
        "is whole, but cannot be used",
        "written by grnrep 9.1.0",
        "Update grnrep",
    )


def test_load_refuses_a_record_without_a_part(model):
    del zarr.open_group(model, mode="r+")["record/params"]
    _edit_attributes(model)
    _refuses(model, ValueError, "is whole, but cannot be used", "lacks 'params'", "grnrep.tl.fit")


ODD = [None, True, -1, 0, 2, 2.5, 1e300, "x", "", [], ["x"], {}, {"name": "x"}, [[[]]]]


@st.composite
def edited_metadata(draw, files):
    """A metadata file of a model, and its content with one value replaced or dropped, at any depth."""
    name = draw(st.sampled_from(sorted(files)))
    document = part = json.loads(files[name])
    for _ in range(draw(st.integers(0, 4))):
        inner = [
            key for key in (part if isinstance(part, dict) else ()) if isinstance(part[key], dict)
        ]
        if not inner:
            break
        part = part[draw(st.sampled_from(inner))]
    if part:
        key = draw(st.sampled_from(sorted(part)))
        if draw(st.booleans()):
            part[key] = draw(st.sampled_from(ODD))
        else:
            del part[key]
    return name, json.dumps(document).encode()


@pytest.mark.filterwarnings("ignore:Element|Object at")  # of what is no longer what it was
@settings(deadline=None, max_examples=25, derandomize=True)
@given(data=st.data())
def test_edited_metadata_are_refused_or_do_no_harm(fitted, whole, data):
    """Whoever edits a model can mend its checksum too."""
    model, files = whole
    name, content = data.draw(
        edited_metadata({n: c for n, c in files.items() if n.endswith("zarr.json")})
    )
    (model / name).write_bytes(content)
    attributes = json.loads((model / "zarr.json").read_bytes()).get("attributes")
    if isinstance(attributes, dict):
        _edit_attributes(model)
    found = _message_or_activity(model, fitted[1])
    for name, content in files.items():
        (model / name).write_bytes(content)
    assert str(model) in found if isinstance(found, str) else np.isfinite(found).all(axis=None)


def _message_or_activity(model, new):
    """The message of an error that may come, or activities of new cells."""
    try:
        found = gr.io.load(model)
    except ValueError as error:
        return str(error)
    key = next(iter(found.uns))
    return gr.tl.transform(new, found, key=key, progress=False, copy=True).obsm[key]


@pytest.fixture(scope="module")
def whole(fitted, tmp_path_factory):
    """Path and files of a model."""
    model = tmp_path_factory.mktemp("whole") / "model.zarr"
    gr.io.save(fitted[0], model)
    return model, _files(model)


def test_load_refuses_json_without_end(model):
    deep = '{"attributes": {"format": "grnrep-model", "x": %s}}'
    (model / "zarr.json").write_text(deep % ("[" * 100_000 + "]" * 100_000))
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
        model,
        ValueError,
        "is whole, but could not be read",
        gr.__version__,
        "Update grnrep and anndata",
    )
