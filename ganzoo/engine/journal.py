"""Where the engine keeps what has to survive: of a run directory, what the loop and the state use."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class Journal(Protocol):
    """A run's records and files. `ganzoo.runs.directory.RunDirectory` is one."""

    path: Path
    state_file: Path
    previous_state_file: Path  # the state before

    def read_record(self) -> dict[str, Any]:
        """What the run began with."""
        ...

    def record(self, **facts: Any) -> None:
        """Add to it."""
        ...

    def stats(self) -> list[dict[str, Any]]:
        """The statistics of all ticks."""
        ...

    def add_stats(self, document: dict[str, Any]) -> None: ...

    def rewind(self, images: int) -> None:
        """Drop what was recorded after that many images."""
        ...
