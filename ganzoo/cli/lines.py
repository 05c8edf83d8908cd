"""Events as lines, for people and for programs."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from typing import IO, Any, Protocol

from ganzoo.files.progress import Event, Working
from ganzoo.files.text import clean
from ganzoo.runs import events

TICK_SECONDS, COUNT_SECONDS = 2.0, 10.0
"""At least this long between two plain lines of one run that may be left out: between ticks; between counts."""


class Consumer(Protocol):
    """Shows events."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None:
        """Leave the terminal as it is to be."""
        ...


class Lasting:
    """A stream to a terminal, pipe or file that may go away: from then on nothing is written, and nothing raised."""

    def __init__(self, stream: IO[str] | None) -> None:
        """`stream` None: there has never been one, as with `2>&-`."""
        self._stream, self._gone = stream, stream is None

    def write(self, text: str) -> int:
        if self._stream is not None and not self._gone:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        if self._stream is not None and not self._gone:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._lose()

    def isatty(self) -> bool:
        return self._stream is not None and not self._gone and self._stream.isatty()

    def _lose(self) -> None:
        self._gone = True
        if self._stream is None:
            return
        with contextlib.suppress(OSError, ValueError):
            # What is left in the buffer would fail again when Python ends, which then exits with 120.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Plain:
    """A line for what has to be seen, and now and then one for what may be left out."""

    def __init__(self, stream: Lasting) -> None:
        self._stream = stream
        self._of = Seen()
        self._said: dict[str, float] = {}  # by run: when its last line was written

    def __call__(self, event: Event) -> None:
        line = self._of.line(event)
        if line is None or (self._of.optional(event) and not self._due(event)):
            return
        self._said[event.job] = time.monotonic()
        self._stream.write(f"{event.job}: {line}\n" if event.job else f"{line}\n")
        self._stream.flush()

    def _due(self, event: Event) -> bool:
        counts = isinstance(event, Working) and event.done > 0
        since = time.monotonic() - self._said.get(event.job, -math.inf)
        return since >= (COUNT_SECONDS if counts else TICK_SECONDS)

    def close(self) -> None:
        pass


class Json:
    """One JSON object a line, of every event; docs/python.md has the fields."""

    def __init__(self, stream: Lasting) -> None:
        self._stream = stream
        self.last: Event | None = None

    def __call__(self, event: Event) -> None:
        self.last = event
        document = {**events.to_dict(event), "time": round(time.time(), 3)}
        self._stream.write(json.dumps(_finite(document)) + "\n")
        self._stream.flush()

    def close(self) -> None:
        pass


class Quiet:
    """Failures alone."""

    def __init__(self, stream: Lasting) -> None:
        self._lines, self._bench = Plain(stream), False

    def __call__(self, event: Event) -> None:
        self._bench |= isinstance(event, events.Planned)
        if self._bench and isinstance(event, events.Failed) and event.job:
            self._lines(events.Planned(jobs=()))  # of a bench: the failures of its runs are no errors of the command
            self._lines(event)

    def close(self) -> None:
        pass


class Seen:
    """What has gone before an event, and what is to be said of it, therefore."""

    def __init__(self) -> None:
        self._bench = False
        self._pictured = False
        self._fid: dict[str, float] = {}
        self._began: dict[tuple[str, str], float] = {}

    def optional(self, event: Event) -> bool:
        return isinstance(event, (Working, events.Tick))

    def line(self, event: Event) -> str | None:
        """Clean text; None: nothing is said."""
        text: str | None = str(event)
        match event:
            case events.Planned():
                self._bench = True
                text = text if len(event.jobs) > 1 else None
            case events.Interrupted() | events.Failed():  # of a run alone: what ends it is the command's own error
                text = text if self._bench and event.job else None
            case events.Ended():
                text = None
            case Working():
                text = None if event.ended else self._with_time(event)
            case events.Tick():
                text = with_fid(event, self._fid.get(event.job))
            case events.Scored():
                fid = event.values.get("fid")
                if event.kimg and fid is not None:
                    self._fid[event.job] = fid
                text = text if event.kimg else None
            case events.Resumed():
                if event.values.get("fid") is not None:
                    self._fid[event.job] = float(event.values["fid"] or 0.0)
            case events.Picture():  # the first that was trained for: others lie beside it
                text = None if event.kimg == 0 or self._pictured else text
                self._pictured |= event.kimg > 0
        return None if text is None else clean(text)

    def _with_time(self, event: Working) -> str:
        now, key = time.monotonic(), (event.job, event.what)
        if event.done == 0 or key not in self._began:
            self._began[key] = now
        left = seconds_left(event, now - self._began[key])
        return str(event) if left is None else f"{event}  {events.clock(left)} left"


def with_fid(tick: events.Tick, fid: float | None) -> str:
    """The tick's line, with the latest FID before the time that is left."""
    if fid is None:
        return str(tick)
    start, _, left = str(tick).rpartition("  ")
    return f"{start}  FID {fid:.1f}  {left}"


def seconds_left(work: Working, seconds: float) -> float | None:
    """Of work that has gone on for `seconds`; None: nobody can tell."""
    if not work.total or not work.done or seconds <= 0:
        return None
    return seconds * (work.total - work.done) / work.done


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
