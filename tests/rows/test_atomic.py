"""Outputs appear whole or not at all, and what stands in the way is said."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from grnrep.rows.atomic import replacing


def _make(path: Path, *, folder: bool, text: str) -> None:
    if folder:
        (path / "inner").mkdir(parents=True)
    (path / "inner" / "part" if folder else path).write_text(text)


def _text(path: Path, *, folder: bool) -> str:
    return (path / "inner" / "part" if folder else path).read_text()


def _fail(path: Path, error: object, *, folder: bool, inside: str | None = None) -> None:
    """Write, then raise an error: one that is given, or of the system with this number and a file inside."""
    with replacing(path) as temporary:
        _make(temporary, folder=folder, text="new")
        if isinstance(error, int):
            raise OSError(
                error, "words of the system", *([] if inside is None else [str(temporary / inside)])
            )
        raise error


def _kind(error: object) -> type[BaseException]:
    return type(error) if isinstance(error, BaseException) else error


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


kinds = pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])


@kinds
@pytest.mark.parametrize("exists", [True, False])
def test_success(tmp_path, caplog, folder, exists):
    path = tmp_path / "out.zarr"
    if exists:
        _make(path, folder=folder, text="old")
        if folder:
            (path / "of the old one").touch()
    with caplog.at_level(logging.INFO, logger="grnrep"), replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
        assert not temporary.exists()
        _make(temporary, folder=folder, text="new")
        assert path.exists() == exists
    assert _text(path, folder=folder) == "new"
    assert _names(tmp_path) == ["out.zarr"]
    assert not (path / "of the old one").exists()
    assert caplog.messages == [f"wrote {path}"]


@kinds
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, ValueError("own"), OSError(5, "I/O error")]
)
def test_failure_while_writing(tmp_path, caplog, folder, exists, error):
    path = tmp_path / "out.zarr"
    if exists:
        _make(path, folder=folder, text="old")
    with pytest.raises(_kind(error)):
        _fail(path, error, folder=folder)
    assert _names(tmp_path) == (["out.zarr"] if exists else [])
    assert not exists or _text(path, folder=folder) == "old"
    assert caplog.messages == []


@kinds
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(5, "I/O error")])
def test_failure_while_moving_into_place(tmp_path, monkeypatch, folder, error):
    path = tmp_path / "out.zarr"
    _make(path, folder=folder, text="old")

    def failing(self, target):
        raise error

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(_kind(error)), replacing(path) as temporary:
        _make(temporary, folder=folder, text="new")
    assert _names(tmp_path) == ["out.zarr"]
    assert _text(path, folder=folder) == "old"


def test_the_only_copy_is_never_removed(tmp_path, monkeypatch, caplog):
    path = tmp_path / "out.zarr"
    _make(path, folder=True, text="old")
    rename = Path.rename

    def only_away(self, target):
        if target == path:
            raise OSError(5, "I/O error")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", only_away)
    monkeypatch.setattr(Path, "rename", only_away)
    with pytest.raises(OSError, match="I/O error"), replacing(path) as temporary:
        _make(temporary, folder=True, text="new")
    (left,) = tmp_path.iterdir()
    assert _text(left, folder=True) == "old"
    assert f"what was at {path} is now at {left}" in caplog.text


def test_nothing_written_is_an_error_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "out.zarr"
    _make(path, folder=True, text="old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert _text(path, folder=True) == "old"
    assert _names(tmp_path) == ["out.zarr"]


@kinds
def test_a_link_stays_a_link(tmp_path, folder):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real", tmp_path / "link"
    _make(real, folder=folder, text="old")
    link.symlink_to(real)
    with replacing(link) as temporary:
        _make(temporary, folder=folder, text="new")
    assert link.is_symlink()
    assert _text(real, folder=folder) == "new"
    assert _names(tmp_path / "there") == ["real"]


def test_a_long_name_fits(tmp_path):
    path = tmp_path / ("x" * 240 + ".csv")
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("number", "kind", "reason", "remedy"),
    [
        (errno.ENOSPC, OSError, "no space is left", "Free space there"),
        (errno.EDQUOT, OSError, "quota is used up", "Free space there"),
        (errno.EFBIG, OSError, "larger than allowed", "ulimit"),
        (errno.EACCES, PermissionError, "permission is denied", "Get permission"),
        (errno.EPERM, PermissionError, "not permitted", "Get permission"),
        (errno.EROFS, OSError, "is read-only", "Choose another place"),
    ],
)
@pytest.mark.parametrize("inside", ["c/0", "", None])
def test_refusals_of_the_system_are_explained(tmp_path, number, kind, reason, remedy, inside):
    path = tmp_path / "out.zarr"
    with pytest.raises(kind) as caught:
        _fail(path, number, folder=True, inside=inside)
    assert caught.value.errno == number
    for fragment in (f"'{path}' could not be written", reason, remedy, "nothing was changed"):
        assert fragment in str(caught.value)
    assert _names(tmp_path) == []


def test_an_error_about_another_file_stays_as_it_is(tmp_path):
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "input.csv"))
    with pytest.raises(PermissionError) as caught, replacing(tmp_path / "out.csv"):
        raise error
    assert caught.value is error


def _run(code: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_folder_that_may_not_be_written_to():
    code = """
        import os, sys, tempfile
        from pathlib import Path
        from grnrep.rows.atomic import replacing
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o555)
            if os.geteuid() == 0:
                os.seteuid(65534)  # root may write anywhere
            try:
                with replacing(Path(folder, "out.csv")) as temporary:
                    temporary.write_text("new")
            except PermissionError as error:
                print(error)
            os.seteuid(os.getuid())
            print(os.listdir(folder))
    """
    if not hasattr(os, "geteuid"):
        pytest.skip(
            "who a process acts for, and so what it may write, can be changed on POSIX systems only"
        )
    result = _run(code)
    message, listing = result.stdout.splitlines()
    assert "out.csv' could not be written: permission is denied" in message
    assert listing == "[]"


def test_a_limit_on_the_size_of_files(tmp_path):
    pytest.importorskip(
        "resource", reason="a limit on the size of files can be set on POSIX systems only"
    )
    code = """
        import resource, sys
        from pathlib import Path
        from grnrep.rows.atomic import replacing
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with replacing(Path(sys.argv[1])) as temporary:
            temporary.write_text("n" * 2000)
    """
    path = tmp_path / "out.csv"
    path.write_text("old")
    result = _run(code, path)
    assert (
        f"'{path}' could not be written: the file is larger than allowed"
        in result.stderr.splitlines()[-1]
    )
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["out.csv"]


def _write_chunks(path: Path) -> None:
    with replacing(path) as temporary:
        group = zarr.open_group(temporary, mode="w", zarr_format=3)
        group.create_array("x", shape=(8,), chunks=(2,), dtype="f4")[:] = np.arange(8)


def test_writes_that_go_on_after_one_of_them_failed_leave_nothing(tmp_path, monkeypatch):
    """Of the chunks of an array, written side by side, the first fails at once and the others are slow."""
    write, slow = LocalStore.set, []

    async def set_(self, key, value, **options):
        if "c/0" in key:
            raise OSError(errno.ENOSPC, "No space left on device")
        if "c/" in key:
            await asyncio.sleep(0.2)
            slow.append(key)
        await write(self, key, value, **options)

    monkeypatch.setattr(LocalStore, "set", set_)
    with pytest.raises(OSError, match="no space is left"):
        _write_chunks(tmp_path / "a.zarr")
    assert len(slow) == 3
    assert list(tmp_path.iterdir()) == []
