"""Paths below another, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Placed(Protocol):
    path: Path


class Below:
    """An attribute of what has a `path`: a path below it, made when it is asked for, as thousands of runs are looked at
    for a few of theirs.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def __get__(self, owner: Placed, kind: type[Placed]) -> Path:
        return owner.path.joinpath(*self._names)
