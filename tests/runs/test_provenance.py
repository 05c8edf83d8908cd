"""Who started a run, when and how: recorded, and no part of what the run is."""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ganzoo.config.layers import build_config
from ganzoo.files.progress import Event, Working, listening, note, tell
from ganzoo.leaderboard.table import _Keys
from ganzoo.report.runs import environment_of
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.runs.log import RunLog
from ganzoo.runs.names import folder_of
from ganzoo.runs.provenance import COMMIT, command_line, commit, provenance, utc_now
from ganzoo.zoo.registry import Registry

SETS = [
    *("variant.width=8", "train.batch_size=16", "train.kimg=0.064", "train.snapshots=1", "train.scores=none"),
    "train.pictures=0",
]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_the_command_is_as_a_shell_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/ganzoo", "train", "gan", "--out", "my runs"])
    assert command_line() == "ganzoo train gan --out 'my runs'"
    monkeypatch.setattr(sys, "argv", ["/somewhere/ganzoo/__main__.py", "list"])
    assert command_line() == "python -m ganzoo list"


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs another time zone")
def test_times_are_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "UTC-9")  # nine hours before
    time.tzset()
    try:
        told = datetime.datetime.strptime(utc_now(), "%Y-%m-%dT%H:%M:%S%z").timestamp()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert os.environ.get("TZ") == before
    assert abs(told - time.time()) < 600


@pytest.mark.parametrize(("value", "anonymous"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_a_variable_leaves_people_out(value: str, anonymous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANZOO_ANONYMOUS", value)
    assert (provenance().keys() == {"began", "started"}) is anonymous


def test_a_user_without_a_name_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", unknown)
    assert provenance()["user"] is None


def test_a_run_records_it_and_is_the_same_without_it(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, results = build_config(registry, variant="gan", dataset="digits", sets=SETS), []
    for name in ("a", "b"):
        monkeypatch.setenv("GANZOO_ANONYMOUS", str(int(name == "b")))
        results.append(run_job(registry, config, tmp_path / name, root=data_root))
    a, b = (RunDirectory(tmp_path / name) for name in "ab")
    assert set(results[0]["provenance"]) == {"began", "started", "ended", "host", "user", "command"}
    assert set(results[1]["provenance"]) == {"began", "started", "ended"}
    assert all(re.fullmatch(TIME, results[0]["provenance"][key]) for key in ("began", "started", "ended"))
    assert a.read_environment()["provenance"].items() <= results[0]["provenance"].items()
    assert results[0]["snapshots"] == results[1]["snapshots"]
    assert results[0]["environment"] == results[1]["environment"]
    assert _Keys().of(results[0]["config"]) == _Keys().of(results[1]["config"])
    assert a.config_file.read_bytes() == b.config_file.read_bytes()
    names = {folder_of(registry, config, tmp_path, "digest") for _ in range(2)}
    assert len(names) == 1
    assert "provenance" not in environment_of(a, results[0])  # a page is passed on
    told = b.log_file.read_text()
    assert "command" not in told
    assert re.search(rf"^{TIME} started on ", told)


def test_a_run_that_goes_on_began_when_it_began(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run_job(registry, build_config(registry, variant="gan", dataset="digits", sets=SETS), run.path, root=data_root)
    document = json.loads(run.env_file.read_text())
    document["provenance"]["began"] = "2001-01-01T00:00:00Z"
    run.env_file.write_text(json.dumps(document))
    longer = build_config(registry, variant="gan", dataset="digits", sets=[*SETS, "train.kimg=0.128"])
    result = run_job(registry, longer, run.path, root=data_root)
    assert result["provenance"]["began"] == "2001-01-01T00:00:00Z"
    assert result["provenance"]["started"] > "2020"
    lines = run.log_file.read_text().splitlines()
    assert all(re.match(TIME, line) for line in lines)
    told = [line.partition(" ")[2] for line in lines]
    assert sum(line.startswith("started") for line in told) == 2
    assert "snapshot at 0.064 kimg" in told
    assert any(line.startswith("continuing at 0.064 kimg") for line in told)
    assert told[-1].startswith("done at 0.128 kimg, ")


def test_a_bug_is_in_the_log(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    class Breaks:
        def on_status(self, status: Any) -> None: ...

        def on_snapshot(self, snapshot: Any) -> None:
            raise ZeroDivisionError("my mistake")

        def on_end(self, result: dict[str, Any]) -> None: ...

    config = build_config(registry, variant="gan", dataset="digits", sets=SETS)
    with pytest.raises(ZeroDivisionError):
        run_job(registry, config, tmp_path / "run", root=data_root, observers=[Breaks()])
    assert (tmp_path / "run" / "log.txt").read_text().endswith("ended by ZeroDivisionError: my mistake\n")


def test_what_took_a_while_is_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, clock = RunLog(RunDirectory(tmp_path)), [100.0]
    told: list[Event] = []
    monkeypatch.setattr("ganzoo.runs.log.time.monotonic", lambda: clock[0])
    with listening(told.append), log.hearing():
        for what, done, seconds in (
            ("scoring", 1, 2.0),
            ("scoring", 2, 1.0),
            ("loading", 0, 0.5),
            ("decoding", 0, 4.0),
        ):
            tell(Working(what=what, done=done, total=3))
            clock[0] += seconds
        tell(Working(what="decoding", ended=True))
        note("line one\nline \x1b[31mtwo")
    assert len(told) == 6  # and whoever else listens hears all
    lines = [line.partition(" ")[2] for line in log._file.read_text().splitlines()]
    assert lines[:2] == ["scoring, 3 s", "decoding, 4 s"]
    assert len(lines) == 3  # whatever a text holds, it is one line
    assert "\x1b" not in lines[2]


def test_no_run_ends_for_its_log(tmp_path: Path) -> None:
    (tmp_path / "log.txt").mkdir()
    RunLog(RunDirectory(tmp_path)).line("lost")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ('{"commit": "abc", "dirty": true}', {"commit": "abc", "dirty": True}),
        ("null", None),
        ("abc", None),
        (None, None),
    ],
)
def test_code_that_was_brought_has_the_commit_of_where_it_came_from(
    told: str | None, found: dict[str, Any] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(COMMIT, raising=False)
    if told is not None:
        monkeypatch.setenv(COMMIT, told)
    monkeypatch.setattr("ganzoo.runs.provenance.__file__", str(tmp_path / "ganzoo" / "runs" / "provenance.py"))
    assert commit() == found
    (tmp_path / ".git").mkdir()  # its own is asked, which is damaged
    assert commit() is None
