"""Jobs in processes of their own, one after the other or some at a time."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ganzoo.bench.jobs import Job
from ganzoo.bench.processes import await_workers, end_workers, exitcode_of, make_worker, start_worker
from ganzoo.bench.worker import BUSY, work, write_failure
from ganzoo.engine.stopping import SIGNALS
from ganzoo.files.locks import is_held
from ganzoo.files.progress import as_job
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Failed, Note, note, tell
from ganzoo.runs.telling import finished

Outdated = Callable[[Job, dict[str, Any]], str | None]
"""Why the result of a finished job is no longer what the job asks for, in words; None where it is."""


def run_jobs(
    jobs: Sequence[Job],
    outdated: Outdated = lambda job, result: None,
    at_once: int = 1,
) -> list[RunDirectory]:
    """Run what is missing, in order, `at_once` jobs at a time. A job that fails leaves `failure.txt` in its folder and
    the next one starts; so does a worker that is killed. Events of the workers are told here, and what is done before.
    A job that another process is at work on, of a second bench of the same grid perhaps, comes last: then it is done,
    or taken up where that process left it.

    Raises:
        Stopped: a signal has come; the same command continues.
    """
    context = multiprocessing.get_context("spawn")
    left, busy, held = deque(jobs), dict[BaseProcess, Job](), Held()
    try:
        while left or busy or held:
            if left and len(busy) < at_once:
                job = left.popleft()
                if not done_before(job, outdated) and not held.take(job):
                    worker = make_worker(context, work, job, at_once, name=job.title)
                    busy[worker] = job  # before it starts: whatever comes meanwhile finds it
                    start_worker(worker)
                continue
            for worker in await_workers(busy, HELD_SECONDS if held else None):
                job, exitcode = busy.pop(worker), exitcode_of(worker)
                if exitcode == BUSY:
                    held.keep(job)
                else:
                    say_failure(job, exitcode)
            if len(busy) < at_once:
                left += held.give_back()
    except BaseException:  # an error, too, may come while others work
        end_workers(busy)
        raise
    return [RunDirectory(Path(job.out)) for job in jobs]


HELD_SECONDS = 5.0
"""Between two looks at runs that others are at work on."""


class Held:
    """Jobs that other processes are at work on."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._told: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def take(self, job: Job) -> bool:
        """Keep the job where another process is at work on it. Returns whether that is so."""
        held = is_held(Path(job.out) / ".lock")
        if held:
            self.keep(job)
        return held

    def keep(self, job: Job) -> None:
        """Also one that nobody is at work on any more: whether it is done is to be looked at again. Told, once."""
        self._jobs.append(job)
        if job.out not in self._told:
            self._told.add(job.out)
            with as_job(job.title):
                note("another process is at work on this run: left to it, and looked at again")

    def give_back(self) -> list[Job]:
        """Those that nobody is at work on any more."""
        free = [job for job in self._jobs if not is_held(Path(job.out) / ".lock")]
        self._jobs = [job for job in self._jobs if job not in free]
        return free


def say_failure(job: Job, exitcode: int) -> None:
    """Tell of a job's end, unless it was a good one."""
    run = RunDirectory(Path(job.out))
    with as_job(job.title):
        if exitcode < 0:
            write_failure(run, f"the process was ended by signal {-exitcode} (out of memory?)")
        if exitcode:
            tell(Failed(cause=first_failure(run) or _ended(exitcode)))


def done_before(job: Job, outdated: Outdated) -> bool:
    """Whether the job has a result that counts; told where there is one."""
    run = RunDirectory(Path(job.out))
    result = run.read_result()
    reason = None if result is None else outdated(job, result)
    with as_job(job.title):
        if result is not None:
            tell(finished(run.path, result, before=True) if reason is None else Note(text=reason))
    return result is not None and reason is None


def _ended(exitcode: int) -> str:
    names = {128 + getattr(signal, name): name for name in SIGNALS if hasattr(signal, name)}
    return f"stopped by {names[exitcode]}, state saved" if exitcode in names else f"exit code {exitcode}"


def first_failure(run: RunDirectory) -> str:
    """The first line of the run's failure.txt; "" if there is none."""
    return run.read_failure()
