"""Writes that happen or do not, and the lock on a run."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganzoo.errors import UserError
from ganzoo.files.locks import exclusive, is_held, locked
from ganzoo.files.writing import append_jsonl, finite, write_atomic, write_json, write_text
from ganzoo.runs.records import stats_lines


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        write_atomic(path, fail)
    assert path.read_text() == '{\n "a": 1\n}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_numbers_json_cannot_say_become_null(tmp_path: Path) -> None:
    assert finite({"a": [1.0, float("nan")], "b": float("inf"), "c": "x"}) == {"a": [1.0, None], "b": None, "c": "x"}


def test_a_line_cut_short_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_jsonl(path, {"images": 1})
    with path.open("a") as file:
        file.write('{"a": 2')
    assert list(stats_lines(path.read_bytes())) == [{"images": 1}]


def test_a_run_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    code = "import sys, pathlib, ganzoo.files.locks as f\nwith f.exclusive(pathlib.Path(sys.argv[1])): pass"
    command = [sys.executable, "-c", code, str(tmp_path / ".lock")]
    with exclusive(tmp_path / ".lock"):
        with pytest.raises(UserError, match="another process is at work"), exclusive(tmp_path / ".lock"):
            pass
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another process" in done.stderr
    assert subprocess.run(command, check=False).returncode == 0


def test_who_comes_later_waits_for_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "made" / ".lock"
    code = (
        "import sys, pathlib, ganzoo.files.locks as f\n"
        "print('begun', flush=True)\nwith f.locked(pathlib.Path(sys.argv[1])) as held: print(held, flush=True)"
    )
    with locked(path) as held:
        assert held
        other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
    assert other.communicate(timeout=60)[0] == "True\n"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_where_there_are_no_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, "no locks available")

    monkeypatch.setattr("filelock.FileLock._acquire", refuse)
    with locked(tmp_path / "a") as held:
        assert not held
    with exclusive(tmp_path / "b"):
        pass


def test_on_a_file_system_without_flock_no_file_is_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Lustre that is mounted so: a file that a killed process has left would be held for ever."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    (tmp_path / "a").touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert not is_held(tmp_path / "a")
    for _ in range(2):
        with locked(tmp_path / "a") as held:
            assert not held
        with exclusive(tmp_path / "a") as held:
            assert not held


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_lock_that_cannot_be_made_is_no_lock_held(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot write"), exclusive(tmp_path / ".lock"):
        pass


@pytest.mark.parametrize("refusals", [2, 1000])
def test_a_file_that_somebody_has_open(refusals: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where it cannot be replaced."""
    file, replace, asked = tmp_path / "table.csv", os.replace, []

    def refuse(source: Path, target: Path) -> None:
        asked.append(target)
        if len(asked) <= refusals:
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(source, target)

    file.write_text("old")
    monkeypatch.setattr("ganzoo.files.writing._HELD_OPEN", True)
    monkeypatch.setattr("ganzoo.files.writing._PAUSES", (0, 0, 0))
    monkeypatch.setattr("os.replace", refuse)
    if refusals == 2:
        write_text(file, "new")
        assert file.read_text() == "new"
    else:
        with pytest.raises(UserError, match="Permission denied") as caught:
            write_text(file, "new")
        assert caught.value.cure.startswith("close it in the program that has it open")
        assert (file.read_text(), len(asked)) == ("old", 4)
    assert list(tmp_path.iterdir()) == [file]
