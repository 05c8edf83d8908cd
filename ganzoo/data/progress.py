"""Progress of long work on images: a bar on a terminal, else a plain line now and then. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[int, int], None]
"""Called as `on_progress(done, total)`, in images, from the thread that started the work."""

LINE_SECONDS = 10.0  # between plain lines when stderr is not a terminal


@contextmanager
def progress(what: str, on_progress: OnProgress | None = None) -> Iterator[OnProgress]:
    """Give a function to call with (images done, images in total).

    `on_progress`: called in place of showing anything; None: show a bar with rate and time left, headed by `what`, if
    stderr is a terminal, else write one plain line about every ten seconds.
    """
    if on_progress is not None:
        yield on_progress
    elif sys.stderr.isatty():
        with _bar(what) as show:
            yield show
    else:
        yield _lines(what)


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
            click.echo(f"{what}: {done}/{total}", err=True)

    return show
