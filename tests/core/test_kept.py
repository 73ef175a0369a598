"""What was compiled is read from disk, unless any part of it has changed since."""

from __future__ import annotations

import gc
import importlib
import shutil
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import event

from grnrep.core import kernels
from grnrep.core.kernels import kept

NAME = "copy_of_kernels"

# a small kernel on top of a copy of the room: quick to compile, and made of parts of two other files
TINY = f"""
from {NAME}.kept import compiled
from {NAME}.products import Rows, row_times
from {NAME}.vectors import store

@compiled
def tiny(indptr, indices, values, vectors, out):
    store(out, 0, row_times(Rows(indptr, indices, values), 0, vectors))
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A copy of the room under another name, that can be imported anew."""
    # what Python itself compiles tells sources of one size apart by the second alone
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    room = tmp_path / NAME
    shutil.copytree(Path(kernels.__file__).parent, room, ignore=lambda *_: ["__pycache__"])
    for path in room.glob("*.py"):
        path.write_text(path.read_text().replace("grnrep.core.kernels", NAME))
    (room / "__init__.py").write_text("")
    (room / "tiny.py").write_text(TINY)
    yield room
    _forget()


def _forget():
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def _tiny():
    """Hits of the cache on disk, and 2·5 + 0, by the room as it is."""
    _forget()
    tiny = importlib.import_module(f"{NAME}.tiny").tiny
    out = np.zeros(8)
    row = np.array([0, 1], np.int32), np.zeros(1, np.int32), np.full(1, 2.0)
    tiny(*row, np.full_like(out, 5.0), out)
    return sum(tiny.stats.cache_hits.values()), out[0]


def _change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_code_is_compiled_once_and_says_so(room, caplog):
    caplog.set_level("INFO", logger="grnrep")
    assert _tiny() == (0, 10)
    assert [record.getMessage()[:16] for record in caplog.records] == ["compiling, once "]
    caplog.clear()
    assert _tiny() == (1, 10)
    assert not caplog.records


class Collecting(event.Listener):
    """Whether garbage is looked for, in every step of compiling."""

    def __init__(self):
        self.seen = []

    def on_start(self, event):
        self.seen.append(gc.isenabled())

    def on_end(self, event):
        pass


def test_no_garbage_is_looked_for_while_compiling(room):
    with event.install_listener("numba:run_pass", Collecting()) as collecting:
        assert _tiny() == (0, 10)
    assert collecting.seen
    assert not any(collecting.seen)
    assert gc.isenabled()


def test_garbage_is_looked_for_again_after_a_mistake(room):
    _tiny()
    tiny = sys.modules[f"{NAME}.tiny"].tiny
    with pytest.raises(numba.TypingError):
        tiny(None, None, None, None, None)
    assert gc.isenabled()


def test_where_garbage_is_not_looked_for_compiling_does_not_begin_it(room):
    gc.disable()
    try:
        _tiny()
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("file", "old", "new", "result"),
    [
        ("tiny.py", "store(out, 0, row", "store(out, 0 * 1, row", 10),
        ("products.py", "return add(add(a, b), add(c, d))", "return add(add(a, a), add(c, d))", 20),
        ("vectors.py", "kind, name), (a, b, c))", "kind, name), (a, a, c))", 2 * 2),
    ],
)
def test_a_change_in_any_file_is_seen_although_older_code_is_kept(room, file, old, new, result):
    assert _tiny() == (0, 10)
    _change(room / file, old, new)
    assert _tiny() == (0, result)
    assert _tiny() == (1, result)
    _change(room / file, new, old)
    assert _tiny()[1] == 10


def test_without_a_folder_for_compiled_code_it_is_compiled_anew(monkeypatch):
    njit, asked = numba.njit, []
    njit(lambda a: a)(1)  # numba imports parts of its own when it first compiles

    def refusing(**options):
        asked.append(options.get("cache", False))
        if asked[-1]:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(kept.numba, "njit", refusing)
    assert kept.compiled(lambda a: a + 1)(2) == 3
    assert asked == [True, False]


def test_without_sources_nothing_is_kept(monkeypatch):
    def gone(_package):
        raise FileNotFoundError("no folder")

    kept._stamp.cache_clear()
    monkeypatch.setattr(kept.resources, "files", gone)
    function = kept.compiled(lambda a: a + 1)
    assert function(2) == 3
    assert function.stats.cache_path is None
