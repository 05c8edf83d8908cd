"""Signals that end a program: the state is saved first, and what to do next is said. Torch-free."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

ECHO_SECONDS = 1.0
"""A signal that comes as soon after the first is the same one, by another way."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C; what Slurm, Kubernetes and a computer that is shut down send; what a terminal sends that is closed."""


class Stopped(BaseException):
    """A signal has ended the work: `number`; `text` says where, and how to go on.

    No KeyboardInterrupt, which click would answer itself, on a terminal that may be gone.
    """

    def __init__(self, number: int, where: str = "") -> None:
        self.number = number
        self.text = f"stopped by {signal.Signals(number).name}{where}; the same command continues"
        super().__init__(self.text)

    @property
    def code(self) -> int:
        """The exit code that shells expect."""
        return 128 + self.number


class Stop:
    """Whether a signal has come, for those who can only stop at certain points.

    A training loop holds signals back while it works, looks at `requested` after each step, saves and raises `Stopped`.
    Everywhere else the handler raises it at once, as there is nothing to save that has not been. Where loops work in
    other threads, the handler never raises: they all look.
    """

    def __init__(self, *, threads: bool = False) -> None:
        self.requested: int | None = None  # number of the signal
        self._threads = threads
        self._held = 0  # loops that hold signals back
        self._where = ""  # what a signal breaks off

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Inside, a signal is only noted. One that nobody has looked at is raised at the end."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        self.check()

    @contextlib.contextmanager
    def let_through(self, where: str = "") -> Iterator[None]:
        """Within `held_back`: something long, such as scoring, that may be broken off at any point."""
        self._held -= 1
        before, self._where = self._where, where
        try:
            self.check(where)
            yield
        finally:
            self._held += 1
            self._where = before

    def hold(self) -> None:
        """From now on signals are only noted: the work is ending for another reason, which is being told."""
        self._held += 1

    @property
    def holds(self) -> bool:
        """Whether signals are only noted."""
        return self._held > 0 or self._threads

    def check(self, where: str = "") -> None:
        """
        Raises:
            Stopped: a signal has come.
        """
        if self.requested is not None:
            raise Stopped(self.requested, where)

    def note(self, number: int) -> None:
        """What a handler does with the first signal."""
        self.requested = number
        if not self.holds:
            raise Stopped(number, self._where)


_handling: list[Stop] = []
"""Of the main thread, which is the one that handles; the innermost last."""


def check_signals() -> None:
    """For loops that wait for others: raise what a handler has raised in vain, in a destructor, or in code of a library
    that drops what it does not know.

    Raises:
        Stopped: a signal has come, and is not held back.
    """
    if _handling and not _handling[-1].holds:
        _handling[-1].check()


NEVER = Stop()
"""For callers without handlers: nothing is ever requested."""


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Signals that come in here are delivered afterwards. A process that is started in here begins with them blocked,
    and gets them in `stop_on_signals`, when it can handle them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _numbers())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]  # Windows has no SIGHUP


@contextlib.contextmanager
def stop_on_signals(stop: Stop | None = None, *, again: Callable[[int], object] | None = None) -> Iterator[Stop]:
    """Handle `SIGNALS` in here, in the main thread; elsewhere nothing is changed.

    Args:
        again: called with the number of a further signal that is no echo of the first; None: the process ends at once.

    A signal that is ignored when the program starts stays so: `nohup` means what it says.
    """
    stop = stop or Stop()

    first = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if stop.requested is None:
            first = time.monotonic()
            stop.note(number)
        elif time.monotonic() - first < ECHO_SECONDS:
            pass  # `timeout`, `uv run` and terminals tell a process and its whole group
        elif again is None:
            os._exit(128 + number)
        else:
            again(number)

    before: dict[int, object] = {}
    handles = threading.current_thread() is threading.main_thread()
    if handles:
        for number in _numbers():
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: a handler that is not Python's
                before[number] = signal.signal(number, handle)
    if handles:
        _handling.append(stop)
    try:
        if before and hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, before)  # see `signals_blocked`
        yield stop
    finally:
        if handles:
            _handling.remove(stop)
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


@contextlib.contextmanager
def signals_of_the_caller(stop: Stop | None, *, again: Callable[[int], object] | None = None) -> Iterator[Stop]:
    """`stop`, of whoever handles signals; None: as `stop_on_signals` in here, and what was stopped ends as the signal
    does without us, once the state is saved: by KeyboardInterrupt, by the caller's own handler, or with the process.

    Raises:
        KeyboardInterrupt: a signal has come, and there was no `stop`. A further one raises it at once.
    """
    if stop is not None:
        yield stop
        return
    stopped = None
    try:
        with stop_on_signals(again=again or _interrupt) as ours:
            yield ours
    except Stopped as error:
        stopped = error
    if stopped is not None:
        if signal.getsignal(stopped.number) is not signal.default_int_handler:
            signal.raise_signal(stopped.number)
        raise KeyboardInterrupt(stopped.text)


def _interrupt(number: int) -> None:
    raise KeyboardInterrupt
