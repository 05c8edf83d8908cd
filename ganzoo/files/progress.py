"""Progress of long work on images: told to whoever asked, else to what the program shows things by, if by anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

OnProgress = Callable[[int, int], None]
"""Called as `on_progress(done, total)`, in images, from the thread that started the work."""

Show = Callable[[str], AbstractContextManager[OnProgress]]
"""Called with what is done, such as "decoding faces"."""


def _silent(done: int, total: int) -> None:
    pass


_show: Show = lambda what: nullcontext(_silent)  # noqa: E731


def show_by(show: Show) -> None:
    """How this process shows progress from now on; nothing is shown unless this has been called."""
    global _show
    _show = show


@contextmanager
def progress(what: str, on_progress: OnProgress | None = None) -> Iterator[OnProgress]:
    """Give a function to call with (images done, images in total): `on_progress`, where there is one."""
    if on_progress is not None:
        yield on_progress
        return
    with _show(what) as show:
        yield show
