"""Files about the project agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/results/*.md")})


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version():
    assert yaml.safe_load(_read("CITATION.cff"))["version"] == PROJECT["version"]
    released = re.findall(r"^## (\d+\.\d+\.\d+)", _read("CHANGELOG.md"), flags=re.MULTILINE)
    assert released[0] == PROJECT["version"]
    assert released == sorted(released, key=lambda v: [int(n) for n in v.split(".")], reverse=True)


def test_one_address():
    source = PROJECT["urls"]["Source"]
    assert yaml.safe_load(_read("CITATION.cff"))["repository-code"] == source
    assert all(PROJECT["urls"][name].startswith(source) for name in ("Issues", "Changelog"))
    assert source in _read("README.md")


def test_constraints_are_of_what_is_asked_for():
    """Every package that the project names has one tested version."""
    pinned = re.findall(r"^([\w.-]+)==", _read("constraints.txt"), flags=re.MULTILINE)
    plain = [re.sub(r"[-_.]+", "-", name).lower() for name in pinned]
    assert len(set(plain)) == len(plain)
    groups = tomllib.loads(_read("pyproject.toml"))["dependency-groups"]
    asked = [*PROJECT["dependencies"], *(x for g in groups.values() for x in g if type(x) is str)]
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in asked}
    assert names <= set(plain)


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/**/*.y*ml")), ids=lambda p: p.stem)
def test_workflows_and_templates_are_read(path):
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_workflows_call_files_that_are_there():
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob(".github/**/*.yaml"))
    called = re.findall(r"python (\S+\.py)|uses: \./(\S+)", text)
    assert called
    assert all((ROOT / (script or workflow)).is_file() for script, workflow in called)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_to_files(path):
    """On the code host; the site has its own test."""
    text = re.sub(r"^( {4}|```).*?$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    gone = [x for x in links if "://" not in x and not (path.parent / x).exists()]
    assert not gone
