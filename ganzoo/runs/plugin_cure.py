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

_PLACES = {
    "variant": "variant",
    "objective": "objective",
    "dataset": "dataset",
    "feature network": "features",
    "regularizer": "regularizers",
    "augmentation": "augmentations",
    "metric": "eval",
    "callback": "callbacks",
    "model": "init",
}
"""Kind of a name -> the section of a run's config that has such names."""


@contextmanager
def plugins_named(registry: Registry, runs: Iterable[Path], theirs: bool = False) -> Iterator[None]:
    """A name that nobody registers here is answered with the plugins that the first of `runs` to have that name, and
    other plugins, was made with. None of them is imported: the record may be a stranger's. `theirs`: whatever is asked
    for is known to be of those runs.

    Raises:
        RunError: with that cure.
    """
    try:
        yield
    except UnknownName as error:
        found = runs if error.kind in _PLACES else ()
        cures = (_cure(registry, run) for run in found if theirs or _has(run, error.kind, error.name))
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


def _has(run: Path, kind: str, name: str) -> bool:
    """Whether the run was of it. A bench's plugin is in the record of all of its runs, whatever they are of."""
    try:
        section = RunDirectory(run).read_config().get(_PLACES[kind])
    except (OSError, UserError):
        return False
    if kind in ("regularizer", "augmentation"):
        return isinstance(section, dict) and name in section
    if isinstance(section, dict):
        section = section.get("metrics" if kind == "metric" else "name")
    names = section if isinstance(section, list) else [section]
    return name in [part.strip() for one in names if isinstance(one, str) for part in one.split(",")]


def _cure(registry: Registry, run: Path) -> str | None:
    plugins = RunDirectory(run).read_environment().get("plugins")
    if not isinstance(plugins, dict):
        return None
    here = {plugin.name for plugin in registry.plugins if plugin.status == "loaded" and not plugin.local}
    here |= {plugin.origin for plugin in registry.plugins if plugin.status == "loaded"}
    here |= {plugin.origin for plugin in registry.failures()}  # which has been told, and is not mended by repeating it
    missing = {name: origin for name, origin in plugins.items() if not {name, origin} & here}
    files = [clean(str(origin), 300) for origin in missing.values() if os.path.isabs(str(origin))]
    others = [f"{clean(str(n), 100)} ({clean(str(o), 100)})" for n, o in missing.items() if not os.path.isabs(str(o))]
    said = [f"repeat {' '.join(f'--plugin {file}' for file in files)}"] if files else []
    said += [f"install or enable {', '.join(others)}"] if others else []
    return f"the run was made with it: {' and '.join(said)}" if said else None
