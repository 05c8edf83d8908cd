"""Lines and JSON lines: what is said, how often, where to, and that nobody's absence disturbs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.cli import progress
from ganzoo.cli.lines import Json, Lasting, Plain, Quiet
from ganzoo.cli.main import cli
from ganzoo.cli.progress import consumer, showing
from ganzoo.errors import RunError
from ganzoo.files.progress import Event, Note, Working, tell
from ganzoo.runs.events import Diagnosed, Ended, Failed, Finished, Interrupted, Planned, Resumed, Scored, Tick

OPTIONS = ["--kimg", "0.1", "--num-images", "70", "--set", "train.batch_size=16", "--set", "eval.metrics=fid",
           "--set", "train.snapshots=2", "--set", "variant.width=8"]  # fmt: skip


class Time:
    """Of the lines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("ganzoo.cli.lines.time.monotonic", lambda: self.now)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def tick(kimg: float, job: str = "gan") -> Tick:
    return Tick(
        job=job, kimg=kimg, progress=kimg / 4, seconds=kimg, seconds_left=4 - kimg, img_per_s=1000.0,
        values={"d_loss": 1.5, "g_loss": 0.25},
    )  # fmt: skip


def lines_of(events: list[Event]) -> list[str]:
    out = io.StringIO()
    plain = Plain(Lasting(out))
    for event in events:
        plain(event)
    return out.getvalue().splitlines()


def test_what_has_to_be_seen_is_said_right_after_another_line(time: Time) -> None:
    told = [Working(job="gan", what="loading"), Working(job="gan", what="scoring", total=9), Note(job="gan", text="so")]
    assert lines_of(told) == ["gan: loading", "gan: so"]


def test_ticks_have_the_latest_fid_and_are_not_too_many(time: Time) -> None:
    out = io.StringIO()
    plain = Plain(Lasting(out))
    plain(tick(0.5))
    plain(tick(0.6))
    plain(tick(0.5, job="dcgan"))  # another run's time is its own
    plain(Scored(job="gan", kimg=0.0, values={"fid": 298.1}, seconds=1.0))
    time.now += 2.0
    plain(tick(1.0))
    plain(Scored(job="gan", kimg=1.0, values={"fid": 31.25, "is": 2.0}, seconds=1.0))
    time.now += 2.0
    plain(tick(2.0))
    assert out.getvalue().splitlines() == [
        "gan: 0.5 kimg  1,000 img/s  D 1.500  G 0.250  0:04 left",
        "dcgan: 0.5 kimg  1,000 img/s  D 1.500  G 0.250  0:04 left",
        "gan: 1.0 kimg  1,000 img/s  D 1.500  G 0.250  0:03 left",
        "gan: 1 kimg: FID 31.25  IS 2.00",
        "gan: 2.0 kimg  1,000 img/s  D 1.500  G 0.250  FID 31.2  0:02 left",
    ]


def test_long_work_says_how_long_it_takes(time: Time) -> None:
    out = io.StringIO()
    plain = Plain(Lasting(out))
    for done in range(0, 101, 10):
        plain(Working(what="decoding faces", done=done, total=100))
        time.now += 5.0
    plain(Working(what="decoding faces", done=100, total=100, ended=True))
    assert out.getvalue().splitlines() == [
        "decoding faces: 0/100 images",
        *(f"decoding faces: {done}/100 images  0:{(100 - done) // 2:02d} left" for done in (20, 40, 60, 80, 100)),
    ]


def test_control_characters_are_not_passed_on(time: Time) -> None:
    assert lines_of([Note(text="a\x1b[2Jb\nc")]) == ["a\ufffd[2Jb\ufffdc"]


def test_ends_of_a_bench_are_said_those_of_a_run_are_the_commands_own(time: Time) -> None:
    ends: list[Event] = [Failed(job="gan", cause="a bug"), Interrupted(job="gan", text="stopped"), Ended()]
    assert lines_of(ends) == []
    planned = Planned(jobs=("gan", "dcgan"), at_once=2)
    assert lines_of([planned, *ends]) == ["2 runs, 2 at a time", "gan: failed: a bug", "gan: stopped"]


def test_quiet_says_what_a_bench_would_not_say_otherwise() -> None:
    out = io.StringIO()
    quiet = Quiet(Lasting(out))
    told: list[Event] = [Planned(jobs=("a", "b")), Note(text="x"), tick(1.0), Failed(job="a", cause="a bug"), Ended()]
    for event in told:
        quiet(event)
    assert out.getvalue() == "a: failed: a bug\n"


def test_every_json_line_is_strict_json() -> None:
    out = io.StringIO()
    lines = Json(Lasting(out))
    lines(tick(float("nan")))
    lines(Resumed(kimg=1.0, lost_kimg=0.5, values={"fid": float("inf")}))
    first, second = (json.loads(line, parse_constant=pytest.fail) for line in out.getvalue().splitlines())
    assert (first["schema"], first["event"], first["job"], first["kimg"]) == (1, "tick", "gan", None)
    assert first["values"] == {"d_loss": 1.5, "g_loss": 0.25}
    assert first["time"] > 1e9
    assert second["values"] == {"fid": None}


def test_a_stream_that_is_gone_is_written_to_no_more() -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", buffering=1)
    lasting = Lasting(stream)
    lasting.write("heard\n")
    os.close(reading)
    for _ in range(3):
        lasting.write("unheard\n")
        lasting.flush()
    stream.close()  # what was in its buffer went nowhere, and raises nothing


def test_there_may_never_have_been_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    for one in (consumer(), consumer("json"), consumer(quiet=True)):
        one(Note(text="unheard"))
        one.close()


def test_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(consumer(), Plain)
    assert isinstance(consumer("json", quiet=True), Json)
    assert isinstance(consumer(quiet=True), Quiet)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert type(consumer()).__name__ == "Board"
    assert isinstance(consumer("plain"), Plain)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(consumer(), Plain)


def test_an_error_is_the_last_line_of_json_and_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left, showing("json"):
        raise RunError("no such run", "name another")
    assert left.value.code == 2
    *_, last = map(json.loads, capsys.readouterr().err.splitlines())
    assert (last["event"], last["cause"], last["cure"]) == ("failed", "no such run", "name another")
    with pytest.raises(RunError), showing("plain"):
        raise RunError("no such run", "name another")


def test_the_commands_json(data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "gan", *OPTIONS, "--data-root", str(data_root), "--out", str(tmp_path / "run")]
    cli.main([*command, "--log-format", "json", "--json"], standalone_mode=False)
    captured = capsys.readouterr()
    (table,) = json.loads(captured.out)
    told = [json.loads(line) for line in captured.err.splitlines()]
    kinds = [one["event"] for one in told]
    assert (told[0]["what"], kinds[-1]) == ("loading torch", "ended")
    order = ["started", "tick", "scored", "finished"]
    assert sorted(order, key=kinds.index) == order
    assert {one["job"] for one in told if one["event"] in order} == {"gan"}
    last = next(one for one in told if one["event"] == "finished")
    assert last["values"]["fid"] == pytest.approx(table["rows"][-1]["numbers"]["fid"]["mean"])
    cli.main([*command, "--quiet"], standalone_mode=False)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "FID" in captured.out


def test_a_closed_pipe_does_not_end_a_training(data_root: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "ganzoo", "train", "gan", *OPTIONS, "--data-root", str(data_root), "--out", "run"]
    done = subprocess.run(command, cwd=tmp_path, stderr=writing, stdout=subprocess.PIPE, timeout=200, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert b"result: run" in done.stdout
    assert (tmp_path / "run" / "result.json").exists()


def test_show_progress_begins_anew_after_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(progress, "consumer", lambda: made.append(Plain(Lasting(sys.stderr))) or made[-1])
    for _ in range(2):
        ganzoo.show_progress(Note(text="hello"))
        ganzoo.show_progress(Ended())
    assert capsys.readouterr().err == "hello\nhello\n"
    assert len(made) == 2


def test_a_notebook_renews_one_output(monkeypatch: pytest.MonkeyPatch) -> None:
    from ganzoo.cli.notebook import Notebook

    shown: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], raw: bool) -> None:
            shown.append(data["text/plain"])

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Handle:
        shown.append(data["text/plain"])
        return Handle()

    module = type(sys)("IPython.display")
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", type(sys)("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    notebook = Notebook()
    finished = Finished(job="gan", status="done", kimg=4.0, values={}, img_per_s=9.0, seconds=1.0, path="x")
    found = Diagnosed(job="gan", rule="d-wins", kimg=1.0, text="D wins", cure="try", link="page")
    for event in (tick(1.0), found, finished, Ended()):
        notebook(event)
    assert "1.0 kimg" in shown[0]
    assert shown[-1].splitlines() == ["gan: D wins; try (page)", "gan: done  4.0 kimg  9 img/s  0:01"]
    assert all("\x1b" not in text for text in shown)


def test_events_outside_a_display_are_nobodys(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Note(text="unheard"))
    assert capsys.readouterr().err == ""
