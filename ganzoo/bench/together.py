"""Jobs of a benchmark that share a device: several at once in one process, where `jobs.py` gives each its own."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.bench.executors import Outdated, done_before, first_failure, run_jobs
from ganzoo.bench.jobs import Job
from ganzoo.bench.pipes import all_sent
from ganzoo.bench.processes import join, make_worker
from ganzoo.bench.worker import end_with_parent, leave, record_failure
from ganzoo.config.layers import from_dict
from ganzoo.config.options import load_zoo
from ganzoo.config.run_config import RunConfig
from ganzoo.engine.stopping import Stop, Stopped, stop_on_signals
from ganzoo.files.locks import AtWork
from ganzoo.files.machine import available_memory, threads_said, whole_cores
from ganzoo.files.progress import Listen, as_job, listener, listening
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Failed, Interrupted, note, tell, working
from ganzoo.zoo.registry import Registry

if TYPE_CHECKING:
    from ganzoo.engine.cuda.concurrent import Turn

AT_MOST = 8
"""Runs at once, unless told otherwise: what a small network leaves of a large GPU, and what its memory holds."""

MEMORY_OF_A_RUN = 3 * 2**29
"""Bytes of main memory that must be free for each of several runs: what the larger variants take."""

BROKEN_DEVICE = 3
"""Exit code of a process whose device refuses all further work: its other runs are taken up elsewhere."""


def default_concurrent(device_type: str, configs: Sequence[RunConfig], jobs: int) -> int:
    """How many of `jobs` to run at once: as many as there are, at most 8, where that changes nothing but the time they
    take. On processors one on each core that there is memory for: a small network leaves a second thread little to do.
    1 where time is a budget or is what is compared.
    """
    timed = any(config.train.minutes is not None or config.train.until is not None for config in configs)
    if timed or device_type not in ("cuda", "cpu"):
        return 1
    room = AT_MOST if device_type == "cuda" else min(AT_MOST, cores_lent(), available_memory() // MEMORY_OF_A_RUN)
    return max(1, min(room, jobs))


def cores_lent() -> int:
    """Cores for the jobs of a bench: OMP_NUM_THREADS at most, where it is set."""
    return min(whole_cores(), threads_said() or whole_cores())


def run_groups(
    jobs: Sequence[Job],
    *,
    concurrent: int,
    outdated: Outdated = lambda job, result: None,
) -> list[RunDirectory]:
    """As `run_jobs`, with up to `concurrent` jobs of a dataset and device at once, in one process. A job that fails
    leaves the others running; one that finds no memory beside them, or that was in a process which ended, is run again
    alone, from where its state was saved.

    Raises:
        Stopped: a signal has come; the same command continues.
    """
    context = multiprocessing.get_context("spawn")
    for group in groups(jobs):
        left: list[Job] = []
        for job in group:
            if not done_before(job, outdated):
                RunDirectory(Path(job.out)).failure_file.unlink(missing_ok=True)
                left.append(job)
        if len(left) > 1:
            join(make_worker(context, work_together, left, concurrent, name=f"{len(left)} runs"))
        for job in left:
            run = RunDirectory(Path(job.out))
            if failure := first_failure(run):
                tell(Failed(job=job.title, cause=failure))
            elif (result := run.read_result()) is None or outdated(job, result):
                run_jobs([job], outdated)
    return [RunDirectory(Path(job.out)) for job in jobs]


def groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs of the same dataset and device, in the order of the first of each."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(f"{job.config['dataset']} {job.config['device']}", []).append(job)
    return list(found.values())


def work_together(jobs: Sequence[Job], concurrent: int, pipe: Connection | None = None) -> None:
    """What the process of a group does: each job leaves its result.json, or failure.txt, or, where it may do better
    alone, neither. Events go into the pipe; None: to who listens.
    """
    stop = Stop(threads=True)
    with stop_on_signals(stop, again=lambda number: None), all_sent(pipe):
        _work_together(jobs, concurrent, stop)


def _work_together(jobs: Sequence[Job], concurrent: int, stop: Stop) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        with working("loading torch"):
            from ganzoo.engine.cuda.concurrent import run_together
            from ganzoo.engine.device import resolve_device

        registry = load_zoo(jobs[0].plugin_files)
        device = resolve_device(jobs[0].config["device"])
        work: list[Callable[[Turn], None]] = [functools.partial(_work, registry, job, listener(), stop) for job in jobs]
        run_together(work, device=device, at_once=concurrent)
        stop.check()
    except (KeyboardInterrupt, Stopped) as error:
        leave(error)


def _work(registry: Registry, job: Job, listen: Listen, stop: Stop, turn: Turn) -> None:
    """In a thread of its own, which `listen` has not been told of."""
    with listening(listen), as_job(job.title):
        _run(registry, job, stop, turn)


def _run(registry: Registry, job: Job, stop: Stop, turn: Turn) -> None:
    from ganzoo.runs.job import run_job

    run = RunDirectory(Path(job.out))
    try:
        config = from_dict(registry, job.config)
        run_job(registry, config, run.path, root=Path(job.root), turn=turn, stop=stop)
    except Stopped as error:
        tell(Interrupted(text=str(error)))
    except AtWork:
        pass  # what has no result is looked at again, alone
    except Exception as error:
        if _device_is_broken():
            # No run of this process can survive that, and not always the one that hears of it first is to blame: all
            # are taken up alone.
            os._exit(BROKEN_DEVICE)
        if _no_memory(error):
            note("not enough memory beside the other runs: later, alone")
        else:
            record_failure(run, error)
    finally:
        gc.collect()  # the run's graphs and their memory, now that no other run is capturing


def _device_is_broken() -> bool:
    """Whether CUDA refuses all further work in this process, as it does after an illegal access."""
    import torch

    if torch.cuda.is_initialized():
        try:
            torch.cuda.synchronize()
        except RuntimeError:
            return True
    return False


def _no_memory(error: Exception) -> bool:
    """Whether the device had too little: torch's allocator says so by type, CUDA and its libraries in words."""
    import torch

    words = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in words)
    )
