"""What a person sees while it trains. Tables are in tables.py."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ganzoo.cli.progress import show_progress
from ganzoo.leaderboard.formats import clock

if TYPE_CHECKING:
    from ganzoo.engine.loop import Snapshot, Status

PLAIN_SECONDS = 2.0
"""At least this long between two plain lines."""


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
        text += f"{clock(status.seconds_left)} left"
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
        text = f"{result['status']}  {result['kimg']:.1f} kimg  {speed}{scores}  {clock(result['seconds']['wall'])}"
        if self._progress is not None:
            self._progress.console.print(f"{self._title}: {text}")
        else:
            self._line(text)
