"""The live board of a terminal: a line for each run at work, one for all of them, and how they stand."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ganzoo.cli.lines import Lasting, Seen, seconds_left
from ganzoo.cli.standings import Entry, standings
from ganzoo.files.progress import Event, Working
from ganzoo.runs import events

if TYPE_CHECKING:
    from rich.console import RenderableType

LASTING_LINES = (
    *(events.Note, events.Resumed, events.Diagnosed, events.Finished, events.Failed, events.Interrupted),
    *(events.Picture, events.Started),
)
"""Events that leave a line above the board."""


REFRESHES = 4
"""A second."""

MARGIN = 3
"""Letters that stay free on the right: the terminal writes ^C there, which would begin a new line."""

WITHOUT_SCORES = 0.9
"""What of a run is done when it has been trained and not been scored."""


@dataclass
class Line:
    """A run at work."""

    title: str
    kimg: float | None = None
    """The budget."""
    tick: events.Tick | None = None
    fid: float | None = None
    work: Working | None = None
    work_began: float = 0.0
    score: dict[str, Any] = field(default_factory=dict)

    scored: float = 0.0
    """Seconds that its scores have taken."""

    @property
    def progress(self) -> float:
        """Of training."""
        return 0.0 if self.tick is None else self.tick.progress

    @property
    def share(self) -> float:
        """Of the whole run, in time where it is known how long its scores take."""
        tick = self.tick
        if tick is None or tick.scoring_left is None:
            return WITHOUT_SCORES * self.progress
        spent = tick.seconds + self.scored
        return spent / max(spent + tick.seconds_left + tick.scoring_left, 1e-9)


class Board:
    """Shows events on a terminal, where nothing is left of it in the end but the lines that are to stay."""

    def __init__(self, stream: Lasting, console: Console | None = None) -> None:
        self._console = console or Console(file=cast("IO[str]", stream), highlight=False)
        self._live: Live | None = None
        self.state = State()
        self._seen = Seen()

    def __call__(self, event: Event) -> None:
        if self._live is None and not isinstance(event, events.Ended):
            self._live = Live(
                console=self._console,
                get_renderable=lambda: self.state,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),
                refresh_per_second=REFRESHES,
            )
            self._live.start()
        line = self._seen.line(event)
        self.state.take(event)
        on_board = isinstance(event, events.Started) and bool(self.state.jobs)  # a bench's runs are there to be seen
        if isinstance(event, LASTING_LINES) and line is not None and not on_board:
            self._print(event, line)
        if isinstance(event, events.Ended):
            self.close()

    def _print(self, event: Event, line: str) -> None:
        style = {"diagnosed": "yellow", "failed": "red", "note": ""}.get(event.kind, "")
        text = Text(f"{event.job}: {line}" if event.job else line, style=style)
        self._console.print(text)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class State:
    """What the board shows now: a renderable that fits whatever size the terminal has when it is drawn."""

    def __init__(self) -> None:
        self.jobs: tuple[str, ...] = ()
        self.at_work: dict[str, Line] = {}  # by title
        self.done: set[str] = set()
        self.before: set[str] = set()  # of `done`: that had their results
        self.entries: dict[str, Entry] = {}  # of the standings, by label
        self.began = time.monotonic()
        self._lock = threading.RLock()  # it is drawn by a thread of rich's

    def take(self, event: Event) -> None:
        """To be told of each event."""
        with self._lock:
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, events.Planned):
            self.jobs, self.began = event.jobs, time.monotonic()
            return
        if isinstance(event, (events.Finished, events.Failed, events.Interrupted)):
            self._end(event)
            return
        if isinstance(event, (events.Ended, events.Note)) or event.job in self.done:
            return
        line = self.at_work.setdefault(event.job, Line(event.job))
        match event:
            case Working():
                if event.ended:
                    line.work = None
                else:
                    if line.work is None or line.work.what != event.what:
                        line.work_began = time.monotonic()
                    line.work = event
            case events.Started():
                line.kimg = event.kimg
            case events.Tick():
                line.tick, line.work = event, None
            case events.Resumed():
                line.score = dict(event.values)
                line.fid = event.values.get("fid")
                self._stand(event.job, line.score, None)
            case events.Scored():
                line.scored += event.seconds
                if event.kimg == 0:
                    return
                line.fid, line.score = event.values.get("fid"), dict(event.values)
                self._stand(event.job, line.score, line.tick)

    def _end(self, event: events.Finished | events.Failed | events.Interrupted) -> None:
        line = self.at_work.pop(event.job, None)
        if event.job:
            self.done.add(event.job)
        if isinstance(event, events.Finished):
            self.before |= {event.job} if event.before else set()
            self._stand(event.job, event.values, line.tick if line else None, finished=event)

    def _stand(
        self,
        job: str,
        values: dict[str, Any],
        tick: events.Tick | None,
        finished: events.Finished | None = None,
    ) -> None:
        label = job.rpartition(" seed ")[0] or job
        entry = self.entries.setdefault(label, Entry(label))
        entry.take(
            job,
            values,
            img_per_s=finished.img_per_s if finished else tick.img_per_s if tick else None,
            kimg=finished.kimg if finished else tick.kimg if tick else None,
            finished=finished is not None,
        )

    @property
    def share(self) -> float:
        """Of all runs, how much is done."""
        working = sum(line.share for title, line in self.at_work.items() if title in self.jobs)
        return (len(self.done & set(self.jobs)) + working) / max(1, len(self.jobs))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            parts = list(self._parts(console, options))
        yield from parts

    def _parts(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width, height = max(1, options.max_width - MARGIN), console.size.height
        lines = [line for line in self.at_work.values() if line.work is not None or line.tick is not None]
        titled = [line for line in lines if line.title] or lines  # what is of no run gives way
        room = max(1, height - 2)
        yield from self._runs(titled[: max(1, room - 1)], width)
        used = min(len(titled), max(1, room - 1))
        if len(self.jobs) > 1 and used < room:
            yield self._grid(width)
            used += 1
        if len(self.jobs) > 1 and self.entries and room - used >= 3:
            yield from self._standings(width, room - used)

    def _runs(self, lines: list[Line], width: int) -> Iterator[RenderableType]:
        if not lines:
            return
        names = [short_title(line.title) if width < 110 else line.title for line in lines]
        title = min(max(len(name) for name in names), max(14, width // 4), max(1, width // 2))
        bar = 20 if width >= 110 else 8 if width >= 40 else 2
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True, overflow="ellipsis", width=title)
        grid.add_column(width=bar)
        grid.add_column(no_wrap=True, overflow="ellipsis", width=max(1, width - title - bar - 3))
        for name, line in zip(names, lines, strict=True):
            grid.add_row(
                Text(name), ProgressBar(total=1.0, completed=line.progress, width=bar),
                Text(line_text(line, width - title - bar - 3)),
            )  # fmt: skip
        yield grid

    def _grid(self, width: int) -> RenderableType:
        done, share = len(self.done & set(self.jobs)), self.share
        earlier = len(self.before) / len(self.jobs)
        spent = time.monotonic() - self.began
        left = spent * (1 - share) / (share - earlier) if 1 > share > earlier else None
        text = f"{done} of {len(self.jobs)} runs" + ("" if left is None else f"  {events.clock(left)} left")
        bar = max(8, min(40, width - len(text) - 3))
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=bar)
        grid.add_column(no_wrap=True, overflow="ellipsis", width=max(1, width - bar - 2))
        grid.add_row(ProgressBar(total=1.0, completed=share, width=bar), Text(text, style="bold"))
        return grid

    def _standings(self, width: int, room: int) -> Iterator[RenderableType]:
        titles, rows = standings(list(self.entries.values()), width)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for index, name in enumerate(titles):
            table.add_column(name, justify="left" if index == 1 else "right", no_wrap=True, overflow="ellipsis")
        for number, row in enumerate(rows[: room - 1]):
            table.add_row(*map(Text, row), style="bold" if number == 0 else "")
        yield table


def short_title(title: str) -> str:
    """ "dcgan seed 0 (3/6)" -> "dcgan s0 3/6"."""
    start, _, rest = title.rpartition(" seed ")
    return f"{start} s{rest.replace('(', '').replace(')', '')}" if start else title


def line_text(line: Line, room: int) -> str:
    """What goes on in a run, in at most `room` letters: what matters least goes first."""
    if line.work is not None:
        left = seconds_left(line.work, time.monotonic() - line.work_began)
        end, text = "" if left is None else f"  {events.clock(left)} left", str(line.work)
        if len(text + end) > room:
            text = text.removesuffix(f" {line.work.unit}")
        return text + end
    tick = line.tick
    if tick is None:
        return ""
    of = "" if line.kimg is None else f"/{line.kimg:g}"
    losses = " ".join(f"{player} {loss:.2f}" for player, loss in tick.losses.items())
    parts = [
        (0, f"{tick.kimg:.1f}{of} kimg"),
        (4, f"{tick.img_per_s:,.0f} img/s"),
        (3, losses),
        (2, "" if line.fid is None else f"FID {line.fid:.1f}"),
        (1, tick.left),
    ]
    parts = [part for part in parts if part[1]]
    while len(parts) > 1 and len("  ".join(text for _, text in parts)) > room:
        parts.remove(max(parts))
    return "  ".join(text for _, text in parts)
