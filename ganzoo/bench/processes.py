"""Processes of workers: begun, listened to, waited for, ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from ganzoo.bench.pipes import receive
from ganzoo.engine.stopping import Stopped, signals_blocked
from ganzoo.errors import UserError
from ganzoo.files.progress import Event, listener, listening


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


def await_workers(workers: Iterable[BaseProcess], timeout: float | None = None) -> list[BaseProcess]:
    """Tell the workers' events, until one of them ends or for `timeout` seconds. Those that have ended."""
    workers = list(workers)
    if not workers:
        time.sleep(timeout or 0.0)
        return []
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
        start_worker(worker)
        while worker not in await_workers([worker]):
            pass
    except (KeyboardInterrupt, Stopped):
        end_workers([worker])
        raise
    return exitcode_of(worker)


def start_worker(worker: BaseProcess) -> None:
    with signals_blocked():  # one that comes in between would leave a worker that nobody knows
        worker.start()
        _JOINED.add(worker)
        if worker in _PIPES:
            _PIPES[worker][1].close()  # so that the pipe ends with the worker


def end_workers(workers: Iterable[BaseProcess]) -> None:
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
            left -= set(await_workers(left, until - time.monotonic()))
    for worker in workers:
        _close(worker)
        if worker.is_alive():
            worker.kill()
            worker.join()
        _JOINED.discard(worker)


def exitcode_of(worker: BaseProcess) -> int:
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
