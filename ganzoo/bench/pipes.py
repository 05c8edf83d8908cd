"""Events of a worker process, on their way to the process that started it."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

from ganzoo.engine.stopping import signals_blocked
from ganzoo.files.progress import Event, listening, logs_noted, note, tell


class Sender:
    """A listener that sends events through a pipe. Runs in several threads may share it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        # A signal that broke off a message would leave the other end waiting for the rest. Where nobody listens any
        # more, work goes on.
        with signals_blocked(), self._lock, contextlib.suppress(OSError):
            self._connection.send(event)


def receive(connection: Connection) -> bool:
    """Tell what has come through the pipe. Returns whether there may be more."""
    try:
        while connection.poll():
            with signals_blocked():
                event = connection.recv()
            tell(event)
    except (EOFError, OSError):
        return False
    return True


@contextlib.contextmanager
def all_sent(connection: Connection | None) -> Iterator[None]:
    """Inside, events of this thread go through the pipe, and so does what libraries print and log, in lines: the
    terminal is the other process's. None: all stays as it is.
    """
    if connection is None:
        yield
        return
    with (
        listening(Sender(connection)),
        logs_noted(),
        contextlib.redirect_stdout(_Printed()),
        contextlib.redirect_stderr(_Printed()),
    ):
        yield


class _Printed(io.TextIOBase):
    """A file whose lines are notes."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._line = ""

    def write(self, text: str, /) -> int:
        *lines, self._line = (self._line + text).replace("\r", "\n").split("\n")
        for line in lines:
            if line.strip():
                note(line)
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False
