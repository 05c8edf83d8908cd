"""Runs that share a process: turns, random numbers, weights as when run alone, failures that stay their own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ganzoo.bench.together
from ganzoo.bench import together
from ganzoo.bench.jobs import Job, plan_jobs
from ganzoo.bench.together import default_concurrent, groups, run_groups, work_together
from ganzoo.config.layers import build_config
from ganzoo.engine import energy
from ganzoo.engine.cuda.concurrent import ALONE, Baton, OwnProcess, RandomNumbers, Turn, run_together
from ganzoo.files.machine import whole_cores
from ganzoo.files.progress import listening
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")
TINY = [
    "train.keep=all",
    "variant.channels=4", "variant.z_dim=8", "train.batch_size=16", "train.kimg=0.32", "train.tick_kimg=0.064",
    "train.tick_seconds=0", "train.snapshots=2", "eval.num_images=100", "eval.every=9", "eval.metrics=fid",
]  # fmt: skip


def test_turns_go_round() -> None:
    baton, order = Baton(), list[str]()

    def run(name: str) -> None:
        baton.take()
        for _ in range(3):
            order.append(name)
            baton.pass_round()
        baton.give()

    baton.take()
    threads = [threading.Thread(target=run, args=(name,)) for name in "abc"]
    for index, thread in enumerate(threads):
        thread.start()
        while baton.waiting <= index:
            time.sleep(0.001)
    baton.give()
    for thread in threads:
        thread.join(20)
    assert "".join(order) == "abcabcabc"
    baton.take()  # it is free


def test_only_one_works_at_a_time_and_others_do_while_it_waits() -> None:
    working, reached = 0, threading.Event()

    def job(wait: bool) -> Callable[[Turn], None]:
        def run(turn: Turn) -> None:
            nonlocal working
            for _ in range(50):
                working += 1
                assert working == 1
                torch.ones(10).sum()
                working -= 1
                turn.pass_on()
            if wait:
                with turn.away():
                    assert reached.wait(20)
            else:
                reached.set()

        return run

    assert run_together([job(True), job(False), job(True)], device=CPU, at_once=3) == [None] * 3


def test_each_run_has_random_numbers_of_its_own() -> None:
    def job(seed: int) -> Callable[[Turn], list[float]]:
        def run(turn: Turn) -> list[float]:
            torch.manual_seed(seed)
            drawn = []
            for _ in range(5):
                drawn.append(float(torch.rand(())))
                turn.pass_on()
                with turn.away():
                    pass
            return drawn

        return run

    alone = [job(seed)(ALONE) for seed in range(4)]
    torch.manual_seed(11)
    before = torch.get_rng_state()
    assert run_together([job(seed) for seed in range(4)], device=CPU, at_once=3) == alone
    assert torch.equal(torch.get_rng_state(), before)
    # A job that does not seed begins where the caller was, whatever the others have drawn.
    first, second = run_together([lambda turn: float(torch.rand(())) for _ in range(2)], device=CPU, at_once=1)
    assert first == second == float(torch.rand(()))


def test_on_cuda_the_generator_is_pointed_at_the_runs_own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values must not be copied: a graph draws from the state that it was captured with."""

    class Generator:
        def __init__(self, state: str) -> None:
            self.state = state

        def graphsafe_get_state(self) -> Generator:
            return Generator(self.state)

        def graphsafe_set_state(self, other: Generator) -> None:
            self.state = other.state

        def clone_state(self) -> Generator:
            return Generator(self.state + "'")

    default = Generator("default")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "default_generators", [default])
    caller = RandomNumbers(torch.device("cuda", 0))
    run = caller.copy()
    run.put_in()
    assert default.state == "default'"
    default.state = "after a failed capture"
    run.take_out()
    caller.put_in()
    assert default.state == "default"
    run.put_in()
    assert default.state == "after a failed capture"


def test_an_error_is_its_jobs_own() -> None:
    def fail(turn: Turn) -> int:
        turn.pass_on()
        raise ValueError("mine")

    def succeed(turn: Turn) -> int:
        for _ in range(5):
            turn.pass_on()
        return 1

    first, second, third = run_together([succeed, fail, succeed], device=CPU, at_once=2)
    assert (first, third) == (1, 1)
    assert isinstance(second, ValueError)


def planned(
    registry: Registry, root: Path, out: Path, *sets: str, seeds: int = 3, variant: str = "upsample-dcgan"
) -> list[Job]:
    config = build_config(registry, variant=variant, dataset="digits", sets=[*TINY, "device=cpu", *sets])
    return plan_jobs(registry, [config], seeds, out, root, [], data="")


def test_weights_are_those_of_runs_alone(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    """Three at once through the engine, passing turns at each step; dropout, batch norm and EMA in each."""
    configs = [
        build_config(registry, variant=variant, dataset="digits", sets=[*TINY, f"seed={seed}"])
        for variant, seed in (("upsample-dcgan", 0), ("upsample-dcgan", 1), ("wgan-gp", 0))
    ]
    for index, config in enumerate(configs):
        run_job(registry, config, tmp_path / f"alone{index}", root=data_root)

    def job(index: int) -> Callable[[Turn], dict[str, Any]]:
        return lambda turn: run_job(registry, configs[index], tmp_path / f"shared{index}", root=data_root, turn=turn)

    results = run_together([job(index) for index in range(3)], device=CPU, at_once=3)
    for index, result in enumerate(results):
        assert isinstance(result, dict), result
        alone, shared = RunDirectory(tmp_path / f"alone{index}"), RunDirectory(tmp_path / f"shared{index}")
        assert [p.read_bytes() for p in shared.snapshots()] == [p.read_bytes() for p in alone.snapshots()]
        assert [m["values"] for m in shared.metrics()] == [m["values"] for m in alone.metrics()]
        assert result["environment"]["concurrent"] == 3
        assert result["peak_memory"] == 0  # unknown: it is no single run's
        assert result["joules"] is None
        before = alone.read_result()
        assert before is not None
        assert before["environment"]["concurrent"] == 1


def test_a_run_that_goes_on_alone_keeps_in_mind_that_it_was_not(
    registry: Registry, data_root: Path, tmp_path: Path
) -> None:
    """Its seconds are in part those of a shared device."""

    class Ends:
        runs, beside, turns = 3, 0, 0

        def pass_on(self) -> None:
            self.turns += 1
            if self.turns == 15:  # of 20 iterations; the state was saved after 10
                raise torch.OutOfMemoryError("CUDA out of memory")

        def away(self) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

    config = build_config(registry, variant="gan", dataset="digits", sets=[s for s in TINY if "channels" not in s])
    with pytest.raises(torch.OutOfMemoryError):
        run_job(registry, config, tmp_path / "run", root=data_root, turn=Ends())
    result = run_job(registry, config, tmp_path / "run", root=data_root)
    assert result["environment"]["concurrent"] == 3
    with pytest.raises(torch.OutOfMemoryError):
        run_job(registry, config, tmp_path / "early", root=data_root, turn=Ends())
    RunDirectory(tmp_path / "early").state_file.unlink()
    result = run_job(registry, config, tmp_path / "early", root=data_root)
    assert result["environment"]["concurrent"] == 1


@pytest.mark.parametrize(("beside", "told"), [(0, True), (1, False)])
def test_a_processors_energy_is_no_single_runs_where_others_run_on_it(
    beside: int, told: bool, registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "_package_counter", lambda: lambda: [(1.0, 10.0)])
    config = build_config(registry, variant="gan", dataset="digits", sets=[s for s in TINY if "channels" not in s])
    result = run_job(registry, config, tmp_path / "run", root=data_root, turn=OwnProcess(beside=beside))
    assert (result["joules"] is not None) == told


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("CUDA error: out of memory"), False),
    ],
)
def test_what_is_no_memory(error: Exception, expected: bool) -> None:
    assert ganzoo.bench.together._no_memory(error) is expected


def test_a_group_leaves_results_and_failures_apart(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the group's process does, in this one: one job fails, one has no memory beside the others."""
    jobs = planned(registry, data_root, tmp_path, "train.kimg=0.064", "train.snapshots=1")

    def run(registry: Registry, config: Any, out: Path, **options: Any) -> dict[str, Any]:
        RunDirectory.open(out, config)
        if config.seed == 1:
            raise ValueError("a bug")
        if config.seed == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run_job(registry, config, out, **options)

    monkeypatch.setattr("ganzoo.runs.job.run_job", run)
    told: list[str] = []
    with listening(lambda event: told.append(f"{event.job}: {event}")):
        work_together(jobs, 2)
    done, failed, left = (RunDirectory(Path(job.out)) for job in jobs)
    assert done.read_result() is not None
    assert failed.failure_file.read_text().startswith("ValueError: a bug\n\nTraceback")
    assert left.read_result() is None
    assert not left.failure_file.exists()
    assert f"{jobs[2].title}: not enough memory beside the other runs: later, alone" in told
    assert any(line.startswith(f"{jobs[0].title}: done") for line in told)


def test_what_a_group_leaves_undone_is_run_alone(
    registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = planned(registry, data_root, tmp_path)
    started: list[Any] = []
    alone: list[str] = []
    told: list[str] = []
    for job in jobs:
        Path(job.out).mkdir(parents=True)
    stale = RunDirectory(Path(jobs[2].out))
    stale.write_failure("of an earlier bench")

    def join(worker: Any) -> int:
        started.append(worker._args)
        RunDirectory(Path(jobs[1].out)).write_failure("ValueError: a bug\n\nTraceback")
        return -9

    monkeypatch.setattr(ganzoo.bench.together, "join", join)
    monkeypatch.setattr(ganzoo.bench.together, "run_jobs", lambda left, *more: alone.extend(job.title for job in left))
    with listening(lambda event: told.append(f"{event.job}: {event}")):
        runs = run_groups(jobs, concurrent=3)
    assert [arguments[:2] for arguments in started] == [(jobs, 3)]
    assert told == [f"{jobs[1].title}: failed: ValueError: a bug"]
    assert alone == [jobs[0].title, jobs[2].title]
    assert [run.path for run in runs] == [Path(job.out) for job in jobs]


def test_groups_are_of_one_dataset_and_device(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    first = planned(registry, data_root, tmp_path, seeds=2)
    other = planned(registry, data_root, tmp_path, "device=cuda:1", seeds=1)
    assert groups([first[0], *other, first[1]]) == [first, other]


def test_runs_share_a_device_only_where_it_changes_no_result(registry: Registry) -> None:
    def config(*sets: str) -> Any:
        return build_config(registry, variant="gan", dataset="digits", sets=list(sets))

    assert default_concurrent("mps", [config()], 8) == 1
    assert default_concurrent("cuda", [config()], 5) == 5
    assert default_concurrent("cuda", [config()], 50) == 8
    assert default_concurrent("cuda", [config("train.minutes=1")], 8) == 1
    assert default_concurrent("cuda", [config("train.until=fid=10")], 8) == 1


def test_on_processors_each_run_has_a_core_and_memory(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(jobs: int, *sets: str) -> int:
        return default_concurrent(
            "cpu", [build_config(registry, variant="gan", dataset="digits", sets=list(sets))], jobs
        )

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(together, "whole_cores", lambda: 4)
    monkeypatch.setattr(together, "available_memory", lambda: 100 * 2**30)
    assert (at_once(3), at_once(10)) == (3, 4)
    assert (at_once(10, "train.minutes=1"), at_once(10, "train.until=fid=10")) == (1, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "²")
    assert at_once(10) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "2,8")
    assert at_once(10) == 2
    monkeypatch.setattr(together, "available_memory", lambda: 2 * 2**30)
    assert at_once(10) == 1
    monkeypatch.setattr(together, "available_memory", lambda: 2**20)
    assert at_once(10) == 1


@pytest.mark.parametrize("threads", ["2", "1"])
def test_bench_runs_seeds_at_once_when_told_to(threads: str, ganzoo: Any, data_root: Path, tmp_path: Path) -> None:
    """The command itself; on processors with a process for each run, beside each other or on shared ones."""
    ganzoo(
        "bench", "--variants", "gan", "--seeds", "2", "--concurrent", "2", "--device", "cpu", "--kimg", "0.128",
        "--num-images", "100", "--set", "train.snapshots=1", "--set", "eval.metrics=kid", "--data-root", data_root,
        "--out", tmp_path / "bench", OMP_NUM_THREADS=threads,
    )  # fmt: skip
    results = [RunDirectory(path.parent).read_result() for path in sorted((tmp_path / "bench").rglob("result.json"))]
    told = [result["environment"] for result in results if result]
    apart = threads == "2" and whole_cores() > 1
    counts = [(environment["concurrent"], environment["beside"]) for environment in told]
    assert counts == 2 * [(1, 1) if apart else (2, 0)]
    assert all(result["peak_memory"] > 0 for result in results if result)  # their processes are their own
    assert all(environment["device"].endswith(", 1 thread") for environment in told)
    assert not list((tmp_path / "bench").rglob("failure.txt"))
