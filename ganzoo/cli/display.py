"""What a person sees: progress while it trains, tables when it is done. Beside the commands, all that prints."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table as RichTable
from rich.text import Text

from ganzoo.cli.progress import show_progress
from ganzoo.leaderboard.render import label, notes, show, used_columns
from ganzoo.leaderboard.rows import Table

if TYPE_CHECKING:
    from ganzoo.engine.loop import Snapshot, Status

GAP = 2
"""Spaces between the columns of a table."""

PLAIN_SECONDS = 2.0
"""At least this long between two plain lines."""


def wide_console(stderr: bool = False) -> Console:
    """A console that does not fold tables when the output is a file or a pipe."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=240)
    return console


class TrainingDisplay:
    """An observer that shows a run on stderr: a live bar on a terminal, else one plain line per tick."""

    def __init__(self, title: str, live: bool = True) -> None:
        """`live`: a bar where there is a terminal; of several runs at once, only lines."""
        self._title, self._live = title, live
        self._console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._printed = 0.0
        self._metrics = ""

    def __enter__(self) -> TrainingDisplay:
        show_progress()
        return self

    def _start(self) -> None:
        """The live bar, once training has begun: what is shown before it, such as downloads, has bars of its own."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task(self._title, total=1.0, text="")
        self._progress.start()

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone; what it shows must not stop a run
                self._progress.stop()

    def announce(self, text: str) -> None:
        """One line about what is going on between ticks: loading, features, scoring."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, text=text)
        else:
            self._rarely(text)

    def report(self, text: str) -> None:
        """One line that has to be seen, whatever was printed just now: on a terminal it stays above the bar."""
        if self._progress is not None:
            self._progress.console.print(f"{self._title}: {text}", markup=False)
        else:
            self._line(text)

    def _rarely(self, text: str) -> None:
        """A plain line, unless one was printed just now."""
        if time.monotonic() - self._printed >= PLAIN_SECONDS:
            self._printed = time.monotonic()
            self._line(text)

    def _line(self, text: str) -> None:
        with contextlib.suppress(OSError):  # as above
            print(f"{self._title}: {text}", file=sys.stderr, flush=True)

    def on_status(self, status: Status) -> None:
        values = status.values
        losses = "  ".join(
            f"{name} {values[key]:.3f}" for name, key in (("D", "d_loss"), ("G", "g_loss")) if key in values
        )
        text = f"{status.kimg:.1f} kimg  {status.img_per_s:,.0f} img/s  {losses}  {self._metrics}"
        text += f"{_clock(status.seconds_left)} left"
        if self._progress is None and self._live and self._console.is_terminal:
            self._start()
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=status.progress, text=text)
        else:
            self._rarely(text)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        if "fid" in snapshot.metrics:
            self._metrics = f"FID {snapshot.metrics['fid']:.1f}  "

    def on_end(self, result: dict[str, Any]) -> None:
        last = (result["last"] or {}).get("values", {})
        scores = "  ".join(
            f"{name} {last[key]:.2f}" for name, key in (("FID", "fid"), ("IS", "is")) if last.get(key) is not None
        )
        speed = f"{result['train_img_per_s']:,.0f} img/s  " if result["train_img_per_s"] else ""
        text = f"{result['status']}  {result['kimg']:.1f} kimg  {speed}{scores}  {_clock(result['seconds']['wall'])}"
        if self._progress is not None:
            self._progress.console.print(f"{self._title}: {text}")
        else:
            self._line(text)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def print_tables(tables: Sequence[Table], console: Console | None = None) -> None:
    """Leaderboards to stdout. A table wider than the terminal is printed in several parts, one below the other."""
    console = console or wide_console()
    for table in tables:
        parts = _parts(table, console.width)
        for number, columns in enumerate(parts, start=1):
            title = table.dataset if len(parts) == 1 else f"{table.dataset} ({number} of {len(parts)})"
            rich = RichTable(
                title=Text(title),  # as text: names from files are no markup
                title_justify="left",
                title_style="bold",
                box=None,
                pad_edge=False,
                padding=(0, GAP, 0, 0),
                header_style="bold",
            )
            for name, _ in columns:
                side: Literal["left", "right"] = "left" if name in ("variant", "objective") else "right"
                rich.add_column(Text(name), justify=side, no_wrap=name != "variant", overflow="fold")
            for index, row in enumerate(table.rows):
                style = "dim" if row.kind == "real" else "red" if row.failures else ""
                rich.add_row(*(Text(cells[index]) for _, cells in columns), style=style)  # a label is no markup
            console.print(rich)
        for line in notes(table):
            console.print(line, markup=False, style="dim" if console.is_terminal else "")
        console.print()


def _parts(table: Table, width: int) -> list[list[tuple[str, list[str]]]]:
    """Columns as (title, cells), packed into as few parts as fit `width`; each part begins with the names."""
    rows = table.rows
    lead = [
        ("rank", [str(row.rank or "-") for row in rows]),
        ("variant", [label(row) for row in rows]),
        ("objective", [row.objective for row in rows]),
    ]
    rest = [("seeds", [str(len(row.results) or "-") for row in rows])]
    rest += [(c.title, [show(c, row.numbers.get(c.key)) for row in rows]) for c in used_columns(table)]

    def needs(column: tuple[str, list[str]]) -> int:
        return max(len(text) for text in (column[0], *column[1])) + GAP

    # A label with settings in it may be long; it is folded rather than pushing every number off the screen.
    room = width - needs(lead[0]) - min(needs(lead[1]), max(width // 3, 16)) - needs(lead[2])
    parts: list[list[tuple[str, list[str]]]] = []
    used = 0
    for column in rest:
        if not parts or used + needs(column) > room:
            parts.append([*lead])
            used = 0
        parts[-1].append(column)
        used += needs(column)
    return parts
