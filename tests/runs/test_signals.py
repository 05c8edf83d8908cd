"""SIGINT, SIGTERM and SIGHUP: the state is saved at that very step, it is said how to go on, and no process is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.engine.step import Step
from ganzoo.engine.stopping import Stop, Stopped, stop_on_signals
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.registry import Registry

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

SETS = ["train.kimg=0.32", "train.batch_size=16", "train.tick_kimg=0.048", "train.snapshots=4", "variant.width=16"]
SETS += ["train.keep=all", "train.tick_seconds=0", "eval.num_images=60", "eval.metrics=kid", "eval.every=2"]
TIMELESS = ("images", "d_loss", "g_loss", "d_accuracy", "diversity")


@pytest.fixture(scope="module")
def config(registry: Registry) -> RunConfig:
    return build_config(registry, variant="gan", sets=SETS)


@pytest.fixture(scope="module")
def whole(
    registry: Registry, config: RunConfig, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    """The run that nothing has stopped."""
    path = tmp_path_factory.mktemp("whole")
    run_job(registry, config, path, root=data_root)
    return RunDirectory(path)


def assert_same(ours: RunDirectory, theirs: RunDirectory) -> None:
    files = [[(file.name, file.read_bytes()) for file in run.snapshots()] for run in (ours, theirs)]
    assert files[0] == files[1]
    stats = [[[line.get(key) for key in TIMELESS] for line in run.stats()] for run in (ours, theirs)]
    assert stats[0] == stats[1]
    scores = [[(record["images"], record["values"]) for record in run.metrics()] for run in (ours, theirs)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("at", [1, 2, 3, 5, 7, 10, 19, 20])  # ticks end at 3, 5, 6, ..., snapshots are at 5, 10, 15, 20
def test_a_run_stopped_after_any_step_ends_with_the_same_bytes(
    registry: Registry,
    config: RunConfig,
    whole: RunDirectory,
    data_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    stop = Stop()
    original = Step.advance

    def advance(self: Step, room: int) -> None:
        original(self, room)
        if self.state.step == at:
            stop.requested = signal.SIGTERM

    with monkeypatch.context() as patch:
        patch.setattr(Step, "advance", advance)
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            run_job(registry, config, tmp_path, root=data_root, stop=stop)
    run = RunDirectory(tmp_path)
    assert torch.load(run.state_file, weights_only=True)["step"] == at
    assert run.read_result() is None
    torch.manual_seed(999)
    run_job(registry, config, tmp_path, root=data_root)
    assert_same(run, whole)


def test_a_run_stopped_while_it_scores_is_scored_later(
    registry: Registry,
    config: RunConfig,
    whole: RunDirectory,
    data_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There the handler raises at once: what was trained has been saved."""
    stop = Stop()
    original = Scorer.score_generator
    scored = 0

    def score(self: Scorer, *arguments: Any, **options: Any) -> Any:
        nonlocal scored
        scored += 1
        if scored == 2:
            stop.note(signal.SIGHUP)
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "score_generator", score)
        with pytest.raises(Stopped) as caught:
            run_job(registry, config, tmp_path, root=data_root, stop=stop)
    assert caught.value.code == 129
    assert " at 0.16 kimg, state saved" in caught.value.text
    assert torch.load(RunDirectory(tmp_path).state_file, weights_only=True)["step"] == 10
    run_job(registry, config, tmp_path, root=data_root)
    assert_same(RunDirectory(tmp_path), whole)


def test_stopped_before_the_first_step(
    registry: Registry, config: RunConfig, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    with monkeypatch.context() as patch:
        patch.setattr("ganzoo.runs.snapshot_taker.save_snapshot", lambda *given, **more: stop.note(signal.SIGTERM))
        with pytest.raises(Stopped) as caught:
            run_job(registry, config, tmp_path, root=data_root, stop=stop)
    assert " before the first step" in caught.value.text
    assert not RunDirectory(tmp_path).state_file.exists()


def test_a_request_before_training_leaves_what_the_same_call_begins(
    registry: Registry, config: RunConfig, whole: RunDirectory, data_root: Path, tmp_path: Path
) -> None:
    stop = Stop(threads=True)
    stop.note(signal.SIGTERM)
    with pytest.raises(Stopped):
        run_job(registry, config, tmp_path / "run", root=data_root, stop=stop)
    run_job(registry, config, tmp_path / "run", root=data_root)
    assert_same(RunDirectory(tmp_path / "run"), whole)


def test_handlers_are_put_back_and_what_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background of a shell has it ignored
    try:
        again: list[int] = []
        with stop_on_signals(again=again.append) as stop:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with contextlib.suppress(Stopped), stop.held_back():
                os.kill(os.getpid(), signal.SIGTERM)
                assert stop.requested == signal.SIGTERM  # held back: only noted
                signal.raise_signal(signal.SIGINT)
                assert again == []  # an echo of the first
                monkeypatch.setattr("ganzoo.engine.stopping.ECHO_SECONDS", 0.0)
                signal.raise_signal(signal.SIGINT)
                assert again == [signal.SIGINT]
        with stop_on_signals(), pytest.raises(Stopped, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
    finally:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGHUP, before[2])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path, data_root: Path) -> Iterator[Start]:
    """`start("train", "gan")` runs the command line as a group of processes of its own, its stderr in `err`."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, ignored: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        def prepare() -> None:  # a suite that is run in the background of a shell has SIGINT ignored
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        sets = [part for text in (*SETS, "train.kimg=5000", "train.snapshots=1") for part in ("--set", text)]
        command = [sys.executable, "-m", "ganzoo", *arguments, *sets, "--data-root", str(data_root), "--out", "out"]
        with (tmp_path / "err").open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=err,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                preexec_fn=prepare,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def trains(folder: Path, lines: int = 3) -> Callable[[], bool]:
    """Whether a run under `folder` has come to its third tick."""
    return lambda: any(file.read_text().count("\n") >= lines for file in folder.rglob("stats.jsonl"))


def group_is_gone(process: subprocess.Popen[bytes]) -> bool:
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Processes of its group that work on jobs; multiprocessing's own bookkeeper may close up a moment later."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ProcessLookupError):
            if os.getpgid(int(entry.name)) == process.pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def saved_step(folder: Path) -> int:
    (file,) = folder.rglob("latest.pt")
    return int(torch.load(file, weights_only=True)["step"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_train_saves_says_and_exits(start: Start, tmp_path: Path, number: int, code: int) -> None:
    process = start("train", "gan")
    wait_for(trains(tmp_path / "out"))
    process.send_signal(number)
    process.send_signal(number)  # an echo, as `timeout` and `uv run` make
    assert process.wait(timeout=20) == code
    name = signal.Signals(number).name
    images = saved_step(tmp_path / "out") * 16
    assert images >= 3 * 48
    said = f"stopped by {name} at {images / 1000:g} kimg, state saved; the same command continues"
    assert said in (tmp_path / "err").read_text()
    assert "Traceback" not in (tmp_path / "err").read_text()


def test_bench_ends_with_its_workers(start: Start, tmp_path: Path) -> None:
    """The bench alone is told, as by a scheduler; its worker saves."""
    process = start("bench", "--variants", "gan", "--seeds", "2")
    wait_for(trains(tmp_path / "out"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    assert not workers_of(process)
    wait_for(lambda: group_is_gone(process), 10)
    assert saved_step(tmp_path / "out") >= 9
    text = (tmp_path / "err").read_text()
    assert "gan seed 0 (1/2): stopped by SIGTERM at" in text
    assert "Traceback" not in text


def test_bench_ends_with_all_that_work_at_once(start: Start, tmp_path: Path) -> None:
    process = start("bench", "--variants", "gan", "--seeds", "3", "--concurrent", "2")
    wait_for(lambda: len([file for file in (tmp_path / "out").rglob("stats.jsonl") if file.read_text()]) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    assert not workers_of(process)
    wait_for(lambda: group_is_gone(process), 10)
    text = (tmp_path / "err").read_text()
    for number in (1, 2):
        assert f"gan seed {number - 1} ({number}/3): stopped by SIGTERM at" in text
    assert "Traceback" not in text
    assert len(list((tmp_path / "out").rglob("latest.pt"))) == 2  # both saved, and no third began


def test_a_terminal_that_is_closed_tells_everybody(start: Start, tmp_path: Path) -> None:
    """SIGHUP to the whole group, so that the worker hears of it twice; and again, which ends all at once."""
    process = start("bench", "--variants", "gan")
    wait_for(trains(tmp_path / "out"))
    os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(timeout=20) == 129
    assert not workers_of(process)
    wait_for(lambda: group_is_gone(process), 10)
    assert saved_step(tmp_path / "out") >= 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_second_signal_or_a_kill_ends_at_once(start: Start, tmp_path: Path, number: int) -> None:
    """A bench whose worker does not answer, because it is held."""
    process = start("bench", "--variants", "gan")
    wait_for(trains(tmp_path / "out"))
    workers = workers_of(process)
    assert workers or not Path("/proc").exists()
    if number == signal.SIGTERM:
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # an echo
        time.sleep(1.5)
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=8) in (143, -signal.SIGKILL)
    wait_for(lambda: group_is_gone(process), 8)
    assert time.monotonic() - began < 8  # the grace is 10 seconds


def test_nohup(start: Start, tmp_path: Path) -> None:
    process = start("train", "gan", ignored=(signal.SIGHUP,))
    wait_for(trains(tmp_path / "out"))
    process.send_signal(signal.SIGHUP)
    lines = (tmp_path / "out" / "stats.jsonl").read_text().count("\n")
    wait_for(trains(tmp_path / "out", lines + 3))
    assert process.poll() is None


def test_a_signal_while_loading_is_no_traceback(start: Start, tmp_path: Path) -> None:
    process = start("train", "gan", "--seed", "1")
    wait_for(lambda: (tmp_path / "out" / "config.json").exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    text = (tmp_path / "err").read_text()
    assert "stopped by SIGTERM" in text
    assert "Traceback" not in text
