"""Whatever happens to the files of a checkpoint, a fit that goes on from it ends right or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr

FILES = ("run.json", "choices.step", "learned.step", "block-0.step", "block-1.step")


@pytest.fixture(scope="module")
def begun(tiny, begin, tmp_path_factory):
    """A checkpoint with two blocks, and the result of a whole fit."""
    adata, net, options = tiny
    path = tmp_path_factory.mktemp("begun") / "run"
    begin(adata.copy(), net, path, 2, **options)
    assert sorted(part.name for part in path.iterdir()) == sorted(FILES)
    return path, gr.tl.fit(adata, net, copy=True, **options)


def flip(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)


def truncate(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def make_folder(path: Path, share: float) -> None:
    path.unlink()
    path.mkdir()


def replace_by_another(path: Path, share: float) -> None:
    others = [part for part in sorted(path.parent.iterdir()) if part != path]
    shutil.copy(others[int(share * len(others))], path)


def append(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes() + b"0")


DAMAGES = (flip, truncate, make_folder, replace_by_another, append)


def fit(tiny, path: Path):
    return gr.tl.fit(tiny[0], tiny[1], checkpoint=path, copy=True, **tiny[2])


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    name=st.sampled_from(FILES),
    damage=st.sampled_from(DAMAGES),
    share=st.floats(0, 1, exclude_max=True, width=32),
)
def test_a_damaged_file_is_refused(tiny, begun, name, damage, share):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(begun[0], Path(folder, "run")))
        damage(path / name, share)
        with pytest.raises(
            ValueError, match=f"is damaged: {name} is not as it was written. Remove"
        ):
            fit(tiny, path)


@pytest.mark.parametrize(
    "names", [FILES[1:2], FILES[2:3], FILES[3:4], FILES[3:], FILES[1:]], ids=str
)
def test_a_step_that_was_removed_is_done_again(tiny, begun, tmp_path, names):
    path = Path(shutil.copytree(begun[0], tmp_path / "run"))
    for name in names:
        (path / name).unlink()
    found = fit(tiny, path)
    pd.testing.assert_frame_equal(found.obsm["grnrep"], begun[1].obsm["grnrep"])
    pd.testing.assert_frame_equal(found.uns["grnrep"]["genes"], begun[1].uns["grnrep"]["genes"])
    assert list(tmp_path.iterdir()) == []


def test_steps_without_the_run_that_they_belong_to_are_refused(tiny, begun, tmp_path):
    path = Path(shutil.copytree(begun[0], tmp_path / "run"))
    (path / "run.json").unlink()
    with pytest.raises(ValueError, match=r"is damaged: run\.json"):
        fit(tiny, path)


def test_a_step_of_another_run_is_refused(tiny, begun, begin, tmp_path):
    adata, net, options = tiny
    begin(adata.copy(), net, tmp_path / "other", 1, **options | {"ridge": 2e-3})
    path = Path(shutil.copytree(begun[0], tmp_path / "run"))
    shutil.copy(tmp_path / "other" / "block-0.step", path)
    with pytest.raises(ValueError, match=r"is damaged: block-0\.step"):
        fit(tiny, path)


def test_what_is_not_of_the_checkpoint_stays(tiny, begun, tmp_path, caplog):
    path = Path(shutil.copytree(begun[0], tmp_path / "run"))
    (path / "thesis.txt").write_text("mine")
    fit(tiny, path)
    assert [part.name for part in path.iterdir()] == ["thesis.txt"]
    assert "could not be removed" in caplog.text


def test_the_chain_is_not_drawn_twice(tiny, begin, tmp_path, monkeypatch):
    """What was drawn is kept whole: means, deviations, the signs and which cells."""
    adata, net, options = tiny
    options = options | {"uncertainty": True}
    monkeypatch.setattr(gr.core.posterior.sample, "_FEWEST", 4)
    monkeypatch.setattr(gr.core.posterior.sample, "_CELLS", 60)
    wanted = gr.tl.fit(adata, net, copy=True, **options)
    begin(adata.copy(), net, tmp_path / "run", 1, **options)
    monkeypatch.setattr(
        gr.tl._orient, "draw_posterior", lambda *a, **k: pytest.fail("it is drawn again")
    )
    found = gr.tl.fit(adata, net, checkpoint=tmp_path / "run", copy=True, **options)
    for name in ("grnrep", "grnrep_sd"):
        pd.testing.assert_frame_equal(found.obsm[name], wanted.obsm[name])
    for name in ("network", "genes", "regulators"):
        pd.testing.assert_frame_equal(found.uns["grnrep"][name], wanted.uns["grnrep"][name])
    np.testing.assert_array_equal(found.varm["grnrep"].toarray(), wanted.varm["grnrep"].toarray())
