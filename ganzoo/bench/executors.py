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
from typing import Any, NoReturn, Protocol

from ganzoo.bench.jobs import Job
from ganzoo.bench.pipes import all_sent, receive
from ganzoo.config.layers import from_dict
from ganzoo.config.options import load_zoo
from ganzoo.engine.ledger import process_began
from ganzoo.engine.stopping import SIGNALS, Stop, Stopped, signals_blocked, stop_on_signals
from ganzoo.errors import UserError
from ganzoo.files.progress import Event, as_job, listener, listening
from ganzoo.runs.directory import RunDirectory, told_with_traceback
from ganzoo.runs.events import Failed, Interrupted, Note, note, tell, working
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

    Raises:
        Stopped: a signal has come; the same command continues.
    """
    context = multiprocessing.get_context("spawn")
    left, busy = deque(jobs), dict[BaseProcess, Job]()
    try:
        while left or busy:
            if left and len(busy) < at_once:
                job = left.popleft()
                if not done_before(job, outdated):
                    worker = make_worker(context, work, job, at_once, name=job.title)
                    busy[worker] = job  # before it starts: whatever comes meanwhile finds it
                    _start(worker)
                continue
            for worker in _await(busy):
                _say_failure(busy.pop(worker), _exitcode(worker))
    except BaseException:  # an error, too, may come while others work
        _end(busy)
        raise
    return [RunDirectory(Path(job.out)) for job in jobs]


def _say_failure(job: Job, exitcode: int) -> None:
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


class Worker(Protocol):
    """What a worker process is made of: a function of a module, whose last argument is the end of a pipe for events."""

    def __call__(self, *arguments: Any) -> None: ...


_PIPES: dict[BaseProcess, tuple[connection.Connection, connection.Connection]] = {}
"""Of each worker: the end for reading, and its own, which is closed here once it has begun."""


def make_worker(context: Any, target: Worker, *arguments: Any, name: str) -> BaseProcess:
    """A process that has not begun, whose events are told here while it is waited for."""
    ours, theirs = context.Pipe(duplex=False)
    worker: BaseProcess = context.Process(target=target, args=(*arguments, theirs), name=name)
    _PIPES[worker] = (ours, theirs)
    return worker


def _await(workers: Iterable[BaseProcess], timeout: float | None = None) -> list[BaseProcess]:
    """Tell the workers' events, until one of them ends or for `timeout` seconds. Those that have ended."""
    workers = list(workers)
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        pipes = {_PIPES[worker][0]: worker for worker in workers if worker in _PIPES}
        left = None if until is None else max(0.0, until - time.monotonic())
        ready = connection.wait([*(worker.sentinel for worker in workers), *pipes], left)
        ended = [worker for worker in workers if not worker.is_alive()]  # before its last events are read
        for pipe, worker in pipes.items():
            if (pipe in ready or worker in ended) and (not receive(pipe) or worker in ended):
                _close(worker)
        if ended or (until is not None and time.monotonic() >= until):
            return ended


def _close(worker: BaseProcess) -> None:
    for end in _PIPES.pop(worker, ()):
        end.close()


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
        while worker not in _await([worker]):
            pass
    except (KeyboardInterrupt, Stopped):
        _end([worker])
        raise
    return _exitcode(worker)


def _start(worker: BaseProcess) -> None:
    with signals_blocked():  # one that comes in between would leave a worker that nobody knows
        worker.start()
        _JOINED.add(worker)
        if worker in _PIPES:
            _PIPES[worker][1].close()  # so that the pipe ends with the worker


def _end(workers: Iterable[BaseProcess]) -> None:
    """Have them save their states, and wait until they are gone."""
    every = list(workers)
    workers = [worker for worker in every if worker.pid is not None]  # that were started
    for worker in every:
        if worker.pid is None:
            _close(worker)
    for worker in workers:
        worker.terminate()  # a terminal has told it already, others have not: it takes both as one
    until, left, heard = time.monotonic() + GRACE_SECONDS, set(workers), listener()

    def hear(event: Event) -> None:
        with contextlib.suppress(Exception):  # it may be what ends them
            heard(event)

    with listening(hear):
        while left and time.monotonic() < until:  # what they still say is told: where they stopped, and what is saved
            left -= set(_await(left, until - time.monotonic()))
    for worker in workers:
        _close(worker)
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


def work(job: Job, at_once: int = 1, pipe: connection.Connection | None = None) -> None:
    """What a worker process does, one of `at_once` on this machine. Exit code 0: result.json is there; 2: the user's
    error; 1: a bug, traceback in failure.txt; 128 and the number of a signal: stopped by it, state saved. Events go
    into the pipe; None: to who listens.
    """
    with (
        stop_on_signals(again=lambda number: None) as stop,  # the bench kills, where that is meant
        all_sent(pipe),
        as_job(job.title),
    ):
        _work(job, at_once, stop)


def _work(job: Job, at_once: int, stop: Stop) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    # A worker is its job's own process; who calls this in another one has spent that one's time on other things.
    began = None if multiprocessing.parent_process() is None else process_began()
    run = RunDirectory(Path(job.out))
    try:
        if job.threads is not None:  # read by libraries when they are loaded
            os.environ |= {name: str(job.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        with working("loading torch"):  # seconds in which the user may interrupt, too
            from ganzoo.engine.cuda.concurrent import OwnProcess
            from ganzoo.runs.job import run_job

        if job.threads is not None:
            import torch

            torch.set_num_threads(job.threads)
        registry = load_zoo(job.plugin_files)
        config = from_dict(registry, job.config)
        run_job(
            registry,
            config,
            run.path,
            root=Path(job.root),
            turn=OwnProcess(at_once),
            stop=stop,
            began=began,
        )
    except (KeyboardInterrupt, Stopped) as error:
        leave(error)
    except Exception as error:
        record_failure(run, error)
        sys.exit(2 if isinstance(error, UserError) else 1)


def leave(error: BaseException) -> NoReturn:
    """Say what stopped a worker, and end it without joining torch's threads, which may be in the middle of a step."""
    tell(Interrupted(text=str(error)))
    os._exit(getattr(error, "code", 130))


def record_failure(run: RunDirectory, error: BaseException) -> None:
    """failure.txt: cause and cure of a user's error, the traceback of a bug."""
    if isinstance(error, UserError):
        write_failure(run, f"{error.cause}; {error.cure}")
    else:
        write_failure(run, told_with_traceback(error))


def end_with_parent() -> None:
    """A bench that is killed must not leave a job behind that trains on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(130)


def write_failure(run: RunDirectory, text: str) -> None:
    """Best effort: when the disk is the trouble, the exit code still tells."""
    try:
        run.write_failure(text)
    except (OSError, UserError) as error:
        note(f"cannot record the failure: {error}")
