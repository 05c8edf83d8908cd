"""Workers are not left behind, whatever ends the one who started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ganzoo.bench import executors
from ganzoo.bench.jobs import Job, plan_jobs
from ganzoo.config.layers import build_config
from ganzoo.errors import RunError
from ganzoo.files.progress import Event, listening
from ganzoo.zoo.registry import Registry


@pytest.fixture
def jobs(registry: Registry, data_root: Path, tmp_path: Path) -> list[Job]:
    """Of a minute."""
    config = build_config(registry, variant="gan", sets=["train.kimg=300", "train.scores=none"])
    return plan_jobs(registry, [config], 2, tmp_path, data_root, [], data="")


def test_an_error_while_others_work_ends_them(jobs: list[Job]) -> None:
    folder = Path(jobs[1].out)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "result.json").write_text("{broken")
    with pytest.raises(RunError):
        executors.run_jobs(jobs, at_once=2)
    assert not multiprocessing.active_children()


def test_a_listener_that_raises_ends_them_all(jobs: list[Job]) -> None:
    told: list[str] = []

    def listen(event: Event) -> None:
        told.append(event.kind)
        if event.kind == "started":
            raise ZeroDivisionError  # at each of them

    with pytest.raises(ZeroDivisionError), listening(listen):
        executors.run_jobs(jobs, at_once=2)
    assert "started" in told
    assert not multiprocessing.active_children()


HOLD = """
import pathlib, sys
from ganzoo.files.locks import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def short(registry: Registry, root: Path, out: Path) -> list[Job]:
    sets = ["train.kimg=0.128", "train.batch_size=64", "train.scores=none", "train.snapshots=1"]
    config = build_config(registry, variant="gan", sets=sets)
    return plan_jobs(registry, [config], 2, out, root, [], data="")


def test_a_run_that_another_process_is_at_work_on_is_left_to_it_and_comes_last(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "HELD_SECONDS", 0.1)
    jobs = short(registry, data_root, tmp_path)
    first = Path(jobs[0].out)
    first.mkdir(parents=True)
    told: list[Event] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(first / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"

        def listen(event: Event) -> None:
            told.append(event)
            if event.kind == "finished" and event.job == jobs[1].title:
                assert not (first / "failure.txt").exists()
                other.stdin.write("\n")  # it leaves the run, which it has not finished
                other.stdin.close()

        with listening(listen):
            runs = executors.run_jobs(jobs)
    assert [event.job for event in told if event.kind == "finished"] == [jobs[1].title, jobs[0].title]
    assert sum("another process is at work" in str(event) for event in told) == 1
    assert all(run.read_result() is not None and not run.failure_file.exists() for run in runs)


def test_a_run_that_is_left_just_when_its_worker_gave_way_is_looked_at_again(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two benches come to a run at once: the one that comes second ends, and then nobody holds it any more."""
    job = short(registry, data_root, tmp_path)[0]
    Path(job.out).mkdir(parents=True)
    told: list[Event] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(Path(job.out) / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        asked = list[Path]()

        def is_held(lock: Path) -> bool:
            asked.append(lock)
            if len(asked) == 2:  # the worker has ended
                other.communicate("\n")
            return False

        monkeypatch.setattr(executors, "is_held", is_held)
        with listening(told.append):
            [run] = executors.run_jobs([job])
    assert [event.kind for event in told if event.kind in ("failed", "finished")] == ["finished"]
    assert run.read_result() is not None


def test_a_worker_that_comes_second_leaves_no_failure(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    from ganzoo.bench.worker import BUSY, work
    from ganzoo.files.locks import exclusive

    job = short(registry, data_root, tmp_path)[0]
    Path(job.out).mkdir(parents=True)
    with exclusive(Path(job.out) / ".lock"), pytest.raises(SystemExit) as ended:
        work(job)
    assert ended.value.code == BUSY
    assert not (Path(job.out) / "failure.txt").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("at_once", [1, 2])
def test_a_signal_as_a_worker_starts_ends_that_one_too(
    jobs: list[Job], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = executors.start_worker, list[Any]()

    def start_and_be_told(worker: Any) -> None:
        start(worker)
        started.append(worker)
        if len(started) == at_once:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(executors, "start_worker", start_and_be_told)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which workers of pytest-xdist ignore
    try:
        with pytest.raises(KeyboardInterrupt):
            executors.run_jobs(jobs, at_once=at_once)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(started) == at_once
    assert not multiprocessing.active_children()
