"""What a person, or a program, is shown of events: a live board, plain lines, JSON, or errors alone. On stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from ganzoo.cli.lines import Consumer, Json, Lasting, Plain, Quiet
from ganzoo.engine.stopping import Stopped
from ganzoo.errors import UserError
from ganzoo.files.progress import Event, Working, listening, logs_noted, tell
from ganzoo.runs import events


def consumer(form: str = "auto", quiet: bool = False) -> Consumer:
    """Of stderr. `form`: of `FORMATS`; auto: a board on a terminal, else plain lines."""
    stream = Lasting(sys.stderr)
    if form == "json":
        return Json(stream)
    if quiet:
        return Quiet(stream)
    if form == "auto" and "IPython" in sys.modules:
        from ganzoo.cli.notebook import Notebook, kernel_runs

        if kernel_runs():
            return Notebook()
    if form == "plain" or not stream.isatty() or os.environ.get("TERM") in ("dumb", "unknown"):
        return Plain(stream)
    from ganzoo.cli.board import Board

    return Board(stream)


@contextlib.contextmanager
def showing(form: str = "auto", quiet: bool = False, torch: bool = True) -> Iterator[None]:
    """Inside, this thread's events are shown. In JSON the command's own error is an event, too, and no text. `torch`:
    whether it is said that torch is being loaded, as what works in here begins with.
    """
    shown = consumer(form, quiet)
    try:
        with listening(shown), logs_noted():
            if torch:
                tell(Working(what="loading torch"))  # before anything takes a while
            yield
    except (UserError, Stopped) as error:
        shown.close()
        if not isinstance(shown, Json):
            raise
        if not isinstance(shown.last, events.Ended):  # which follows the error where it has been told
            if isinstance(error, Stopped):
                shown(events.Interrupted(text=error.text))
            else:
                shown(events.Failed(cause=error.cause, cure=error.cure))
        sys.exit(error.code if isinstance(error, Stopped) else 2)
    finally:
        shown.close()


_shown: Consumer | None = None


def show_progress(event: Event) -> None:
    """A listener that shows events as the commands do: `ganzoo.train(..., listen=ganzoo.show_progress)`. On a terminal
    a live board, elsewhere lines, both on stderr; in a notebook a board below the cell.
    """
    global _shown
    if _shown is None:
        _shown = consumer()
    _shown(event)
    if isinstance(event, events.Ended):
        _shown.close()
        _shown = None
