"""What to say where a run is of a plugin that is not there: its own record knows which plugins it was made with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganzoo.errors import RunError, UnknownName, UserError
from ganzoo.files.text import clean
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import find_run
from ganzoo.zoo.registry import Registry

_KINDS = (
    "variant",
    "objective",
    "regularizer",
    "augmentation",
    "dataset",
    "feature network",
    "metric",
    "callback",
    "model",
)


@contextmanager
def plugins_named(registry: Registry, runs: Iterable[Path]) -> Iterator[None]:
    """A name that nobody registers here is answered with the plugins that the first of `runs` to have that name, and
    other plugins, was made with. None of them is imported: the record may be a stranger's.

    Raises:
        RunError: with that cure.
    """
    try:
        yield
    except UnknownName as error:
        named = (run for run in runs if _names(run, error.name)) if error.kind in _KINDS else ()
        cures = (_cure(registry, run) for run in named)
        cure = next(filter(None, cures), None)
        if cure is None:
            raise
        raise RunError(error.cause, cure) from None


def runs_of(variant: str | None, out: Path | None) -> Iterator[Path]:
    """Runs that may know which plugin the variant is of."""
    for under in (out, Path("runs")):
        if under is not None:
            yield under
            with suppress(UserError):
                yield find_run(variant or "", under).path


def _names(run: Path, name: str) -> bool:
    """Whether a run's config has the name anywhere: a bench's plugin is in the record of each of its runs."""
    try:
        waiting: list[object] = [RunDirectory(run).read_config()]
    except (OSError, UserError):
        return False
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and name in (part.strip() for part in value.split(",")):
            return True
    return False


def _cure(registry: Registry, run: Path) -> str | None:
    plugins = RunDirectory(run).read_environment().get("plugins")
    if not isinstance(plugins, dict):
        return None
    here = {plugin.name for plugin in registry.plugins if plugin.status == "loaded" and not plugin.local}
    here |= {plugin.origin for plugin in registry.plugins if plugin.status == "loaded"}
    missing = {name: origin for name, origin in plugins.items() if not {name, origin} & here}
    files = [clean(str(origin), 300) for origin in missing.values() if os.path.isabs(str(origin))]
    others = [f"{clean(str(n), 100)} ({clean(str(o), 100)})" for n, o in missing.items() if not os.path.isabs(str(o))]
    said = [f"repeat {' '.join(f'--plugin {file}' for file in files)}"] if files else []
    said += [f"install or enable {', '.join(others)}"] if others else []
    return f"the run was made with it: {' and '.join(said)}" if said else None
