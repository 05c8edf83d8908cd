"""Jobs in processes of their own, one after the other or some at a time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

from ganzoo.bench.jobs import Job
from ganzoo.config.layers import from_dict
from ganzoo.config.options import load_zoo
from ganzoo.engine.ledger import process_began
from ganzoo.engine.stopping import SIGNALS, Stop, Stopped, signals_blocked, stop_on_signals
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory, told_with_traceback
from ganzoo.runs.watching import Unwatched, Watch

Outdated = Callable[[Job, dict[str, Any]], str | None]
"""Why the result of a finished job is no longer what the job asks for, in words; None where it is."""


def run_jobs(
    jobs: Sequence[Job],
    announce: Callable[[str], None],
    outdated: Outdated = lambda job, result: None,
    watch: Watch = Unwatched,
    at_once: int = 1,
) -> list[RunDirectory]:
    """Run what is missing, in order, `at_once` jobs at a time. A job that fails leaves `failure.txt` in its folder and
    the next one starts; so does a worker that is killed. `announce` is told of jobs that are already done and of
    failures.

    Raises:
        Stopped: a signal has come; the same command continues.
    """
    context = multiprocessing.get_context("spawn")
    left, working = deque(jobs), dict[BaseProcess, Job]()
    try:
        while left or working:
            if left and len(working) < at_once:
                job = left.popleft()
                if not done_before(job, announce, outdated):
                    worker: BaseProcess = context.Process(target=work, args=(job, watch, at_once), name=job.title)
                    working[worker] = job  # before it starts: whatever comes meanwhile finds it
                    _start(worker)
                continue
            connection.wait([worker.sentinel for worker in working])
            for worker in [worker for worker in working if not worker.is_alive()]:
                _say_failure(working.pop(worker), _exitcode(worker), announce)
    except BaseException:  # an error, too, may come while others work
        _end(working)
        raise
    return [RunDirectory(Path(job.out)) for job in jobs]


def _say_failure(job: Job, exitcode: int, announce: Callable[[str], None]) -> None:
    """Tell of a job's end, unless it was a good one."""
    run = RunDirectory(Path(job.out))
    if exitcode < 0:
        write_failure(run, f"the process was ended by signal {-exitcode} (out of memory?)", announce)
    if exitcode:
        announce(f"{job.title}: failed: {first_failure(run) or _ended(exitcode)}")


def done_before(job: Job, announce: Callable[[str], None], outdated: Outdated) -> bool:
    """Whether the job has a result that counts; said in a line where there is one."""
    result = RunDirectory(Path(job.out)).read_result()
    reason = None if result is None else outdated(job, result)
    if result is not None:
        announce(f"{job.title}: {reason or 'done before'}")
    return result is not None and reason is None


GRACE_SECONDS = 10.0
"""For a worker to save its state, before it is killed."""


_JOINED: set[BaseProcess] = set()
"""Workers that are waited for."""

UNGUARDED = 4
"""Exit code of a worker that could not begin: the script that starts workers does so where it is imported."""


def check_script() -> None:
    """To be called by what starts workers, which import its script first. Where a script starts workers as it is
    imported, that would go on forever: the worker ends, and `join` says why.

    Raises:
        UserError: there is no file that they could import.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # multiprocessing's own sign of it
        raise SystemExit(UNGUARDED)
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is not None and getattr(main, "__spec__", None) is None and not os.path.exists(file):
        raise UserError(f"the script is {file}, which worker processes cannot import", "put it into a file")


def join(worker: BaseProcess) -> int:
    """Start a process and wait for its end: the exit code, negative for a signal that killed it. What interrupts this
    one interrupts the worker, too, and waits until it is gone.

    Raises:
        UserError: the script starts its work again whenever it is imported.
    """
    try:
        _start(worker)
        worker.join()
    except (KeyboardInterrupt, Stopped):
        _end([worker])
        raise
    return _exitcode(worker)


def _start(worker: BaseProcess) -> None:
    with signals_blocked():  # one that comes in between would leave a worker that nobody knows
        worker.start()
        _JOINED.add(worker)


def _end(workers: Iterable[BaseProcess]) -> None:
    """Have them save their states, and wait until they are gone."""
    workers = [worker for worker in workers if worker.pid is not None]  # that were started
    for worker in workers:
        worker.terminate()  # a terminal has told it already, others have not: it takes both as one
    until = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        worker.join(timeout=max(0.0, until - time.monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()
        _JOINED.discard(worker)


def _exitcode(worker: BaseProcess) -> int:
    """Of one that has ended; errors as in `join`."""
    _JOINED.discard(worker)
    if worker.exitcode == UNGUARDED:
        raise UserError(
            "the script runs ganzoo.bench whenever it is imported, as each of its worker processes does",
            'put the call below a line `if __name__ == "__main__":`',
        )
    return worker.exitcode or 0


def kill_workers() -> None:
    """End them at once, without a saved state: what a bench does at a second signal."""
    for worker in tuple(_JOINED):
        worker.kill()


def _ended(exitcode: int) -> str:
    names = {128 + getattr(signal, name): name for name in SIGNALS if hasattr(signal, name)}
    return f"stopped by {names[exitcode]}, state saved" if exitcode in names else f"exit code {exitcode}"


def first_failure(run: RunDirectory) -> str:
    """The first line of the run's failure.txt; "" if there is none."""
    return run.read_failure()


def work(job: Job, watch: Watch, at_once: int = 1) -> None:
    """What a worker process does, one of `at_once` on this machine. Exit code 0: result.json is there; 2: the user's
    error; 1: a bug, traceback in failure.txt; 128 and the number of a signal: stopped by it, state saved.
    """
    with stop_on_signals(again=lambda number: None) as stop:  # the bench kills, where that is meant
        _work(job, watch, at_once, stop)


def _work(job: Job, watch: Watch, at_once: int, stop: Stop) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    # A worker is its job's own process; who calls this in another one has spent that one's time on other things.
    began = None if multiprocessing.parent_process() is None else process_began()
    run = RunDirectory(Path(job.out))
    watcher = watch(job.title) if at_once == 1 else watch(job.title, live=False)
    try:
        if job.threads is not None:  # read by libraries when they are loaded
            os.environ |= {name: str(job.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        # These import torch: seconds in which the user may interrupt, too.
        from ganzoo.engine.cuda.concurrent import OwnProcess
        from ganzoo.runs.job import run_job

        if job.threads is not None:
            import torch

            torch.set_num_threads(job.threads)
        registry = load_zoo(job.plugin_files)
        config = from_dict(registry, job.config)
        with watcher:
            run_job(
                registry,
                config,
                run.path,
                root=Path(job.root),
                observers=[watcher],
                announce=watcher.announce,
                report=watcher.report,
                turn=OwnProcess(at_once),
                stop=stop,
                began=began,
            )
    except (KeyboardInterrupt, Stopped) as error:
        leave(error, watcher.report)
    except Exception as error:
        record_failure(run, error, watcher.report)
        sys.exit(2 if isinstance(error, UserError) else 1)


def leave(error: BaseException, report: Callable[[str], None]) -> NoReturn:
    """Say what stopped a worker, and end it without joining torch's threads, which may be in the middle of a step."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        report(str(error))
    os._exit(getattr(error, "code", 130))


def record_failure(run: RunDirectory, error: BaseException, report: Callable[[str], None]) -> None:
    """failure.txt: cause and cure of a user's error, the traceback of a bug."""
    if isinstance(error, UserError):
        write_failure(run, f"{error.cause}; {error.cure}", report)
    else:
        write_failure(run, told_with_traceback(error), report)


def end_with_parent() -> None:
    """A bench that is killed must not leave a job behind that trains on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(130)


def write_failure(run: RunDirectory, text: str, report: Callable[[str], None]) -> None:
    """Best effort: when the disk is the trouble, the exit code still tells."""
    try:
        run.write_failure(text)
    except (OSError, UserError) as error:
        report(f"cannot record the failure: {error}")
