"""Workers are not left behind, whatever ends the one who started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
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


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("at_once", [1, 2])
def test_a_signal_as_a_worker_starts_ends_that_one_too(
    jobs: list[Job], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = executors._start, list[Any]()

    def start_and_be_told(worker: Any) -> None:
        start(worker)
        started.append(worker)
        if len(started) == at_once:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(executors, "_start", start_and_be_told)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which workers of pytest-xdist ignore
    try:
        with pytest.raises(KeyboardInterrupt):
            executors.run_jobs(jobs, at_once=at_once)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(started) == at_once
    assert not multiprocessing.active_children()
