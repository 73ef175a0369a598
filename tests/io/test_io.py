"""A model file gives back the decoder to the bit, or says why it cannot; it is whole or not there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import zarr

import grnrep as gr

pytestmark = pytest.mark.usefixtures("quick_choices")

GIVEN = {"ridge": 1e-3, "sign_shrinkage": 0.3}
FITS = {
    "signed": {},
    "unsigned": {"signed": False},
    "tobit": {"likelihood": "tobit", "intercept": False, **GIVEN},
    "tobit with intercepts": {"likelihood": "tobit", "intercept": True, **GIVEN},
    "gaussian": {"likelihood": "gaussian", "signed": False},
    "fixed penalties": {"ridge": 0.1, "sign_shrinkage": 0.5},
    "gradient": {"epochs": 5},
    "repair": {"repair": True, **GIVEN},
    "uncertainty": {"uncertainty": True, **GIVEN},
    "covariates": {"covariates": ["batch", "age"], **GIVEN},
    "covariates, signs unknown": {"covariates": "batch", "signed": False, "intercept": True},
    "everything": {
        "repair": True, "uncertainty": True, "covariates": ["batch", "age"], **GIVEN
    },
    "poisson": {"likelihood": "poisson", "counts": True},
    "nb": {"likelihood": "nb", "counts": True},
    "nb, covariates": {"likelihood": "nb", "counts": True, "covariates": "batch"},
    "other key and layer": {"key_added": "mine", "layer": "other", **GIVEN},
}  # fmt: skip


def _assert_same(one, two):
    """Same values, bits and types, all the way down."""
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert set(one) == set(two)
        for name in one:
            _assert_same(one[name], two[name])
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, two, check_exact=True, check_like=False)
    elif isinstance(one, np.ndarray):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    else:
        assert one == two


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# round trips


@pytest.mark.usefixtures("short_chain")
@pytest.mark.parametrize("name", FITS)
def test_round_trip(fit_small, tmp_path, name):
    adata, new = fit_small(**FITS[name])
    key, layer = FITS[name].get("key_added", "grnrep"), FITS[name].get("layer")
    gr.io.save(adata, tmp_path / "model.zarr", key=key)
    model = gr.io.load(str(tmp_path / "model.zarr"))
    assert list(model.uns) == [key]
    _assert_same(model.uns[key], adata.uns[key])

    genes = adata.uns[key]["genes"].index
    assert model.shape == (0, len(genes))
    pd.testing.assert_index_equal(model.var_names, genes, check_names=False)
    before = adata[:, genes].varm[key]
    assert model.varm[key].dtype == before.dtype
    np.testing.assert_array_equal(model.varm[key].toarray(), before.toarray())

    solver = {"epochs": 5} if name == "gradient" else {}
    options = {"key": key, "layer": layer, "progress": False, "copy": True, **solver}
    one, two = gr.tl.transform(new, adata, **options), gr.tl.transform(new, model, **options)
    pd.testing.assert_frame_equal(one.obsm[key], two.obsm[key], check_exact=True)
    _assert_same(one.uns[key], two.uns[key])


def test_a_loaded_model_is_saved_as_the_same_files(model, tmp_path):
    gr.io.save(gr.io.load(model), tmp_path / "again.zarr")
    assert _files(model) == _files(tmp_path / "again.zarr")


def test_what_transform_keeps_is_a_decoder_too(fitted, tmp_path):
    adata, new = fitted
    new = gr.tl.transform(new[:, 3:].copy(), adata, progress=False, copy=True)
    gr.io.save(new, tmp_path / "model.zarr")
    wanted = {name: part for name, part in adata.uns["grnrep"].items() if name != "history"}
    wanted["params"] = wanted["params"] | {"contrast": False}
    _assert_same(gr.io.load(tmp_path / "model.zarr").uns["grnrep"], wanted)


def test_nothing_of_the_cells_is_saved(fitted, model):
    cell = fitted[0].obs_names[0].encode()
    assert not any(cell in content for content in _files(model).values())
    groups = list(zarr.open_group(model, mode="r").group_keys())
    assert groups == ["record"]


def test_attributes_say_what_it_is(model):
    attributes = dict(zarr.open_group(model, mode="r").attrs)
    assert len(attributes.pop("sha256")) == 64
    about = {
        "format": "grnrep-model",
        "format_version": 1,
        "grnrep_version": gr.__version__,
        "key": "grnrep",
    }
    assert attributes == about


def test_saving_changes_nothing(fitted, digest, tmp_path):
    before = digest(fitted[0])
    assert gr.io.save(fitted[0], tmp_path / "model.zarr") is None
    assert digest(fitted[0]) == before


# what save refuses


@pytest.mark.parametrize(
    ("change", "options", "error", "fragments"),
    [
        ({}, {"path": "model.h5ad"}, ValueError, ["path must end in .zarr", "'model.h5ad'"]),
        ({}, {"path": 3}, TypeError, ["path must be a string or a Path; found int"]),
        ({}, {"path": "lost/model.zarr"}, FileNotFoundError, ["folder that does not exist"]),
        ({}, {"key": "other"}, KeyError, ["key='other' is no fit", "'grnrep'"]),
        ({}, {"key": "a/b"}, ValueError, ["key must be"]),
        ({"params": None}, {}, KeyError, ["lacks 'params'", "grnrep.tl.fit"]),
        ({"genes": None, "regulators": None}, {}, KeyError, ["lacks 'genes', 'regulators'"]),
    ],
)
def test_save_refuses(fitted, refuses, tmp_path, monkeypatch, change, options, error, fragments):
    monkeypatch.chdir(tmp_path)
    adata = fitted[0].copy()
    for name in change:
        del adata.uns["grnrep"][name]
    with refuses(error, *fragments, adata=adata):
        gr.io.save(adata, **{"path": "model.zarr", **options})
    assert list(tmp_path.iterdir()) == []


def test_save_refuses_what_is_no_adata(tmp_path):
    with pytest.raises(TypeError, match="adata must be an AnnData; found dict"):
        gr.io.save({}, tmp_path / "model.zarr")


def test_a_model_is_replaced_only_when_asked(fitted, model):
    before = _files(model)
    other = fitted[0].copy()
    other.uns["grnrep"]["network"]["learned"] *= 2
    with pytest.raises(FileExistsError, match="exists; choose another name, or overwrite it"):
        gr.io.save(other, model)
    assert _files(model) == before
    gr.io.save(other, model, overwrite=True)
    _assert_same(gr.io.load(model).uns["grnrep"], other.uns["grnrep"])
    assert [path.name for path in model.parent.iterdir()] == ["model.zarr"]


@pytest.mark.filterwarnings("ignore:zarr v3|Consolidated")  # of writing data
@pytest.mark.parametrize("what", ["file", "folder", "data", "damaged model"])
def test_anything_else_is_never_replaced(fitted, saved, tmp_path, what):
    path = tmp_path / "model.zarr"
    if what == "file":
        path.write_text("dear")
    elif what == "folder":
        path.mkdir()
        (path / "letter").write_text("dear")
    elif what == "data":
        with ad.settings.override(zarr_write_format=3):
            fitted[0].write_zarr(path)
    else:
        shutil.copytree(saved, path)
        (path / "zarr.json").write_text("{")
    before = _files(tmp_path)
    with pytest.raises(FileExistsError, match="is no model; it is not replaced"):
        gr.io.save(fitted[0], path, overwrite=True)
    assert _files(tmp_path) == before


def test_what_cannot_be_written_leaves_nothing(fitted, tmp_path):
    adata = fitted[0].copy()
    adata.uns["grnrep"]["zzz"] = object()
    with pytest.raises(Exception, match="object"):
        gr.io.save(adata, tmp_path / "model.zarr")
    assert list(tmp_path.iterdir()) == []


# failures while writing


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("step", ["write_elem", "checksum"])
def test_stopped_while_writing(fitted, saved, tmp_path, monkeypatch, exists, error, step):
    path = tmp_path / "model.zarr"
    if exists:
        shutil.copytree(saved, path)
    before = _files(tmp_path)
    save = import_module("grnrep.io.save")
    whole = getattr(save, step)

    def half(*arguments):
        whole(*arguments)
        raise error

    monkeypatch.setattr(save, step, half)
    with pytest.raises(type(error)) as caught:
        gr.io.save(fitted[0], path, overwrite=True)
    if isinstance(error, OSError):
        assert f"'{path}' could not be written: no space is left" in str(caught.value)
    assert _files(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == exists


def test_a_limit_on_the_size_of_files(model, tmp_path, monkeypatch):
    resource = pytest.importorskip(
        "resource", reason="a limit on the size of files can be set on POSIX systems only"
    )
    # Python itself would leave compiled modules cut off at the limit
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "there").mkdir()
    adata, target = gr.io.load(model), tmp_path / "there" / "model.zarr"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(OSError, match="the file is larger than allowed") as caught:
            gr.io.save(adata, target, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"'{target}' could not be written" in str(caught.value)
    assert list(target.parent.iterdir()) == []


SAVE = """
    import os, sys
    import grnrep as gr
    source, target = sys.argv[1:]
    model = gr.io.load(source)
    gr.io.save(model, target)
    with open(target + ".filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    before = sorted(os.listdir(os.path.dirname(target)))
    try:
        gr.io.save(model, target, overwrite=True)
    except OSError as error:
        print(error)
    assert sorted(os.listdir(os.path.dirname(target))) == before
    gr.io.save(gr.io.load(target), source, overwrite=True)
"""


def test_a_full_disk(model, tmp_path):
    """On a small disk of its own, which the kernel lets everyone mount in a namespace, or root only."""
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=1m tmpfs '{disk}'"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, mount], capture_output=True, timeout=60).returncode
    ):
        pytest.skip("no disk can be mounted here: unshare with a tmpfs was refused")
    before, target = _files(model), disk / "model.zarr"
    command = [*inside, mount + ' && exec "$@"', "sh", sys.executable, "-c", textwrap.dedent(SAVE)]
    arguments = [*command, model, target]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert f"'{target}' could not be written: no space is left on the device" in result.stdout
    assert _files(model) == before  # what was read back from the full disk
