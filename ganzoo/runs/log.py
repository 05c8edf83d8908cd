"""log.txt: what happened to a run and when, in lines for people, over all of its starts. Torch-free."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ganzoo.files.progress import Event, Note, Working, listener, listening
from ganzoo.files.reading import LINES_BYTES, Unreadable, read_inside
from ganzoo.files.text import clean
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Diagnosed, Resumed
from ganzoo.runs.provenance import utc_now

if TYPE_CHECKING:
    from ganzoo.engine.loop import Snapshot, Status

TICK_SECONDS = 60.0
"""Between two lines about ticks: stats.jsonl has them all."""

WORK_SECONDS = 1.0
"""From which on it is noted that something took a while beside training."""


_STOPPED = "ended by Stopped: "


def how_stopped(run: RunDirectory) -> str:
    """What a run that a signal has stopped said last; "" where it has gone on since, or ended otherwise."""
    try:
        lines = read_inside(run.path, run.log_file.name, LINES_BYTES).decode("utf-8", errors="replace").splitlines()
    except (FileNotFoundError, Unreadable):
        return ""
    _, stopped, text = (lines or [""])[-1].partition(_STOPPED)
    return clean(text, 500) if stopped else ""


class RunLog:
    """An observer, and a listener beside whoever else listens to the run. A line that cannot be written is lost:
    no run ends for its log.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._file = run.log_file
        self._working = ("", 0.0)  # what takes a while, and since when
        self._ticked = -TICK_SECONDS

    def begin(self, provenance: Mapping[str, Any], device: str) -> None:
        """A line about a start."""
        who = [str(provenance[key]) for key in ("user", "host") if provenance.get(key)]
        by = f" by {'@'.join(who)}" if who else ""
        self.line(f"started{by} on {device}")
        if provenance.get("command"):
            self.line(f"command: {provenance['command']}")

    def line(self, text: str) -> None:
        with contextlib.suppress(OSError), self._file.open("a", encoding="utf-8") as file:
            file.write(f"{utc_now()} {clean(text)}\n")

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Inside, what this thread tells is noted: what has to be known, and what took a while when it is over."""
        outer = listener()

        def both(event: Event) -> None:
            self._hear(event)
            outer(event)

        with listening(both):
            yield

    def _hear(self, event: Event) -> None:
        self._over(event.what if isinstance(event, Working) and not event.ended else "")
        if isinstance(event, (Note, Resumed, Diagnosed)):
            self.line(str(event))

    def _over(self, what: str) -> None:
        """`what` takes a while from now on, and what did is over, unless it is the same."""
        before, since = self._working
        if what != before:
            seconds = time.monotonic() - since
            if before and seconds >= WORK_SECONDS:
                self.line(f"{before}, {seconds:.0f} s")
            self._working = what, time.monotonic()

    def on_status(self, status: Status) -> None:
        now = time.monotonic()
        if now - self._ticked < TICK_SECONDS:
            return
        self._ticked = now
        values = ", ".join(f"{name} {value:.4g}" for name, value in list(status.values.items())[:12])
        self.line(f"{status.kimg:.2f} kimg, {status.seconds:.0f} s, {status.img_per_s:.0f} img/s, {values}")

    def on_snapshot(self, snapshot: Snapshot) -> None:
        scores = {name: value for name, value in snapshot.metrics.items() if "." not in name}
        told = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        self.line(f"snapshot at {snapshot.images / 1000:g} kimg{f': {told}' if told else ''}")

    def on_end(self, result: dict[str, Any]) -> None:
        seconds = (result.get("seconds") or {}).get("wall") or 0.0
        how = f"diverged: {result['diverged']}" if result["diverged"] else "done"
        self.line(f"{how} at {result['kimg']:g} kimg, {seconds:.0f} s in all")

    def ended_by(self, error: BaseException) -> None:
        """A line about what ended this start."""
        self.line(f"ended by {type(error).__name__}: {error}" if str(error) else f"ended by {type(error).__name__}")
