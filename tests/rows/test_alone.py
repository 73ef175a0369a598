"""One run at a time writes to a place, and what a killed one left beside it goes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from grnrep.rows import atomic
from grnrep.rows.atomic import hidden, replacing, undisturbed, while_alone

SCRIPT = """
import sys, time
from pathlib import Path
from grnrep.rows.atomic import while_alone
from grnrep.rows.atomic import replacing

def write():
    with replacing(Path(sys.argv[1]), alone=True) as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("half of it")
        print("writes", flush=True)
        time.sleep(60)

while_alone({"store": Path(sys.argv[1])}, write)
"""


@pytest.fixture
def another(tmp_path):
    """A process that is writing to a place."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tmp_path / "a.zarr"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writes\n"
    yield process
    process.kill()
    process.wait()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_another_process_is_refused_until_the_first_has_ended_however_it_ends(tmp_path, another):
    place = tmp_path / "a.zarr"
    before = names(tmp_path)
    with pytest.raises(ValueError, match="is being written by another run") as caught:
        while_alone({"store": place}, lambda: pytest.fail("it was not alone"))
    assert f"store={str(place)!r}" in str(caught.value)
    assert f"process {another.pid} on {os.uname().nodename}, begun" in str(caught.value)
    assert names(tmp_path) == before
    another.send_signal(signal.SIGKILL)
    another.wait()
    assert names(tmp_path) == before
    assert while_alone({"store": place}, lambda: names(tmp_path)) == [hidden(place, ".lock").name]
    assert names(tmp_path) == []


@pytest.mark.parametrize("link", [False, True], ids=["itself", "through a link"])
def test_another_thread_is_refused(tmp_path, link):
    place = tmp_path / "place"
    if link:
        place.mkdir()
        (tmp_path / "link").symlink_to(place)

    def meanwhile() -> None:
        with pytest.raises(ValueError, match=f"process {os.getpid()} on"):
            while_alone({"checkpoint": tmp_path / "link" if link else place}, lambda: None)

    while_alone({"store": tmp_path / "other", "checkpoint": place}, meanwhile)


@pytest.mark.parametrize("error", [ValueError("own"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_place_is_free_after_any_error(tmp_path, error):
    def fails() -> None:
        raise error

    with pytest.raises(type(error)):
        while_alone({"store": tmp_path / "a", "checkpoint": tmp_path / "b"}, fails)
    assert names(tmp_path) == []
    assert while_alone({"store": tmp_path / "a", "checkpoint": tmp_path / "b"}, lambda: 3) == 3


def test_none_is_held_where_one_is_not_free(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"

    def meanwhile() -> None:
        with pytest.raises(ValueError, match="checkpoint="):
            while_alone({"store": one, "checkpoint": two}, lambda: None)
        assert while_alone({"store": one}, lambda: 3) == 3

    while_alone({"checkpoint": two}, meanwhile)


def test_a_lock_that_says_nothing_is_taken_over(tmp_path):
    hidden(tmp_path / "place", ".lock").touch()
    assert while_alone({"store": tmp_path / "place"}, lambda: 3) == 3
    assert names(tmp_path) == []


def test_a_lock_of_the_dead_is_taken_over_whatever_it_says(tmp_path):
    """On whatever machine, and where another process has the number by now."""
    lock = hidden(tmp_path / "place", ".lock")
    lock.write_text(json.dumps({"pid": os.getpid(), "host": "far away", "since": 0}))
    assert while_alone(
        {"store": tmp_path / "place"}, lambda: json.loads(lock.read_text())["host"]
    ) == (os.uname().nodename)


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def refusing(*args) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic.fcntl, "flock", refusing)
    assert while_alone({"store": tmp_path / "place"}, lambda: names(tmp_path)) == []
    assert "has no locks (No locks available); let no other run write there" in caplog.text


def test_a_folder_that_may_not_be_written_to_is_said(tmp_path, monkeypatch):
    def refusing(*args) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(atomic.os, "open", refusing)
    with pytest.raises(PermissionError, match="place' could not be written: permission is denied"):
        while_alone({"store": tmp_path / "place"}, lambda: None)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (59, "59 s"), (240, "4 min"), (7200, "2 h"), (4e5, "5 days")],
)
def test_the_age_is_said_in_a_unit_that_fits(seconds, said):
    owner = {"pid": 7, "host": "node", "since": atomic.time.time() - seconds}
    assert atomic._described(json.dumps(owner).encode()) == f"process 7 on node, begun {said} ago"


def test_what_was_moved_aside_by_a_killed_process_comes_back(tmp_path):
    place = tmp_path / "a.zarr"
    for suffix in (".old", ".zarr"):
        hidden(place, suffix).mkdir()
        (hidden(place, suffix) / suffix).touch()
    assert while_alone({"store": place}, lambda: names(place)) == [".old"]
    assert names(tmp_path) == ["a.zarr"]


FILES = ("alone.py", "atomic.py", "contextlib.py", "shutil.py")


def interrupted(function, at: int) -> int:
    """Call a function with Ctrl-C before line number ``at`` of some files; how many lines were run."""
    count = 0

    def line(frame, event, argument):
        nonlocal count
        if event == "line":
            count += 1
            if count == at:
                signal.raise_signal(signal.SIGINT)
        return line

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: line if frame.f_code.co_filename.endswith(FILES) else None)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("case", ["new", "replaced", "failed"])
def test_ctrl_c_at_any_line_leaves_nothing(tmp_path, case):
    place = tmp_path / "a.zarr"

    def write() -> None:
        with replacing(place, alone=True) as temporary:
            temporary.mkdir()
            (temporary / "part").touch()
            if case == "failed":
                raise KeyboardInterrupt

    def call() -> None:
        while_alone({"store": place}, write)

    n_lines = interrupted(call, -1)
    assert n_lines > 50
    for at in range(1, n_lines + 2):
        if case == "new" and place.exists():
            (place / "part").unlink()
            place.rmdir()
        interrupted(call, at)
        there = names(tmp_path)
        assert there == ["a.zarr"] if case == "replaced" else set(there) <= {"a.zarr"}, at
        assert not there or names(place) == ["part"]
    while_alone({"store": place}, lambda: None)  # it is free


def test_ctrl_c_waits_for_what_must_be_done_whole():
    done = []

    def whole() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    # a job in the background ignores it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            whole()
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == [True]
    thread = threading.Thread(target=lambda: done.append(undisturbed().__enter__()))
    thread.start()
    thread.join()
    assert done == [True, None]
