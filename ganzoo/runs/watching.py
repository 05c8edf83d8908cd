"""Who is told how a run is going. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ganzoo.errors import SettingError
from ganzoo.zoo.calls import misfit

if TYPE_CHECKING:
    from ganzoo.engine.loop import Snapshot, Status


class Watcher(Protocol):
    """An observer of one run, entered while it lasts, that is also told in lines what goes on beside its ticks."""

    def __enter__(self) -> object: ...

    def __exit__(self, *exception: object) -> None: ...

    def on_status(self, status: Status) -> None: ...

    def on_snapshot(self, snapshot: Snapshot) -> None: ...

    def on_end(self, result: dict[str, Any]) -> None: ...

    def announce(self, text: str) -> None:
        """What takes a while, and how far it has come; may be left out."""
        ...

    def report(self, text: str) -> None:
        """What has to be known of the run."""
        ...


class Watch(Protocol):
    """Makes the watcher of a job, in the job's own process: a function or class of a module, so that it can be sent
    there. `live` False: other runs of the process are watched, too.
    """

    def __call__(self, title: str, live: bool = True) -> Watcher: ...


class Unwatched:
    """The watcher of a run that nobody watches."""

    def __init__(self, title: str, live: bool = True) -> None:
        pass

    def __enter__(self) -> Unwatched:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def announce(self, text: str) -> None:
        pass

    def report(self, text: str) -> None:
        pass

    def on_status(self, status: Status) -> None:
        pass

    def on_snapshot(self, snapshot: Snapshot) -> None:
        pass

    def on_end(self, result: dict[str, Any]) -> None:
        pass


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


def unheard(line: str) -> None:
    """Whoever is told, where nobody listens."""
