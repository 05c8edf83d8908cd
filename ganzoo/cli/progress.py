"""Progress of long work on images: a bar on a terminal, else a plain line now and then. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganzoo.files.progress import OnProgress

LINE_SECONDS = 10.0  # between plain lines when stderr is not a terminal


def show_progress() -> None:
    """Have this process show it."""
    from ganzoo.files.progress import show_by

    show_by(_show)


def _show(what: str) -> AbstractContextManager[OnProgress]:
    return _bar(what) if sys.stderr.isatty() else nullcontext(_lines(what))


@contextmanager
def _bar(what: str) -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str) -> OnProgress:
    import click

    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            with suppress(OSError):  # a pipe that is closed ends no work
                click.echo(f"{what}: {done}/{total}", err=True)

    return show
