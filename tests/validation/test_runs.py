"""Rows of a study on disk: whole after every row, continued, and refused where they do not belong."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from grnrep.validation import runs as runs_module
from grnrep.validation.runs import Runs

SETTINGS = {"epochs": 10, "sizes": (20, 50), "lr": 1e-3}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "study.json"


def test_goes_on_where_it_was(path):
    first = Runs(path, study="load", settings=SETTINGS)
    first.add({"n": 20, "seed": 0}, {"mse": 0.5, "name": "a"})
    again = Runs(path, study="load", settings=SETTINGS)
    assert again.find({"n": 20, "seed": 0}) == {"mse": 0.5, "name": "a"}
    assert again.find({"seed": 0, "n": 20}) == {"mse": 0.5, "name": "a"}
    assert again.find({"n": 20, "seed": 1}) is None
    assert again.find({"n": 20}) is None
    again.add({"n": 50, "seed": 0}, {"mse": 0.25, "name": "b"})
    table = pd.DataFrame({"n": [20, 50], "seed": [0, 0], "mse": [0.5, 0.25], "name": ["a", "b"]})
    pd.testing.assert_frame_equal(Runs(path, study="load", settings=SETTINGS).table(), table)


def test_numbers_come_back_to_the_bit(path):
    value = {
        "x": np.float64(0.1) + 0.2,
        "tiny": 5e-324,
        "n": np.int64(3),
        "yes": np.bool_(True),
        "y": [1, 2],
    }
    Runs(path, study="s", settings={"path": path}).add({"k": np.int32(1)}, value)
    back = Runs(path, study="s", settings={"path": path}).find({"k": 1})
    assert back == {"x": 0.1 + 0.2, "tiny": 5e-324, "n": 3, "yes": True, "y": [1, 2]}
    assert [type(v) for v in back.values()] == [float, float, int, bool, list]


def test_nan_is_kept_and_the_file_is_standard_json(path):
    Runs(path, study="s", settings={}).add({"k": 1}, {"x": math.nan, "y": np.float32("nan")})

    def refuse(name):
        raise AssertionError(name)

    json.loads(path.read_text(), parse_constant=refuse)
    again = Runs(path, study="s", settings={})
    assert all(math.isnan(v) for v in again.find({"k": 1}).values())
    assert again.table()["x"].isna().all()


def test_every_row_says_what_it_was_made_with(path, monkeypatch):
    Runs(path, study="s", settings={}).add({"k": 1}, {"x": 1})
    real = runs_module.environment()
    monkeypatch.setattr(runs_module, "environment", lambda: real | {"torch": "99.0"})
    Runs(path, study="s", settings={}).add({"k": 2}, {"x": 2})
    saved = json.loads(path.read_text())
    assert [saved["environments"][row["environment"]]["torch"] for row in saved["rows"]] == [
        real["torch"],
        "99.0",
    ]
    assert {"machine", "cores", "threads", "python", "grnrep", "numpy"} <= set(real)


def test_a_row_again_replaces_the_first(path):
    runs = Runs(path, study="s", settings={})
    runs.add({"k": 1}, {"x": 1})
    runs.add({"k": 1}, {"x": 2})
    assert Runs(path, study="s", settings={}).table()["x"].tolist() == [2]


def test_rows_of_another_process_are_kept(path):
    one, two = (Runs(path, study="s", settings={}) for _ in range(2))
    one.add({"k": 1}, {"x": 1})
    two.add({"k": 2}, {"x": 2})
    assert Runs(path, study="s", settings={}).table()["x"].tolist() == [1, 2]


def test_other_settings_are_refused_by_name(path):
    Runs(path, study="load", settings=SETTINGS).add({"k": 1}, {"x": 1})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"study\.json.*epochs: there 10, here 20\)"):
        Runs(path, study="load", settings=SETTINGS | {"epochs": 20})
    with pytest.raises(ValueError, match=r"new: there 'not set', here None"):
        Runs(path, study="load", settings=SETTINGS | {"new": None})
    with pytest.raises(ValueError, match=r"lr: there 0\.001, here 'not set'"):
        Runs(path, study="load", settings={"epochs": 10, "sizes": [20, 50]})
    with pytest.raises(ValueError, match=r"study: there 'load', here 'other'"):
        Runs(path, study="other", settings=SETTINGS)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: text.replace('"rows"', '"lines"'),
        lambda text: text.replace('"environment": 0', '"environment": 7'),
        lambda text: text.replace('"format": 1', '"format": 2'),
    ],
)
def test_a_damaged_file_is_named_and_left_alone(path, damage):
    Runs(path, study="s", settings={}).add({"k": 1}, {"x": 1})
    text = damage(path.read_text())
    path.write_text(text)
    with pytest.raises(ValueError, match=r"study\.json.*damaged.*move it away"):
        Runs(path, study="s", settings={})
    assert path.read_text() == text


def test_interrupted_while_writing_keeps_all_rows_before(path, monkeypatch):
    runs = Runs(path, study="s", settings={})
    runs.add({"k": 1}, {"x": 1})
    real = type(path).write_text

    def killed(self, text, **options):
        real(self, text[: len(text) // 2], **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        runs.add({"k": 2}, {"x": 2})
    monkeypatch.undo()
    assert [p.name for p in path.parent.iterdir()] == ["study.json"]
    again = Runs(path, study="s", settings={})
    assert again.find({"k": 1}) == {"x": 1}
    assert again.find({"k": 2}) is None
    again.add({"k": 2}, {"x": 2})
    assert Runs(path, study="s", settings={}).table()["x"].tolist() == [1, 2]


def test_without_a_file(tmp_path):
    runs = Runs(None, study="s", settings={})
    runs.add({"k": 1}, {"x": 1})
    assert runs.find({"k": 1}) == {"x": 1}
    assert not any(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_known_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Runs(tmp_path / "file" / "study.json", study="s", settings={})


@pytest.mark.parametrize(
    ("key", "result", "error", "message"),
    [
        ({"x": 1}, {"x": 2}, ValueError, r"different names.*\['x'\]"),
        ({"k": 1}, {"x": math.inf}, ValueError, "infinite"),
        ({"k": 1}, {"x": object()}, TypeError, "found object"),
    ],
)
def test_rows_that_cannot_be_kept(path, key, result, error, message):
    runs = Runs(path, study="s", settings={})
    with pytest.raises(error, match=message):
        runs.add(key, result)
    assert runs.table().empty
