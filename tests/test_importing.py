"""Imports without garbage collection leave the collector as it was."""

import gc
import subprocess
import sys
import weakref

import pytest

from grnrep._importing import uncollected


class Circle:
    """Garbage that only the collector can find."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def _unfrozen():
    """The collector as in a process of users: the tests' own is told to leave aside what was there before them."""
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.fixture
def new_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "made_for_this_test.py").write_text("made = [[] for _ in range(5000)]\n")
    yield "made_for_this_test"
    sys.modules.pop("made_for_this_test", None)


def test_nothing_is_collected_inside_and_the_collector_is_on_after_it(new_module):
    seen = []
    gc.callbacks.append(lambda phase, info: seen.append(phase))
    try:
        with uncollected():
            assert not gc.isenabled()
            made = __import__(new_module).made
        assert seen == []
    finally:
        gc.callbacks.pop()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    old = {id(thing) for thing in gc.get_objects(generation=2)}
    assert id(made[0]) in old
    assert id(made[-1]) in old


def test_the_collector_is_on_after_an_import_that_fails():
    with pytest.raises(ModuleNotFoundError), uncollected():
        import no_such_module  # noqa: F401
    assert gc.isenabled()


def test_without_an_import_garbage_stays_young():
    with uncollected():
        circle = weakref.ref(Circle())
    gc.collect(0)
    assert circle() is None


def test_a_collector_that_was_off_stays_off(new_module):
    gc.disable()
    try:
        with uncollected():
            __import__(new_module)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_frozen_objects_stay_frozen(new_module):
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with uncollected():
            assert gc.isenabled()
            __import__(new_module)
        assert frozen - 100 < gc.get_freeze_count() <= frozen  # some may have been deleted
    finally:
        gc.unfreeze()


def test_the_first_fit_imports_torch_without_a_full_collection():
    code = """
import gc, sys, numpy as np, pandas as pd, anndata as ad, grnrep as gr
adata = ad.AnnData(np.eye(30, 20), var=pd.DataFrame(index=[f"g{i}" for i in range(20)]))
net = pd.DataFrame({"source": "a", "target": adata.var_names[:8], "weight": 1.0})
full = []
def seen(phase, info):
    if phase == "start" and info["generation"] == 2:
        full.append({"torch", "grnrep.tl._run"} & {*sys.modules})
gc.callbacks.append(seen)
assert "torch" not in sys.modules
gr.tl.fit(adata, net, progress=False)
assert "torch" in sys.modules
assert {"torch"} not in full, full
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr
