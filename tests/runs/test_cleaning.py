"""`ganzoo clean`: what it removes, what it never touches."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import GanZoo

from ganzoo.cli.main import cli
from ganzoo.errors import RunError, SettingError
from ganzoo.files.locks import exclusive
from ganzoo.runs.cleaning import clean
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.integrity import check_runs

Write = Callable[..., dict[str, Any]]
Folder = Callable[..., Path]

SIZES = {"snapshots/000000.000.safetensors": 1000, "snapshots/000000.500.safetensors": 1000,
         "snapshots/000001.000.safetensors": 1000, "state/latest.pt": 5000, "state/previous.pt": 5000,
         "samples/000001.000.png": 10, "pictures/000001.000.png": 10, "neighbours/000001.000.png": 10,
         "notes.txt": 7, "snapshots/mine.safetensors": 7, "state/mine.pt": 7}  # fmt: skip


@pytest.fixture
def run_in(write_run: Write, tmp_path: Path) -> Folder:
    """`run_in("runs/a")`: a finished run with three snapshots, of which the middle one is the best, and two states."""

    def make(name: str, *, finished: bool = True, **options: Any) -> Path:
        folder = tmp_path / name
        result = write_run(folder, **options)
        for file, size in SIZES.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(b"x" * size)
        lines = [result["last"] | {"images": n, "kimg": n / 1000, "values": {"fid": fid}} for n, fid in FIDS.items()]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if not finished:
            (folder / "result.json").unlink()
        return folder

    return make


FIDS = {0: 90.0, 500: 5.0, 1000: 10.0}


def left(folder: Path) -> set[str]:
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    return files - {"config.json", "result.json", "metrics.jsonl", "run.json", ".lock"}


def removed(folder: Path) -> set[str]:
    return set(SIZES) - left(folder)


OLD = "snapshots/000000.000.safetensors"
BEST = "snapshots/000000.500.safetensors"


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ({}, {OLD, "state/previous.pt"}),
        ({"keep": "last"}, {OLD, BEST, "state/previous.pt", "state/latest.pt"}),
        ({"keep": "last,best"}, {OLD, "state/previous.pt", "state/latest.pt"}),
        ({"keep": "all"}, set()),
        ({"keep": "all", "states": True}, {"state/previous.pt", "state/latest.pt"}),
        ({"states": True}, {OLD, "state/previous.pt", "state/latest.pt"}),
    ],
)
def test_what_is_removed(options: dict[str, Any], gone: set[str], run_in: Folder, tmp_path: Path) -> None:
    folder = run_in("runs/a")
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    result = (folder / "result.json").read_bytes()

    planned = list(clean([tmp_path], **options, dry_run=True))
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before  # not even a lock

    done = list(clean([tmp_path], **options))
    assert [run.to_dict() for run in done] == [run.to_dict() for run in planned]
    assert removed(folder) == gone
    assert sum(run.bytes for run in done) == sum(SIZES[name] for name in gone)
    assert (folder / "result.json").read_bytes() == result
    assert list(clean([tmp_path], **options)) == []


def test_a_runs_own_choice_is_what_stays(run_in: Folder, tmp_path: Path) -> None:
    everything, little = run_in("runs/a", sets=("train.keep=all",)), run_in("runs/b", sets=("train.keep=last",))
    list(clean([tmp_path]))
    assert removed(everything) == set()
    assert removed(little) == {OLD, BEST, "state/previous.pt", "state/latest.pt"}


def test_what_was_cleaned_away_is_not_missing(run_in: Folder, tmp_path: Path) -> None:
    import hashlib

    folder = run_in("runs/a")
    result = json.loads((folder / "result.json").read_text())
    names = [file.stem for file in RunDirectory(folder).snapshots()]
    result["snapshots"] = dict.fromkeys(names, hashlib.sha256(b"x" * 1000).hexdigest())
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "snapshots" / "mine.safetensors").unlink()
    list(clean([tmp_path]))
    (checked,) = check_runs([tmp_path])
    assert (checked.problems, checked.snapshots) == ((), 2)
    (folder / "snapshots" / "000001.000.safetensors").unlink()  # by another hand
    (checked,) = check_runs([tmp_path])
    assert checked.problems == ("snapshot 000001.000 is missing",)


def test_the_results_own_best_and_last_stay_whatever_else_lies_there(run_in: Folder, tmp_path: Path) -> None:
    """Where metrics.jsonl was lost, and where somebody has put a file of such a name."""
    folder = run_in("runs/a")
    (folder / "metrics.jsonl").unlink()
    mine = folder / "snapshots" / "000999.000.safetensors"
    mine.write_bytes(b"mine")
    result = json.loads((folder / "result.json").read_text())
    result["best"] = result["last"] | {"images": 500, "kimg": 0.5}
    result["snapshots"] = {f"{images / 1000:010.3f}": "0" * 64 for images in FIDS}
    (folder / "result.json").write_text(json.dumps(result))
    list(clean([tmp_path], keep="last,best"))
    assert removed(folder) == {OLD, "state/previous.pt", "state/latest.pt"}
    list(clean([tmp_path], keep="last"))
    assert removed(folder) == {OLD, BEST, "state/previous.pt", "state/latest.pt"}
    assert mine.read_bytes() == b"mine"


def test_what_cannot_be_removed_is_said_beside_what_was(
    run_in: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_in("runs/a")
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name == "previous.pt":
            raise PermissionError(1, "Operation not permitted")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    cli.main(["clean", str(tmp_path)], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"removed 1 snapshot (0.0 MB); cannot remove {folder}/state/previous.pt: "
                             "Operation not permitted")  # fmt: skip
    assert lines[1] == "removed 0.0 MB of 1 run"
    assert removed(folder) == {OLD}


def test_a_run_at_work_is_left_alone(run_in: Folder, tmp_path: Path) -> None:
    busy, other = run_in("runs/busy"), run_in("runs/other")
    for dry_run in (True, False):
        with exclusive(busy / ".lock"):
            found = {run.path: run for run in clean([tmp_path], dry_run=dry_run)}
        assert found[str(busy)].why_not == f"another process is at work in {busy}"
        assert found[str(other)].bytes == 6000
    assert removed(busy) == set()
    assert removed(other) == {OLD, "state/previous.pt"}


def test_where_there_are_no_locks_nothing_is_removed(
    run_in: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    import filelock

    def refuse(self: Any, **options: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    folder = run_in("runs/a")
    (folder / ".lock").touch()
    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    for dry_run in (True, False):
        (found,) = clean([tmp_path], dry_run=dry_run)
        assert "no locks" in found.why_not
    assert removed(folder) == set()


def test_of_a_run_that_is_not_finished_what_it_needs_stays(run_in: Folder, tmp_path: Path) -> None:
    unfinished, longer = run_in("runs/a", finished=False), run_in("runs/b")
    config = json.loads((longer / "config.json").read_text())
    config["train"]["kimg"] = 2 * config["train"]["kimg"]  # it was given a larger budget, and stopped
    (longer / "config.json").write_text(json.dumps(config))
    (unfinished / "state" / ".latest.pt.4711.tmp").write_bytes(b"half")
    done = list(clean([tmp_path], states=True))
    assert [run.leftovers for run in done] == [[unfinished / "state" / ".latest.pt.4711.tmp"]]
    assert removed(unfinished) == removed(longer) == set()


def test_what_is_no_run_or_lies_elsewhere_is_not_touched(run_in: Folder, tmp_path: Path) -> None:
    outside = run_in("outside/a")
    run_in("runs/b")
    other = tmp_path / "runs" / "program"  # another program's config.json
    (other / "snapshots").mkdir(parents=True)
    (other / "config.json").write_text('{"layers": 3}')
    (other / "result.json").write_text("{}")
    (other / "snapshots" / "000000.000.safetensors").write_bytes(b"mine")
    (tmp_path / "runs" / "link").symlink_to(outside)
    inside = run_in("runs/c")
    for name in ("snapshots", "state"):  # folders of a run that are links to another's
        for file in (inside / name).iterdir():
            file.unlink()
        (inside / name).rmdir()
        (inside / name).symlink_to(outside / name)
    list(clean([tmp_path / "runs"], keep="last"))
    assert removed(outside) == set()
    assert (other / "snapshots" / "000000.000.safetensors").read_bytes() == b"mine"
    assert not (other / ".lock").exists()


def test_a_run_whose_records_cannot_be_read_is_named_and_left(run_in: Folder, tmp_path: Path) -> None:
    folder, other = run_in("runs/a"), run_in("runs/b")
    (folder / "result.json").write_text('{"schema": 2')
    found = {run.path: run.why_not for run in clean([tmp_path])}
    assert "result.json" in found[str(folder)]
    assert removed(folder) == set()
    assert removed(other) == {OLD, "state/previous.pt"}


def test_only_what_is_older(run_in: Folder, tmp_path: Path) -> None:
    old, new = run_in("runs/old"), run_in("runs/new")
    before = time.time() - 3 * 86400
    os.utime(old / "result.json", (before, before))
    assert [run.path for run in clean([tmp_path], older_than=2.5)] == [str(old)]
    assert list(clean([tmp_path], older_than=3.5)) == []
    assert removed(new) == set()


def test_the_command(run_in: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str], ganzoo: GanZoo) -> None:
    folder = run_in("runs/a")

    def say(*arguments: Any) -> str:
        cli.main(["clean", *map(str, arguments)], standalone_mode=False)
        return capsys.readouterr().out

    runs = tmp_path / "runs"
    line = f"{folder}: would remove 1 snapshot (0.0 MB), 1 state (0.0 MB)\nwould remove 0.0 MB of 1 run\n"
    assert say(runs, "--dry-run") == line
    document = json.loads(say(runs, "--dry-run", "--json"))
    assert (document["bytes"], document["dry_run"]) == (6000, True)
    assert [file["bytes"] for file in document["runs"][0]["files"]] == [1000, 5000]
    assert say(runs) == line.replace("would remove", "removed")
    assert say(runs) == "nothing to remove\n"
    with pytest.raises(SettingError, match="with last in it"):
        say(runs, "--keep", "best")
    with pytest.raises(RunError, match="does not exist"):
        say(tmp_path / "nowhere")


@pytest.mark.parametrize("days", [float("nan"), -1.0])
def test_days_that_are_none_are_refused(days: float, run_in: Folder, tmp_path: Path) -> None:
    run_in("runs/a")
    with pytest.raises(SettingError, match="is no number of days"):
        list(clean([tmp_path], older_than=days))
