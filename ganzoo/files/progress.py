"""The stream of events: whoever works tells it, whoever listens hears it. The events of runs are in
`ganzoo.runs.events`; what any work tells, of itself or in a line, is here. Torch-free.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that has happened. `str(event)` says it in a line."""

    kind: ClassVar[str] = ""
    """Its name in logs."""

    job: str = ""
    """Title of the run that it is of; "" of none."""


@dataclass(frozen=True, kw_only=True)
class Working(Event):
    """Something takes a while. Told when it begins, from time to time, and with `ended` when it is over."""

    kind: ClassVar[str] = "working"

    what: str
    """Such as "decoding faces"."""
    done: int = 0
    total: int | None = None
    """None: nobody knows how long."""
    unit: str = "images"
    """What `done` and `total` count."""
    ended: bool = False

    def __str__(self) -> str:
        return self.what if self.total is None else f"{self.what}: {self.done}/{self.total} {self.unit}"


@dataclass(frozen=True, kw_only=True)
class Note(Event):
    """What has to be known, in a line: what was read, what is left out, why something is done."""

    kind: ClassVar[str] = "note"

    text: str

    def __str__(self) -> str:
        return self.text


Listen = Callable[[Event], object]
"""Is told of events, in the thread that works. What it raises ends the work."""

OnProgress = Callable[[int, int], None]
"""Called as `on_progress(done, total)`, in images, from the thread that started the work."""


def nobody(event: Event) -> None:
    """Listens to nothing."""


_listen: ContextVar[Listen] = ContextVar("listen", default=nobody)  # of a thread: several runs may share a process


def tell(event: Event) -> None:
    """To whoever listens in this thread."""
    _listen.get()(event)


def listener() -> Listen:
    """Who listens in this thread."""
    return _listen.get()


def note(text: str) -> None:
    """Tell a line that has to be known."""
    tell(Note(text=text))


@contextlib.contextmanager
def listening(listen: Listen | None) -> Iterator[None]:
    """Inside, `listen` is told of this thread's events; None: whoever has been before."""
    if listen is None:
        yield
        return
    token = _listen.set(listen)
    try:
        yield
    finally:
        _listen.reset(token)


@contextlib.contextmanager
def as_job(title: str) -> Iterator[None]:
    """Inside, events that are of no run are of this one."""
    outer = _listen.get()
    with listening(lambda event: outer(event if event.job else replace(event, job=title))):
        yield


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@contextlib.contextmanager
def logs_noted() -> Iterator[None]:
    """Inside, warnings of the logger "ganzoo" are notes."""
    logger, handler = logging.getLogger("ganzoo"), _Notes(logging.WARNING)
    if any(isinstance(one, _Notes) for one in logger.handlers):  # they are already
        yield
        return
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


MOMENT = 0.1
"""Seconds between two counts that are told: some work counts a thousand times a second."""


class _Count:
    """Tells how far something has come, at its beginning, at most once in a moment, and at its end."""

    def __init__(self, state: Working) -> None:
        self._state, self._told = state, time.monotonic()
        tell(state)

    def to(self, done: int, total: int | None) -> None:
        self._state = replace(self._state, done=done, total=total)
        now = time.monotonic()
        if now - self._told >= MOMENT or done == total:
            self._told = now
            tell(self._state)

    def more(self, done: int) -> None:
        self.to(self._state.done + done, self._state.total)

    def end(self) -> None:
        tell(replace(self._state, ended=True))


@contextlib.contextmanager
def working(what: str, total: int | None = None, unit: str = "images") -> Iterator[Callable[[int], None]]:
    """Tell that something takes a while, until it is over. Gives a function to call with how much more is done."""
    count = _Count(Working(what=what, total=total, unit=unit))
    try:
        yield count.more
    finally:
        count.end()


@contextlib.contextmanager
def progress(what: str, on_progress: OnProgress | None = None, unit: str = "images") -> Iterator[OnProgress]:
    """As `working`, for work that counts by itself: gives a function to call with (done, total), in `unit`, which is
    `on_progress` where there is one.
    """
    if on_progress is not None:
        yield on_progress
        return
    count = _Count(Working(what=what, unit=unit))
    try:
        yield count.to
    finally:
        count.end()
