"""Who observes a run from inside its process. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ganzoo.errors import SettingError
from ganzoo.zoo.calls import misfit

METHODS = ("on_status", "on_snapshot", "on_end")
"""What an observer is told by."""


def observer_problem(observer: Any, name: str) -> tuple[str, str] | None:
    """What keeps `observer`, which is called `name`, from being one, and the cure; None: nothing."""
    for method in METHODS:
        if not callable(getattr(observer, method, None)):
            return f"{name} has no method {method}", f"write all of {', '.join(METHODS)}"
        problem = misfit(getattr(observer, method), None)
        if problem:
            argument = method.removeprefix("on_").replace("end", "result")
            return f"{method} is called as ({argument}), it {problem}", f"write {method}(self, {argument})"
    return None


def check_observers(observers: Sequence[Any]) -> None:
    """
    Raises:
        SettingError: one lacks a method: said before the run, not at its end.
    """
    if not isinstance(observers, (list, tuple)):
        raise SettingError(f"observers is a {type(observers).__name__}, not a list", "write observers=[observer]")
    for observer in observers:
        found = observer_problem(observer, f"observer {type(observer).__name__}")
        if found is not None:
            raise SettingError(*found)
