"""Jobs on machines elsewhere: what a cluster has to do, and what hands it jobs, and starts lost ones again. Torch-free.

A plugin registers an `Executor` whose target makes a `Cluster`. It brings an `Order` to a machine, calls
`ganzoo.bench.elsewhere.carry_out` there, and brings back what that yields. All else is done here, the same for each.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ganzoo.bench.executors import HELD_SECONDS, Held, Outdated, done_before, say_failure
from ganzoo.bench.jobs import Job
from ganzoo.bench.worker import BUSY, write_failure
from ganzoo.engine.stopping import check_signals
from ganzoo.errors import RunError
from ganzoo.files.progress import Event, as_job
from ganzoo.files.writing import write_bytes
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Failed, Interrupted, Resumed, note, tell
from ganzoo.runs.log import how_stopped
from ganzoo.runs.provenance import commit

RETRIES = 3
"""How often a job is started again whose machine was lost, or wanted by others, and that has not come further in
between: a run may be longer than its machines are to be had. What was saved is not lost.
"""

LAG_SECONDS = 60.0
"""Of a shared file system, until what one machine has written is seen by another. NFS keeps attributes as long."""


WANTED = 128 + signal.SIGTERM
"""Exit code of a job that has saved its state because its scheduler wants the machine."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a machine elsewhere is asked to do. Picklable."""

    job: Job
    versions: Mapping[str, str]
    """What the bench's own machine has, see `ganzoo.bench.elsewhere.versions`: the other must have the same."""
    command: tuple[str, ...]
    """The bench's own, which results name."""
    mark: str
    """A file in the bench's folder: a machine that does not see it has other disks."""
    commit: Mapping[str, Any] | None = None
    """Of the bench's own checkout: the machine may have the same code without one."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file of a run that was done where the bench's folder is not seen."""

    name: str
    """Below the run directory, with slashes."""
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job is over."""

    exitcode: int = 0
    """As `ganzoo.bench.worker.work` says."""
    lost: str = ""
    """Why it has no exit code, in a few words: its machine is gone."""
    refused: str = ""
    """Why the machine cannot do it, nor any other of the bench's jobs, and what would mend that."""
    cure: str = ""


News = Event | Part | Ended
"""In the order in which it happened; `Ended` is the last of a job."""


class Cluster(Protocol):
    """Where jobs run."""

    slots: int | None
    """Jobs that it is given at a time; None: it has a queue of its own."""

    def start(self, order: Order) -> Hashable:
        """Have it done, soon. Returns a name of one's own for it, another for each start."""
        ...

    def news(self, seconds: float) -> Sequence[tuple[Hashable, News]]:
        """What has come of orders since the last call; where there is nothing, what comes within `seconds`."""
        ...

    def stop(self, seconds: float) -> None:
        """End all orders, which save their states if that takes no longer than so many seconds. What still comes of
        them is told by `news`. Called once, last, or after an error.
        """
        ...


GRACE_SECONDS = 30.0
"""What schedulers give a job between SIGTERM and SIGKILL, mostly."""


def run_on(
    cluster: Cluster,
    jobs: Sequence[Job],
    versions: Mapping[str, str],
    mark: Path,
    outdated: Outdated = lambda job, result: None,
    at_most: int | None = None,
) -> list[RunDirectory]:
    """Have the cluster run what is missing; as `run_jobs`, with the same results.

    Args:
        versions: see `Order`.
        mark: see `Order`.
        at_most: jobs at a time; None: as many as the cluster takes.

    Raises:
        RunError: a machine cannot do such jobs; which, and why.
        Stopped: a signal has come; the same command continues.
    """
    left, held, running = deque(jobs), Held(), dict[Hashable, Job]()
    tries, reached = Counter[str](), dict[str, float]()
    slots = min((count for count in (cluster.slots, at_most) if count is not None), default=len(jobs))
    told: dict[str, Any] = {
        "versions": versions,
        "command": tuple(sys.argv),
        "mark": str(mark.resolve()),
        "commit": commit(),
    }
    looked = time.monotonic()
    try:
        while left or held or running:
            check_signals()
            while left and len(running) < slots:
                job = left.popleft()
                if not done_before(job, outdated) and not held.take(job):
                    running[cluster.start(Order(job=_anywhere(job), **told))] = job
            for name, news in cluster.news(1.0):
                if name not in running:  # of an order that was taken for lost
                    continue
                if isinstance(news, Ended):
                    left += _ended(running.pop(name), news, held, tries, outdated)
                    continue
                job = running[name]
                if isinstance(news, Resumed) and news.kimg > reached.get(job.out, 0.0):
                    reached[job.out] = news.kimg
                    tries[job.out] = 0
                _take(job, news)
            if held and time.monotonic() - looked > HELD_SECONDS:
                left += held.give_back()
                looked = time.monotonic()
    finally:  # also where it is done: a cluster may hold machines until it is told
        _stop(cluster, running)
    return [RunDirectory(Path(job.out)) for job in jobs]


def _anywhere(job: Job) -> Job:
    """The job as it is said where the working directory is another."""
    files = tuple(str(Path(file).resolve()) for file in job.plugin_files)
    return replace(job, out=str(Path(job.out).resolve()), root=str(Path(job.root).resolve()), plugin_files=files)


def _take(job: Job, news: Event | Part) -> None:
    if isinstance(news, Event):
        tell(news)
        return
    target = Path(job.out).joinpath(*news.name.split("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, news.data)


def _ended(job: Job, end: Ended, held: Held, tries: Counter[str], outdated: Outdated) -> list[Job]:
    """Tell of it. Returns the job where it is to be started again."""
    if end.refused:
        raise RunError(end.refused, end.cure)
    if end.exitcode == BUSY:
        held.keep(job)
        return []
    gone = end.lost or ("wanted for something else" if end.exitcode == WANTED else "")
    with as_job(job.title):
        if gone and tries[job.out] < RETRIES:
            tries[job.out] += 1
            note(f"its machine is lost ({gone}): started again, from what was saved")
            return [job]
        if gone:
            cause = f"its machine was lost {RETRIES + 1} times without its getting further, the last: {gone}"
            write_failure(RunDirectory(Path(job.out)), cause)
            tell(Failed(cause=cause))
        elif end.exitcode == 0 and (reason := _without_result(job, outdated)):
            write_failure(RunDirectory(Path(job.out)), reason)
            tell(Failed(cause=reason))
    if not gone:
        say_failure(job, end.exitcode)
    return []


def _without_result(job: Job, outdated: Outdated) -> str:
    """Why a job that went well has no result that counts here; "" where it has."""
    until = time.monotonic() + LAG_SECONDS
    while (result := RunDirectory(Path(job.out)).read_result()) is None:
        if time.monotonic() > until:
            return f"it was done, and {job.out} has no result: is that folder the same on all machines?"
        time.sleep(0.5)
    return outdated(job, result) or ""


def _stop(cluster: Cluster, running: Mapping[Hashable, Job]) -> None:
    """End what runs, and tell what it still says: where each has stopped, and what is saved. Of those that a cluster
    ends without their last word it stands in their folders.
    """
    cluster.stop(GRACE_SECONDS)
    silent = dict(running)
    for name, news in cluster.news(0.0):
        if name in running and not isinstance(news, Ended):
            _take(running[name], news)
            if isinstance(news, Interrupted):
                silent.pop(name, None)
    for job in silent.values():
        if text := how_stopped(RunDirectory(Path(job.out))):
            with as_job(job.title):
                tell(Interrupted(text=text))
