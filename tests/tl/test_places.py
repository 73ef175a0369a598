"""Where a fit writes is checked before any work, and held alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import grnrep as gr


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in folder.rglob("*")}  # fmt: skip


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    """A folder to work in, in which nothing may change."""
    (tmp_path / "there.zarr").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there.zarr")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    yield tmp_path
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("checkpoint", "store"),
    [
        ("a.zarr", "a.zarr"),
        ("./a.zarr", "x/../a.zarr"),
        ("there.zarr", "there.zarr/a.zarr"),
        ("link", "there.zarr/a.zarr"),
        ("there.zarr", "link/a.zarr"),
        (".", "a.zarr"),
    ],
)
def test_a_checkpoint_and_a_store_lie_apart(tiny, refuses, untouched, checkpoint, store):
    adata, net, options = tiny
    fragments = (
        f"checkpoint='{checkpoint}'",
        f"activity_store='{store}'",
        "neither inside the other",
    )
    with refuses(ValueError, *fragments, adata=adata):
        gr.tl.fit(adata, net, checkpoint=checkpoint, activity_store=store, **options)


def test_a_checkpoint_inside_a_store_that_is_there_is_refused(tiny, refuses, tmp_path):
    adata, net, options = tiny
    store = tmp_path / "a.zarr"
    where = {"checkpoint": tmp_path / "run", "activity_store": store}
    gr.tl.fit(adata.copy(), net, **where, **options)
    before = tree(tmp_path)
    with refuses(ValueError, "neither inside the other", adata=adata):
        gr.tl.fit(adata, net, **where | {"checkpoint": store / "run"}, **options)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("checkpoint", "error", "fragment"),
    [
        ("nowhere/run", ValueError, "there is no folder"),
        ("file/run", ValueError, "there is no folder"),
        ("file", ValueError, "is there already and is no checkpoint"),
        (3, TypeError, "checkpoint must be a path, or None; found int"),
    ],
)
def test_a_checkpoint_that_cannot_be_is_refused(
    tiny, refuses, untouched, checkpoint, error, fragment
):
    adata, net, options = tiny
    with refuses(error, fragment, adata=adata):
        gr.tl.fit(adata, net, checkpoint=checkpoint, **options)


@pytest.mark.parametrize("name", ["checkpoint", "activity_store"])
def test_a_second_fit_into_the_same_place_is_refused_and_the_first_ends_right(
    tiny, tmp_path, monkeypatch, name
):
    """The second begins while the first infers cells; both places are free again afterwards."""
    adata, net, options = tiny
    wanted = gr.tl.fit(adata, net, copy=True, **options)
    where = {"checkpoint": tmp_path / "run", "activity_store": tmp_path / "a.zarr"}
    infer, refused = gr.tl._infer.infer_cells, []

    def meanwhile(*args, **given):
        if not refused:
            refused.append(True)
            with pytest.raises(
                ValueError, match=rf"{name}=.* is being written by another run: process"
            ):
                gr.tl.fit(
                    adata[::-1].copy(), net, **{name: where[name]}, **options | {"ridge": 1e-2}
                )
            with pytest.raises(
                ValueError, match=r"activity_store=.* is being written by another run"
            ):
                gr.tl.transform(adata.copy(), wanted, activity_store=where["activity_store"])
        return infer(*args, **given)

    monkeypatch.setattr(gr.tl._infer, "infer_cells", meanwhile)
    found = gr.tl.fit(adata, net, copy=True, **where, **options)
    assert refused
    np.testing.assert_array_equal(
        np.asarray(found.obsm["grnrep"]), wanted.obsm["grnrep"].to_numpy()
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    with pytest.raises(ValueError, match="exists already"):
        gr.tl.transform(
            adata.copy(), wanted, activity_store=where["activity_store"], progress=False
        )
    gr.tl.transform(adata.copy(), wanted, activity_store=tmp_path / "b.zarr", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "b.zarr"]
