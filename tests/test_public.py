"""One walk over everything public: signatures, type hints, docstrings, and their examples."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
from importlib import import_module
from types import ModuleType

import pytest

import grnrep

ESTIMATOR = "SparseDecoder"  # the one class in the face of the package, of a module of its own
ROOMS = ["grnrep.estimator", *(f"grnrep.{room}" for room in grnrep.__all__ if room != ESTIMATOR)]
UNLISTED = ("core", "tl", "validation")  # rooms whose dir shows their modules too
P = inspect.Parameter


def _walk() -> dict[str, object]:
    """Everything named in the ``__all__`` of a room, and of modules named there."""
    found, modules = {}, [import_module(room) for room in ROOMS]
    while modules:
        module = modules.pop()
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if isinstance(thing, ModuleType):
                modules.append(thing)
            elif callable(thing):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return dict(sorted(found.items()))


PUBLIC = _walk()
every = pytest.mark.parametrize("name", PUBLIC)


def _sections(thing: object) -> dict[str, str]:
    """Sections of a numpydoc docstring by title; the text before the first is the summary."""
    parts = re.split(r"^(\S.*)\n-{3,}\n", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    return {"Summary": parts[0].strip(), **dict(zip(parts[1::2], parts[2::2], strict=True))}


def _documented(section: str) -> set[str]:
    """Names in a section with entries: ``name``, ``name : type`` or ``first, second``."""
    heads = re.findall(r"^(\S[^:\n]*?)(?: ?:.*)?$", section, flags=re.MULTILINE)
    return {name.strip("*` ") for head in heads for name in head.split(",")}


def _parameters(thing: object) -> dict[str, P]:
    parameters = dict(inspect.signature(thing).parameters)
    return {name: p for name, p in parameters.items() if name not in ("self", "cls")}


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_is_public(room):
    module = import_module(room)
    assert module.__doc__
    public = getattr(module, "__all__", ())
    assert public, f"{room}.__all__ is empty"
    assert len(set(public)) == len(public)


@pytest.mark.parametrize("room", sorted(set(ROOMS) - {f"grnrep.{room}" for room in UNLISTED}))
def test_a_room_lists_what_is_public_and_nothing_else(room):
    module = import_module(room)
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in dir(module))


@every
def test_few_positional_parameters(name):
    kinds = [p.kind for p in _parameters(PUBLIC[name]).values()]
    # numerics beneath the verbs take data, decoder and network
    most = 3 if name.startswith("grnrep.nn.") else 2
    assert kinds.count(P.POSITIONAL_OR_KEYWORD) + kinds.count(P.POSITIONAL_ONLY) <= most
    assert P.VAR_POSITIONAL not in kinds
    assert P.VAR_KEYWORD not in kinds


@every
def test_type_hints(name):
    thing = PUBLIC[name]
    bare = [p.name for p in _parameters(thing).values() if p.annotation is P.empty]
    assert not bare, f"without a type: {bare}"
    if inspect.isfunction(thing):
        assert inspect.signature(thing).return_annotation is not inspect.Signature.empty


@every
def test_docstring_has_its_sections(name):
    thing = PUBLIC[name]
    sections = _sections(thing)
    first = sections["Summary"].split("\n\n")[0]
    assert first
    assert first.endswith(".")
    assert "\n" not in first
    if _parameters(thing):
        missing = set(_parameters(thing)) - _documented(sections.get("Parameters", ""))
        assert not missing, f"not under Parameters: {sorted(missing)}"
        unknown = _documented(sections["Parameters"]) - set(_parameters(thing))
        assert not unknown, f"under Parameters, but none: {sorted(unknown)}"
    if inspect.isfunction(thing):
        text = inspect.getdoc(thing)
        assert "Returns" in sections or "Yields" in sections or "ets the following fields" in text
    assert ">>>" in sections.get("Examples", "")


@every
def test_docstring_says_what_is_written(name):
    parameters = _parameters(PUBLIC[name])
    if "copy" in parameters:
        assert "ets the following fields" in inspect.getdoc(PUBLIC[name])


@every
def test_no_mutable_default(name):
    for parameter in _parameters(PUBLIC[name]).values():
        assert not isinstance(parameter.default, list | dict | set)


@every
def test_dataclasses_are_frozen(name):
    thing = PUBLIC[name]
    assert not dataclasses.is_dataclass(thing) or thing.__dataclass_params__.frozen


@every
@pytest.mark.usefixtures("quick_choices", "short_chain")
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing = PUBLIC[name]
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    tests = [
        t for t in doctest.DocTestFinder(recurse=False).find(thing, name, globs={}) if t.examples
    ]
    assert tests
    report = []
    for test in tests:
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
