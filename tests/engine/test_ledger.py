"""Where a job's wall clock went: parts that add up to it, from the start of its process, over all its starts."""

from __future__ import annotations

import io
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import ganzoo.runs.job
import ganzoo.runs.snapshot_taker
from ganzoo.__main__ import main
from ganzoo.bench.jobs import plan_jobs
from ganzoo.bench.worker import work
from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.engine.ledger import PARTS, Ledger, _age, process_began, wall_seconds
from ganzoo.files.writing import sealed
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry

TINY = [
    "variant.width=16", "train.batch_size=16", "train.kimg=0.16", "train.tick_kimg=0.032", "train.tick_seconds=0",
    "train.snapshots=2", "eval.num_images=60", "eval.metrics=kid",
]  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_goes_to_one_part_at_a_time() -> None:
    clock = Clock()
    ledger = Ledger(90.0, clock)
    ledger.take_up({"train": 1000.0, "rest": 1.0})
    clock.now += 1
    with ledger.of("score"):
        clock.now += 2
        with ledger.of("ticks"):
            clock.now += 4
        clock.now += 8
    clock.now += 16
    assert ledger.seconds("start") == 10 + 1 + 16
    ledger.turn_to("train")
    clock.now += 32
    assert ledger.seconds("train") == 1032
    assert ledger.seconds("start") == 27
    with pytest.raises(ZeroDivisionError), ledger.of("ticks"):
        raise ZeroDivisionError
    clock.now += 64
    spent = ledger.spent()
    assert spent == {"start": 27, "train": 1096, "ticks": 4, "score": 10, "rest": 1}
    assert wall_seconds(spent) == 1001 + clock.now - 90


def test_the_age_of_a_process() -> None:
    """The name may hold anything."""
    fields = " ".join(["S", *"1" * 18, "250", "99"])
    assert _age(f"7 (a) b ) {fields}".encode(), 10.0, 100) == 7.5
    assert _age(f"7 (a) {fields}".encode(), 2.49, 100) == 0.0  # rounded up
    assert _age(b"7 (a) " + " ".join(["S", *"1" * 18, "0"]).encode(), 10.0, 100) == 0.0  # not told
    assert process_began() <= time.perf_counter()


class Slow:
    """An observer that takes ten seconds of the clock for each tick."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_status(self, status: Any) -> None:
        self.clock.now += 10

    def on_snapshot(self, snapshot: Any) -> None: ...

    def on_end(self, result: dict[str, Any]) -> None: ...


def test_every_second_of_a_job_is_in_a_number(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(ganzoo.runs.job, "Ledger", lambda began: Ledger(clock.now - 5, clock))

    def taking(seconds: float, original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            clock.now += seconds
            return original(*arguments, **options)

        return call

    for owner, name, seconds in (
        (ganzoo.runs.job, "build_gan", 1.0),
        (ganzoo.runs.snapshot_taker, "save_snapshot", 100.0),
        (ganzoo.runs.snapshot_taker, "floors", 1000.0),
        (ganzoo.runs.job, "snapshot_hashes", 3.0),
        (Scorer, "score_generator", 10_000.0),
        (ganzoo.engine.step.Step, "advance", 0.5),
    ):
        monkeypatch.setattr(owner, name, taking(seconds, getattr(owner, name)))
    config = build_config(registry, variant="gan", sets=[*TINY, "eval.every=1"])
    seconds = run_job(registry, config, tmp_path / "run", root=data_root, observers=[Slow(clock)])["seconds"]
    ticks = len(RunDirectory(tmp_path / "run").stats())
    assert ticks == 6  # of 10 steps: after every second, and after the fifth
    assert seconds == {
        "start": 5 + 1 + 100,
        "train": 10 * 0.5,
        "ticks": ticks * 10 + 2 * 100,
        "score": 1000 + 3 * 10_000,
        "rest": 3,
        "wall": clock.now - 95,
    }


def test_parts_add_up_over_all_starts(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    class Stopper(Slow):
        def on_status(self, status: Any) -> None:
            if status.images > 80:
                raise KeyboardInterrupt

    config = build_config(registry, variant="gan", sets=TINY)
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run_job(registry, config, run.path, root=data_root, observers=[Stopper(Clock())])
    state = torch.load(run.state_file, weights_only=True)
    assert state["spent"].keys() == {"start", "ticks", "score"}
    assert state["wall_seconds"] >= state["seconds"] + sum(state["spent"].values())
    began = time.perf_counter() - 1000
    seconds = run_job(registry, config, run.path, root=data_root, began=began)["seconds"]
    assert seconds.keys() == {*PARTS, "wall"}
    assert seconds["wall"] == pytest.approx(sum(seconds[part] for part in PARTS))
    assert seconds["start"] >= 1000 + state["spent"]["start"]
    assert seconds["train"] > state["seconds"]
    assert all(value >= 0 for value in seconds.values())

    run.result_file.unlink()  # a state of before, which has no parts
    state = torch.load(run.state_file, weights_only=True)
    del state["spent"]
    buffer = io.BytesIO()
    torch.save(state | {"wall_seconds": 5000.0}, buffer)
    run.state_file.write_bytes(sealed(buffer.getvalue()))
    seconds = run_job(registry, config, run.path, root=data_root)["seconds"]
    assert 5000 <= seconds["wall"] == pytest.approx(sum(seconds[part] for part in PARTS))
    assert seconds["rest"] >= 5000 - seconds["train"]


def test_train_counts_from_the_start_of_its_process(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [part for text in (*TINY, "train.scores=none") for part in ("--set", text)]
    command = ["train", "gan", *sets, "--data-root", str(data_root), "--out", str(tmp_path / "run")]
    cli.main(command, standalone_mode=False, obj=time.perf_counter() - 1000)
    seconds = (RunDirectory(tmp_path / "run").read_result() or {})["seconds"]
    assert 1000 <= seconds["start"] <= seconds["wall"]

    given: list[float] = []
    monkeypatch.setattr(cli, "main", lambda **options: given.append(options["obj"]))
    monkeypatch.setattr(sys, "argv", ["ganzoo"])
    before = time.perf_counter()
    with pytest.raises(SystemExit):
        main()
    assert given[0] < before  # the suite has been running for some time


def test_a_job_of_a_bench_counts_from_the_start_of_its_worker(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Parent:
        def join(self) -> None:
            threading.Event().wait()

    given: list[float | None] = []
    monkeypatch.setattr(ganzoo.runs.job, "run_job", lambda *arguments, **options: given.append(options["began"]))
    monkeypatch.setattr("ganzoo.bench.worker.process_began", lambda: 7.0)
    config = build_config(registry, variant="gan", sets=TINY)
    (job,) = plan_jobs(registry, [config], 1, tmp_path, data_root, [], data="")
    monkeypatch.setattr("ganzoo.bench.worker.end_with_parent", lambda: None)
    work(job)
    monkeypatch.setattr("multiprocessing.parent_process", Parent)
    work(job)
    assert given == [None, 7.0]
