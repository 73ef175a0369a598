"""Imports point one way, and the package itself is quick to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import grnrep

ROOT = Path(grnrep.__file__).parent
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
PRIVATE = "private"  # modules beside the rooms, grnrep/_*.py: what the verbs share

# a room may import from itself and from these
ALLOWED = {
    "core": set(),
    "nn": {"core"},
    "rows": {"core"},
    PRIVATE: {"core", "rows"},
    **{room: {"core", "rows", "nn", PRIVATE} for room in ("pp", "tl", "get", "io", "metrics")},
    "ds": {"core", "rows", "nn", PRIVATE, "io"},
    "estimator": {"core", "rows", PRIVATE, "tl"},
    "pl": {"core", "rows", "nn", PRIVATE, "pp", "get", "metrics"},
    "validation": {"core", "rows", "nn", PRIVATE, "pp", "tl", "ds", "get", "metrics", "pl"},
    "cli": {
        "core",
        "rows",
        "nn",
        PRIVATE,
        "pp",
        "tl",
        "ds",
        "get",
        "io",
        "metrics",
        "pl",
        "validation",
    },
}


def _room(parts: tuple[str, ...]) -> str:
    """Room of a module, given its dotted name below ``grnrep``."""
    return PRIVATE if parts[0].startswith("_") else parts[0]


def _imports(path: Path) -> list[str]:
    """Dotted names of everything that a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _rooms(path: Path) -> set[str]:
    """Rooms that a file imports from."""
    names = [name.split(".")[1:] for name in _imports(path) if name.split(".")[0] == "grnrep"]
    return {_room(tuple(name)) for name in names if name and not name[0].startswith("__")}


def _inside(path: Path) -> str | None:
    """Room of a file; None for the package's own face."""
    return None if path == Path("__init__.py") else _room(path.with_suffix("").parts)


def test_every_room_is_known():
    assert {_inside(path) for path in FILES} - {None} <= set(ALLOWED)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_one_way(path):
    room = _inside(path)
    if room is None:
        ours = [name for name in _imports(path) if name.startswith("grnrep")]
        assert ours == ["grnrep._importing.uncollected"]
    else:
        assert _rooms(path) - {room} <= ALLOWED[room]


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "core"], ids=str)
def test_core_imports_numerics_only(path):
    outside = {name.split(".")[0] for name in _imports(path)} - set(sys.stdlib_module_names)
    assert outside <= {"numpy", "scipy", "torch", "numba", "llvmlite", "tqdm", "grnrep"}


KERNELS = [path for path in FILES if path.parts[:2] == ("core", "kernels")]


def test_compiled_code_is_in_one_room_which_imports_nothing_else_of_the_package():
    # what was compiled is kept on disk under a stamp of the files of that room alone
    compile_ = {
        path for path in FILES for name in _imports(path) if name.startswith(("numba", "llvmlite"))
    }
    assert compile_
    assert compile_ <= set(KERNELS)
    assert {path.parent for path in KERNELS} == {Path("core/kernels")}
    imported = {name for path in KERNELS for name in _imports(path) if name.startswith("grnrep")}
    assert [name for name in imported if not name.startswith("grnrep.core.kernels.")] == []


def test_files_of_compiled_code_import_one_way():
    after = {
        path.stem: {
            name.split(".")[3] for name in _imports(path) if name.startswith("grnrep.core.kernels.")
        }
        for path in KERNELS
    }
    assert set(TopologicalSorter(after).static_order()) == set(after)  # raises at a circle


def test_what_the_face_imports_needs_no_other_file():
    assert _rooms(Path("_importing.py")) == set()


def test_the_check_sees_an_import_inside_a_function():
    assert "nn" in _rooms(Path("tl/_learn.py"))


def test_verbs_load_what_computes_and_draws_when_they_are_called():
    code = """
import sys, inspect, grnrep as gr
def loaded(*names): return {*names} & {*sys.modules}
assert not loaded('numpy', 'grnrep.core'), loaded('numpy', 'grnrep.core')
from grnrep.cli import app
try: app(['--help'])
except SystemExit: pass
assert not loaded('numpy', 'pandas'), loaded('numpy', 'pandas')
for room in (gr.tl, gr.pl):
    for name in room.__all__:
        verb = getattr(room, name)
        assert inspect.signature(verb).parameters and inspect.getdoc(verb)
heavy = loaded('torch', 'scanpy', 'anndata', 'matplotlib', 'scipy', 'sklearn', 'numba', 'zarr', 'dask', 'h5py')
assert not heavy, heavy
assert gr.core.__name__ == 'grnrep.core'
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr


def test_face_of_the_package():
    assert grnrep.__version__.count(".") == 2
    rooms = {"core", "pp", "tl", "pl", "ds", "get", "io", "metrics", "nn", "validation"}
    assert rooms | {"SparseDecoder"} == set(grnrep.__all__)
    assert grnrep.SparseDecoder.__name__ == "SparseDecoder"
    assert set(grnrep.__all__) <= set(dir(grnrep))
    assert grnrep.tl.fit.__name__ == "fit"
    with pytest.raises(
        AttributeError, match="no attribute 'tools'; it has SparseDecoder, core, ds, get"
    ):
        grnrep.tools  # noqa: B018
