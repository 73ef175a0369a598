"""What is compiled ahead of the first fit is what verbs call, and all of it."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import numba
import pytest
from numba.core import caching
from numba.core.dispatcher import Dispatcher

from grnrep.core import kernels
from grnrep.core.kernels import ahead, kept


def test_every_function_whose_code_is_kept_is_compiled_ahead():
    files = pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}.")
    cached = {
        value
        for file in files
        for value in vars(importlib.import_module(file.name)).values()
        if isinstance(value, Dispatcher) and value.stats.cache_path
    }
    assert {function for function, _ in kernels.calls()} == cached


# in a process of its own: tests of kernels call them with other types
VERBS = """
import numpy as np
import grnrep as gr
from grnrep.core import kernels

adata, net = gr.ds.simulate(150, 60, n_regulators=5, connectivity=0.3, rng=0, progress=False)
quick = {"progress": False, "max_iter": 5, "min_targets": 1}
given = {"ridge": 1e-3, "intercept": False, "sign_shrinkage": 0.1}
gr.tl.fit(adata, net, **quick)
gr.tl.transform(adata[:20].copy(), adata, progress=False)
gr.tl.fit(adata, net, likelihood="tobit", **given, **quick)
adata.X = adata.X.astype(np.float64) - 1
gr.tl.fit(adata, net, **given, **quick)
adata.X = np.round(np.abs(adata.X) * 3)
gr.tl.fit(adata, net, likelihood="poisson", ridge=1e-3, intercept=True, **quick)
ahead = {}
for function, types in kernels.calls():
    ahead.setdefault(function, set()).add(types)
called = {function: {*function.signatures} for function in ahead if function.signatures}
assert len(called) >= 6, called
new = {str(function): types - ahead[function] for function, types in called.items()}
assert not any(new.values()), new
"""


def test_verbs_call_nothing_that_is_not_compiled_ahead():
    run = subprocess.run(
        [sys.executable, "-c", VERBS], capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr


def test_nothing_is_compiled_ahead_where_nothing_can_be_kept(monkeypatch):
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])  # no folder will do

    def double(x):
        return 2 * x

    function = kept.compiled(double)
    assert function(2) == 4
    monkeypatch.setattr(ahead, "calls", lambda: [(function, (numba.float64,))])
    with pytest.raises(OSError, match="NUMBA_CACHE_DIR"):
        kernels.compile_all()
    assert len(function.signatures) == 1
