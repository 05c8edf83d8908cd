"""Events in a notebook: one output that is renewed, with the lines that are to stay, and the board below them."""

from __future__ import annotations

import io
import sys
import time
from typing import Any

from rich.console import Console

from ganzoo.cli.board import LASTING_LINES, State
from ganzoo.cli.lines import Seen
from ganzoo.files.progress import Event
from ganzoo.runs import events

WIDTH, LINES = 100, 40
"""Of the output, in letters; the lines above the board of which the last are kept."""

SECONDS = 0.5
"""Between two drawings: each is a message to the browser."""


def kernel_runs() -> bool:
    """Whether this is a notebook's kernel, and not IPython in a terminal."""
    found = sys.modules.get("IPython")
    shell = None if found is None else found.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Notebook:
    """Shows events below the cell that is running."""

    def __init__(self) -> None:
        self._state, self._seen = State(), Seen()
        self._lines: list[str] = []
        self._display: Any = None
        self._drawn = 0.0

    def __call__(self, event: Event) -> None:
        line = self._seen.line(event)
        self._state.take(event)
        lasting = isinstance(event, LASTING_LINES) and line is not None
        if lasting:
            self._lines = [*self._lines, f"{event.job}: {line}" if event.job else str(line)][-LINES:]
        if lasting or isinstance(event, events.Ended) or time.monotonic() - self._drawn >= SECONDS:
            self._draw()

    def text(self) -> str:
        """What is shown."""
        out = io.StringIO()
        console = Console(  # where a notebook is about, rich would make outputs of its own
            file=out, width=WIDTH, height=LINES, color_system=None, force_terminal=False, force_jupyter=False
        )
        for line in self._lines:
            console.print(line, markup=False, highlight=False)
        console.print(self._state)
        return out.getvalue().rstrip()

    def _draw(self) -> None:
        from IPython.display import display

        self._drawn = time.monotonic()
        shown = {"text/plain": self.text()}
        if self._display is None and not shown["text/plain"]:
            return
        if self._display is None:
            self._display = display(shown, raw=True, display_id=True)
        else:
            self._display.update(shown, raw=True)

    def close(self) -> None:
        if self._display is not None:
            self._draw()
