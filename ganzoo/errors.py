"""Errors a user can cause and mend. Everything else is a bug and keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What went wrong in one line, and what to do about it in another. The command line exits with 2."""

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__(f"{cause} ({cure})")
        self.cause = cause
        self.cure = cure

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str]]:
        return (type(self), (self.cause, self.cure))


FEW = 24
"""So many settings are listed although one is nearly what was said; more are what `ganzoo show` is for."""


class UnknownName(UserError):
    """A name nobody registered; the cure lists the nearest names. `other`: what may have to be done instead."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "", other: str = "") -> None:
        name, known = str(name), sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        cure = f"did you mean {' or '.join(near)}?" if near else ""
        if other:
            cure = f"{cure} Else {other};" if near else f"{other};"
        if len(words := name.split()) > 1 and set(words) <= set(known):
            cure = f"several are separated by commas alone: {','.join(words)};"
        if not near or kind != "setting" or len(known) <= FEW:  # a screen of names hides the one that was meant
            cure = f"{cure} known: {', '.join(known) or 'none'}".strip()
        super().__init__(f"unknown {kind} '{name}'{where}", cure)
        self._arguments = (kind, name, known, where, other)
        self.kind, self.name = kind, name

    def __reduce__(self) -> tuple[type[UnknownName], tuple[str, str, list[str], str, str]]:  # type: ignore[override]
        return (type(self), self._arguments)


class DuplicateName(UserError):
    """Two plugins register the same name; a name means one thing, so neither wins."""


class SettingError(UserError):
    """A setting of the wrong type or out of its range."""


class FitError(UserError):
    """A variant, an objective and a dataset that cannot work together."""


class DataError(UserError):
    """Images that cannot be found, read or used."""


class RunError(UserError):
    """A run directory that cannot be used as asked."""


class GameError(RunError):
    """Losses or networks that break the contract while they are played. `piece`: "objective", "variant", or the name of
    a term.
    """

    def __init__(self, cause: str, cure: str, piece: str = "") -> None:
        super().__init__(cause, cure)
        self.piece = piece

    def __reduce__(self) -> tuple[type[GameError], tuple[str, str, str]]:  # type: ignore[override]
        return (type(self), (self.cause, self.cure, self.piece))


class Unavailable(UserError):
    """A metric that has no number for these images: they are too few, or lack what it needs. The others go on."""
