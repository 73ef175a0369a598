"""A fit that dies between any two operations on files ends whole, alone, when it is called again."""

from __future__ import annotations

import io
import os
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import grnrep as gr


class Death(BaseException):
    """What a dying process cannot catch: from then on it writes, moves and removes nothing."""


class Reaper:
    """Counts what a process does to files in a folder, and kills it before the operation number ``at``."""

    def __init__(self, folder: Path, monkeypatch, at: int | None = None):
        self.folder, self.at, self.done, self.locks = str(folder), at, [], []
        for name in ("mkdir", "rename", "replace", "unlink", "rmdir", "link"):
            monkeypatch.setattr(os, name, self._before(getattr(os, name)))
        open_, os_open = io.open, os.open

        def opening(path, mode="r", *args, **options):
            if set(mode) & set("wax+"):
                self._do(f"open {path}", path)
            return open_(path, mode, *args, **options)

        def os_opening(path, flags, *args, **options):
            writes = flags & (os.O_WRONLY | os.O_RDWR)
            if writes:
                self._do(f"open {path}", path)
            descriptor = os_open(path, flags, *args, **options)
            if writes and str(path).endswith(".lock"):
                self.locks.append(descriptor)
            return descriptor

        def os_closing(descriptor):
            if descriptor in self.locks:
                self.locks.remove(descriptor)
            close(descriptor)

        close = os.close
        monkeypatch.setattr(io, "open", opening)
        monkeypatch.setattr(os, "open", os_opening)
        monkeypatch.setattr(os, "close", os_closing)

    def _before(self, function):
        def counted(path, *args, **options):
            self._do(f"{function.__name__} {path}", path)
            return function(path, *args, **options)

        return counted

    def _do(self, what: str, path) -> None:
        inside = (
            str(path).startswith(self.folder) or not Path(path).is_absolute()
        )  # rmtree: names in a folder
        if inside and self.at is not None and len(self.done) >= self.at:
            raise Death
        if inside:
            self.done.append(what.replace(self.folder, ""))

    def bury(self) -> None:
        """Drop the locks that are left, as the system does."""
        for descriptor in self.locks:
            os.close(descriptor)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """What a fit that nobody killed gives, and what it does to files."""
    adata, folder = tiny[0].copy(), tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        reaper = Reaper(folder, patch)
        fit(adata, tiny, folder)
    return content(adata, folder), reaper.done


def fit(adata, tiny, folder: Path) -> None:
    where = {"checkpoint": folder / "run", "activity_store": folder / "activity.zarr"}
    gr.tl.fit(adata, tiny[1], **where, **tiny[2])


def content(adata, folder: Path) -> dict[str, np.ndarray]:
    """Everything that a fit leaves, in memory and on disk."""
    assert [path.name for path in folder.iterdir()] == ["activity.zarr"]
    tables = adata.uns["grnrep"]
    found = {
        f"{t}.{c}": tables[t][c].to_numpy()
        for t in ("network", "genes", "regulators")
        for c in tables[t]
    }
    store = ad.read_zarr(folder / "activity.zarr")
    found |= {"names": np.r_[store.obs_names, store.var_names], "store": store.X}
    return found | {
        "activity": np.asarray(adata.obsm["grnrep"]),
        "weights": adata.varm["grnrep"].toarray(),
    }


# before the checkpoint is there, while it is filled, and inside the hidden store; from the end: in the last
# block, when the store has its place, while the checkpoint is removed, and then the locks
MOMENTS = [0, 5, 9, 13, 0.5, -24, -20, -13, -8, -1]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_death_between_any_two_operations(whole, tiny, tmp_path, monkeypatch, moment):
    wanted, operations = whole
    at = int(moment * len(operations)) if isinstance(moment, float) else moment % len(operations)
    with monkeypatch.context() as patch:
        reaper = Reaper(tmp_path, patch, at)
        with pytest.raises(Death):
            fit(tiny[0].copy(), tiny, tmp_path)
    reaper.bury()
    adata = tiny[0].copy()
    fit(adata, tiny, tmp_path)
    found = content(adata, tmp_path)
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
