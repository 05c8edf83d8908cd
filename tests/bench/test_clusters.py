"""What hands a cluster its jobs, with one that does as it is told; and what is done on its machines, in earnest."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganzoo.bench.clusters import RETRIES, WANTED, Cluster, Ended, News, Order, Part, run_on
from ganzoo.bench.elsewhere import _told, carry_out, versions
from ganzoo.bench.jobs import Job, plan_jobs
from ganzoo.bench.worker import BUSY
from ganzoo.config.layers import build_config
from ganzoo.engine.stopping import Stopped, check_signals, stop_on_signals
from ganzoo.errors import RunError
from ganzoo.files.locks import exclusive
from ganzoo.files.progress import Event, Note, listening
from ganzoo.runs.events import Interrupted, Resumed
from ganzoo.runs.provenance import COMMIT, commit
from ganzoo.zoo.registry import Registry

SHORT = ["train.kimg=0.128", "train.batch_size=64", "train.scores=none", "train.snapshots=1"]


@pytest.fixture
def jobs(registry: Registry, data_root: Path, tmp_path: Path) -> list[Job]:
    config = build_config(registry, variant="gan", sets=SHORT)
    return plan_jobs(registry, [config], 3, tmp_path / "bench", data_root, [], data="")


Answer = Callable[[Order, int], Sequence[News]]


class Scripted:
    """A cluster whose answers to the nth start of an order are a function's."""

    def __init__(self, answer: Answer, slots: int | None = None) -> None:
        self.slots, self.answer = slots, answer
        self.started: list[str] = []
        self.most, self.stopped = 0, 0
        self._waiting: list[tuple[Hashable, Order, int]] = []

    def start(self, order: Order) -> Hashable:
        count = self.started.count(order.job.title)
        self.started.append(order.job.title)
        self._waiting.append((len(self.started), order, count))
        self.most = max(self.most, len(self._waiting))
        return len(self.started)

    def news(self, seconds: float) -> Sequence[tuple[Hashable, News]]:
        if not self._waiting:
            return [(0, Note(text="of an order that nobody gave"))]
        name, order, count = self._waiting.pop(0)
        return [(name, news) for news in self.answer(order, count)]

    def stop(self, seconds: float) -> None:
        self.stopped += 1


@pytest.fixture
def done(write_run: Callable[..., dict[str, Any]]) -> Answer:
    """The job is done, its files in place."""

    def answer(order: Order, count: int) -> Sequence[News]:
        write_run(Path(order.job.out), seed=order.job.config["seed"])
        return [Note(text="working", job=order.job.title), Ended()]

    return answer


def run(cluster: Cluster, jobs: Sequence[Job], tmp_path: Path, **options: Any) -> tuple[list[Any], list[Event]]:
    told: list[Event] = []
    with listening(told.append):
        runs = run_on(cluster, jobs, {}, tmp_path / "mark", **options)
    return [found.read_result() for found in runs], told


@pytest.mark.parametrize(("slots", "at_most", "most"), [(None, None, 3), (2, None, 2), (3, 1, 1), (None, 2, 2)])
def test_jobs_are_done_once_and_no_more_at_a_time_than_there_is_room(
    slots: int | None, at_most: int | None, most: int, jobs: list[Job], done: Answer, tmp_path: Path
) -> None:
    cluster = Scripted(done, slots)
    results, told = run(cluster, jobs, tmp_path, at_most=at_most)
    assert cluster.started == [job.title for job in jobs]
    assert [result["seed"] for result in results] == [0, 1, 2]
    assert (cluster.most, cluster.stopped) == (most, 1)
    assert [event.job for event in told if str(event) == "working"] == cluster.started
    again = Scripted(done, slots)
    run(again, jobs, tmp_path)
    assert again.started == []


@pytest.mark.parametrize("end", [Ended(lost="NodeDiedError"), Ended(exitcode=WANTED)])
def test_a_job_whose_machine_is_lost_is_started_again(
    end: Ended, jobs: list[Job], done: Answer, tmp_path: Path
) -> None:
    cluster = Scripted(lambda order, count: [end] if order.job is not None and count < RETRIES else done(order, count))
    results, told = run(cluster, jobs[:1], tmp_path)
    assert results[0] is not None
    assert len(cluster.started) == RETRIES + 1
    assert sum("its machine is lost" in str(event) for event in told) == RETRIES


@pytest.mark.parametrize(("further", "starts"), [(True, 3 * RETRIES + 1), (False, RETRIES + 2)])
def test_a_run_longer_than_its_machines_are_to_be_had_goes_on_as_long_as_it_gets_further(
    further: bool, starts: int, jobs: list[Job], done: Answer, tmp_path: Path
) -> None:
    def answer(order: Order, count: int) -> Sequence[News]:
        if count == 3 * RETRIES:
            return done(order, count)
        resumed = Resumed(kimg=float(count if further else 1), lost_kimg=0.0)
        return [*([resumed] if count else []), Ended(lost="its time was over")]

    cluster = Scripted(answer)
    results, told = run(cluster, jobs[:1], tmp_path)
    assert len(cluster.started) == starts
    assert (results[0] is not None) == further
    failed = "its machine was lost 4 times without its getting further, the last: its time was over"
    assert any(failed in str(event) for event in told) != further


def test_a_job_whose_machine_is_lost_again_and_again_fails_and_the_others_go_on(
    jobs: list[Job], done: Answer, tmp_path: Path
) -> None:
    lost = jobs[0].title
    cluster = Scripted(lambda order, count: [Ended(lost="gone")] if order.job.title == lost else done(order, count))
    results, told = run(cluster, jobs, tmp_path)
    assert [result is None for result in results] == [True, False, False]
    assert cluster.started.count(lost) == RETRIES + 1
    assert [event.job for event in told if event.kind == "failed"] == [lost]
    assert "lost 4 times without its getting further, the last: gone" in (Path(jobs[0].out) / "failure.txt").read_text()


def test_a_machine_that_cannot_do_it_ends_the_bench(jobs: list[Job], tmp_path: Path) -> None:
    cluster = Scripted(lambda order, count: [Ended(exitcode=2, refused="on node7 ganzoo is old", cure="new")])
    with pytest.raises(RunError, match="on node7 ganzoo is old") as caught:
        run(cluster, jobs, tmp_path)
    assert caught.value.cure == "new"
    assert cluster.stopped == 1


def test_what_ends_the_bench_stops_the_cluster(jobs: list[Job], tmp_path: Path) -> None:
    def interrupted(order: Order, count: int) -> Sequence[News]:
        raise KeyboardInterrupt

    cluster = Scripted(interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(cluster, jobs, tmp_path)
    assert cluster.stopped == 1


def test_where_each_run_was_stopped_is_told(jobs: list[Job], tmp_path: Path) -> None:
    """One has said it itself; of another it stands in its log; a third has gone on since, or never began."""

    def log(job: Job, *lines: str) -> None:
        Path(job.out).mkdir(parents=True)
        (Path(job.out) / "log.txt").write_text("".join(f"2026-01-01T00:00:00Z {line}\n" for line in lines))

    stopped = "ended by Stopped: stopped by SIGTERM at {} kimg, state saved; the same command continues"
    log(jobs[0], stopped.format(1))
    log(jobs[1], "started on some CPU", stopped.format(2))
    log(jobs[2], stopped.format(3), "started on some CPU")

    class Cut(Scripted):
        def news(self, seconds: float) -> Sequence[tuple[Hashable, News]]:
            if self.stopped:
                return [(1, Interrupted(text="stopped at 1 kimg", job=jobs[0].title))]
            if len(self.started) == 3:
                raise KeyboardInterrupt
            return []

    told: list[Event] = []
    with listening(told.append), pytest.raises(KeyboardInterrupt):
        run_on(Cut(lambda order, count: []), jobs, {}, tmp_path / "mark")
    assert [(event.job, str(event)) for event in told if event.kind == "interrupted"] == [
        (jobs[0].title, "stopped at 1 kimg"),
        (jobs[1].title, "stopped by SIGTERM at 2 kimg, state saved; the same command continues"),
    ]


class PretendedRay(types.ModuleType):
    """A cluster whose machines are listed in `machines`, and whose tasks never say a word."""

    def __init__(self, machines: list[dict[str, float]]) -> None:
        super().__init__("ray")
        self.machines = machines
        self.exceptions = types.SimpleNamespace()

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        gone = [{"Alive": False, "Resources": {"CPU": 8.0}}]
        return gone + [{"Alive": True, "Resources": resources} for resources in self.machines]

    def remote(self, function: Any) -> Any:
        task = types.SimpleNamespace(remote=lambda *arguments: object())
        return types.SimpleNamespace(options=lambda **options: task)

    def wait(self, streams: list[Any], **options: Any) -> tuple[list[Any], list[Any]]:
        return [], streams


def test_it_is_told_when_a_ray_cluster_has_no_machine_left(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ganzoo_ray.cluster")
    from ganzoo_ray.cluster import RayCluster

    machines = [{"CPU": 2.0}, {"GPU": 1.0}]
    monkeypatch.setitem(sys.modules, "ray", PretendedRay(machines))
    cluster = RayCluster({"address": "auto", "cpus": 1.0, "gpus": 0.0, "memory_gb": None}, tmp_path)
    name = cluster.start(ordered(jobs[0], tmp_path))
    monkeypatch.setattr("ganzoo_ray.cluster.LOOK_SECONDS", -1.0)
    assert cluster.news(0.0) == []
    machines.pop(0)  # the other has no processor for it
    ((of, said),) = cluster.news(0.0)
    assert (of, str(said)) == (name, "no machine of the cluster is left that could do a job: one is waited for")
    assert cluster.news(0.0) == []  # once
    machines.append({"CPU": 1.0})
    ((_, said),) = cluster.news(0.0)
    assert str(said) == "the cluster has machines again"
    machines.clear()
    monkeypatch.setattr("ganzoo_ray.cluster.LOOK_SECONDS", 1000.0)
    assert cluster.news(0.0) == []  # it is not asked all the time


def test_a_cluster_that_always_has_more_to_tell_is_heard_all_the_same(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ganzoo_ray.cluster")
    from ganzoo_ray.cluster import RayCluster

    class Talkative(PretendedRay):
        waits = 0

        def remote(self, function: Any) -> Any:
            task = types.SimpleNamespace(remote=lambda *arguments: itertools.repeat("a word"))
            return types.SimpleNamespace(options=lambda **options: task)

        def wait(self, streams: list[Any], **options: Any) -> tuple[list[Any], list[Any]]:
            self.waits += 1
            assert self.waits < 100_000  # or it would never say a word
            return streams, []

        def get(self, reference: str) -> Note:
            return Note(text=reference)

    monkeypatch.setitem(sys.modules, "ray", Talkative([{"CPU": 1.0}]))
    cluster = RayCluster({"address": "auto", "cpus": 1.0, "gpus": 0.0, "memory_gb": None}, tmp_path)
    name = cluster.start(ordered(jobs[0], tmp_path))
    assert {(of, str(said)) for of, said in cluster.news(0.01)} == {(name, "a word")}


def test_a_signal_that_the_clusters_library_swallows_stops_the_bench(jobs: list[Job], tmp_path: Path) -> None:
    class Deaf(Scripted):
        heard = 0

        def news(self, seconds: float) -> Sequence[tuple[Hashable, News]]:
            assert self.stopped or self.heard < 5
            self.heard += 1
            if self.heard == 2:
                with contextlib.suppress(BaseException):  # as in a destructor
                    signal.raise_signal(signal.SIGTERM)
            return []

    cluster = Deaf(lambda order, count: [])
    with stop_on_signals(), pytest.raises(Stopped) as caught:
        run(cluster, jobs, tmp_path)
    assert (caught.value.number, cluster.heard, cluster.stopped) == (signal.SIGTERM, 3, 1)  # once more for last words
    check_signals()  # whose handler is gone


def test_a_run_in_another_thread_hides_no_signal() -> None:
    """An executor may carry out its jobs in threads, see docs/plugins.md."""
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with stop_on_signals():  # which handles nothing there
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=work, daemon=True)
    with stop_on_signals():
        thread.start()
        inside.wait(60)
        with contextlib.suppress(Stopped):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            check_signals()
        leave.set()
        thread.join()


def test_a_failure_is_told_and_the_others_go_on(jobs: list[Job], done: Answer, tmp_path: Path) -> None:
    def answer(order: Order, count: int) -> Sequence[News]:
        if order.job.title != jobs[1].title:
            return done(order, count)
        Path(order.job.out).mkdir(parents=True)
        return [Part(name="failure.txt", data=b"no memory; take less\n"), Ended(exitcode=2)]

    results, told = run(Scripted(answer), jobs, tmp_path)
    assert [result is None for result in results] == [False, True, False]
    assert [(event.job, event.cause) for event in told if event.kind == "failed"] == [  # type: ignore[attr-defined]
        (jobs[1].title, "no memory; take less")
    ]


def test_a_job_without_a_result_here_has_failed(
    jobs: list[Job], done: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganzoo.bench.clusters.LAG_SECONDS", 0.0)
    _, told = run(Scripted(lambda order, count: [Ended()]), jobs[:1], tmp_path)
    (failed,) = [event for event in told if event.kind == "failed"]
    assert "is that folder the same on all machines?" in str(failed)

    def other_images(job: Job, result: dict[str, Any]) -> str | None:
        return "other images" if cluster.started else None

    cluster = Scripted(done)
    _, told = run(cluster, jobs[1:2], tmp_path, outdated=other_images)
    assert [str(event) for event in told if event.kind == "failed"] == ["failed: other images"]


def test_a_run_that_another_bench_is_at_work_on_is_left_to_it(
    jobs: list[Job], done: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganzoo.bench.clusters.HELD_SECONDS", 0.0)
    held = Path(jobs[0].out)
    held.mkdir(parents=True)
    lock = exclusive(held / ".lock")
    lock.__enter__()

    def answer(order: Order, count: int) -> Sequence[News]:
        news = done(order, count)
        if order.job.title == jobs[2].title:
            lock.__exit__(None, None, None)
        return news

    cluster = Scripted(answer, slots=1)
    monkeypatch.setattr("pathlib.Path.mkdir", _existing_ok)
    results, _ = run(cluster, jobs, tmp_path)
    assert cluster.started == [jobs[1].title, jobs[2].title, jobs[0].title]
    assert None not in results


def test_a_run_whose_other_bench_has_just_left_it_is_looked_at_again(
    jobs: list[Job], done: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganzoo.bench.clusters.HELD_SECONDS", 0.0)
    cluster = Scripted(lambda order, count: done(order, count) if count else [Ended(exitcode=BUSY)])
    results, told = run(cluster, jobs[:1], tmp_path)
    assert cluster.started == [jobs[0].title] * 2
    assert None not in results
    assert "failed" not in [event.kind for event in told]


def _existing_ok(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
    os.makedirs(path, mode, exist_ok=True)


def ordered(job: Job, tmp_path: Path, **changes: Any) -> Order:
    found = {name: value for name, value in versions().items() if name in ("ganzoo", "torch", "plugin gan")}
    order = Order(job=job, versions=found, command=("ganzoo", "bench"), mark=str(tmp_path / "mark"))
    return replace(order, **changes)


def test_what_is_done_where_the_folder_is_not_seen_comes_back(jobs: list[Job], tmp_path: Path) -> None:
    news = list(carry_out(ordered(jobs[0], tmp_path), threads=1))
    assert news[-1] == Ended()
    assert not Path(jobs[0].out).exists()
    parts = [one for one in news if isinstance(one, Part)]
    assert parts[-1].name == "result.json"
    result = json.loads(parts[-1].data)
    assert result["provenance"]["command"].startswith("ganzoo bench")
    assert {"config.json", "real.png"} <= {part.name for part in parts}
    kinds = [one.kind for one in news if isinstance(one, Event)]
    assert "started" in kinds
    assert "finished" in kinds

    cluster = Scripted(lambda order, count: news)
    results, _ = run(cluster, jobs[:1], tmp_path)
    assert results[0] == result
    (tmp_path / "mark").touch()
    shared = list(carry_out(ordered(jobs[1], tmp_path), threads=1))
    assert shared[-1] == Ended()
    assert not any(isinstance(one, Part) for one in shared)
    assert (Path(jobs[1].out) / "result.json").exists()


@pytest.mark.parametrize("before", [None, '{"commit": "old"}'])
def test_a_job_elsewhere_is_told_command_and_commit(
    before: str | None, jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(COMMIT, raising=False)
    if before is not None:
        monkeypatch.setenv(COMMIT, before)
    orders: list[Order] = []
    run(Scripted(lambda order, count: [orders.append(order), Ended(exitcode=1)][1:]), jobs[:1], tmp_path)  # type: ignore[func-returns-value]
    order = orders[0]
    assert (order.commit, order.command) == (commit(), tuple(sys.argv))
    ours = list(sys.argv)
    with _told(replace(order, command=("ganzoo", "bench"))):
        assert sys.argv == ["ganzoo", "bench"]
        assert json.loads(os.environ[COMMIT]) == order.commit
    assert (sys.argv, os.environ.get(COMMIT)) == (ours, before)


@pytest.mark.parametrize("name", ["torch", "ganzoo", "plugin gan"])
def test_another_version_is_refused_by_its_name(name: str, jobs: list[Job], tmp_path: Path) -> None:
    order = ordered(jobs[0], tmp_path)
    (end,) = carry_out(replace(order, versions={**order.versions, name: "2.99"}))
    assert isinstance(end, Ended)
    assert f" {name} is {order.versions[name]}, here it is 2.99" in end.refused
    (end,) = carry_out(replace(order, versions={**order.versions, "plugin none": "1"}))
    assert isinstance(end, Ended)
    assert end.refused.endswith("plugin none is not there")


def test_a_plugin_of_ones_own_is_told_apart_by_its_code(jobs: list[Job], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    code = """
from ganzoo import Executor, hookimpl

GANZOO_API = 2


@hookimpl
def register_executors():
    return [Executor(name="mine", target=print)]
"""
    file.write_text(code)
    first = versions([str(file)])
    assert first["plugin mine"]
    file.write_text(f"{code}# better\n")
    assert versions([str(file)])["plugin mine"] != first["plugin mine"]
    file.unlink()
    (end,) = carry_out(ordered(replace(jobs[0], plugin_files=(str(file),)), tmp_path))
    assert isinstance(end, Ended)
    assert end.refused.endswith(f"{file} is not there")


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("how", ["closed", "killed", "terminated"])
def test_who_carries_out_ends_with_its_process(how: str, registry: Registry, data_root: Path, tmp_path: Path) -> None:
    config = build_config(registry, variant="gan", sets=["train.kimg=3000", "train.scores=none"])
    (job,) = plan_jobs(registry, [config], 1, tmp_path, data_root, [], data="")
    (tmp_path / "mark").touch()
    news = carry_out(ordered(job, tmp_path), threads=1)
    began = time.monotonic()
    while next(news).kind != "tick":  # type: ignore[union-attr]
        assert time.monotonic() - began < 120
    import multiprocessing

    (worker,) = multiprocessing.active_children()
    if how == "closed":
        news.close()  # type: ignore[attr-defined]
    else:
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL if how == "killed" else signal.SIGTERM)
        *_, end = news
        assert end == Ended(exitcode=-signal.SIGKILL if how == "killed" else WANTED)
    assert not multiprocessing.active_children()
    assert any("state" in file.name for file in Path(job.out).rglob("*")) == (how != "killed")
