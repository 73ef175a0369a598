"""What is built holds what it must, and nothing else. wheel_alone.py installs it too."""

from __future__ import annotations

import importlib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
DATA = ("example.h5ad", "example_network.csv", "blood_cells.zarr.zip")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")))
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_holds_the_package_and_its_data(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "grnrep").rglob("*.py")}
    data = {f"grnrep/ds/data/{name}" for name in DATA}
    data |= {"grnrep/cli/report/page.html"}
    assert sources | data | {"grnrep/py.typed"} <= names
    assert {Path(name).parts[0] for name in names} == {"grnrep"}
    assert {Path(name).suffix for name in names} == {
        ".py",
        ".typed",
        ".h5ad",
        ".csv",
        ".zip",
        ".html",
    }


def test_the_wheel_has_its_licence_and_its_command(wheel):
    (licence,) = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    (entries,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    command = "grnrep = grnrep.cli:app"
    assert command in wheel.read(entries).decode()
    module, name = command.split(" = ")[1].split(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_page_of_the_package_index_has_what_people_look_for(metadata):
    assert metadata["Name"] == "grnrep"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    labels = {line.split(",")[0] for line in metadata.get_all("Project-URL")}
    assert {"Source", "Documentation", "Issues", "Changelog"} <= labels
