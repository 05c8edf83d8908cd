"""Find plugins, load each behind a guard, and remember who failed and why.

Discovery is our own loop over the entry points of group `ganzoo`; pluggy checks what a plugin implements. Each plugin
gets a plugin manager of its own, because one shared manager records a plugin before it verifies it.
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import os
import re
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from ganzoo.errors import DuplicateName, UserError
from ganzoo.zoo import hookspecs
from ganzoo.zoo.fields import BrokenSpec
from ganzoo.zoo.hookspecs import GANZOO_API
from ganzoo.zoo.local import load_local, local_file, module_name, own_name
from ganzoo.zoo.specs import KINDS, Spec
from ganzoo.zoo.validation import Known, check_spec, near

GROUP = "ganzoo"


@dataclass(kw_only=True)
class Plugin:
    """One plugin as found: what it brought, or why it was left out."""

    name: str
    origin: str  # "distribution version", or the path of a local file or folder
    module: str
    specs: dict[str, list[Spec]] = field(default_factory=dict)  # kind -> specs
    error: str | None = None  # one line; None: loaded
    details: str | None = None  # the traceback behind `error`, if there is one
    local: bool = False  # given with --plugin
    disabled: bool = False
    seconds: float = 0.0  # to import and register

    @property
    def status(self) -> str:
        return "disabled" if self.disabled else "failed" if self.error else "loaded"

    def __str__(self) -> str:
        return f"'{self.name}' ({self.origin})"


def load_plugins(
    files: Sequence[Path] = (), environ: Mapping[str, str] | None = None, known: Known | None = None
) -> list[Plugin]:
    """Load every installed plugin and the local `files`. A broken one is returned with its error, never raised.
    `known`: what recipes may set; None: that is not looked at.

    `GANZOO_DISABLE=a,b` leaves plugins out by name. `GANZOO_STRICT=1` makes a broken plugin an error.

    Raises:
        DuplicateName: two distributions use the same entry point name.
        UserError: no plugin at all (ganzoo is not installed), a local file that is not there, or strict mode.
    """
    environ = os.environ if environ is None else environ
    disabled = {name.strip() for name in environ.get("GANZOO_DISABLE", "").split(",") if name.strip()}
    plugins = [_load_entry_point(point, origin, disabled, known) for point, origin in _entry_points()]
    if not any(plugin.name == "core" for plugin in plugins):
        raise UserError("ganzoo's own entry points are not installed", "install it: `uv sync`, or `pip install .`")
    plugins += [_load_file(file, known) for file in dict.fromkeys(Path(file).absolute() for file in files)]
    if environ.get("GANZOO_STRICT", "") not in ("", "0"):
        for plugin in plugins:
            if plugin.error:
                raise UserError(f"plugin {plugin} is broken: {plugin.error}", "mend it, or unset GANZOO_STRICT")
    return plugins


def _entry_points() -> list[tuple[importlib.metadata.EntryPoint, str]]:
    """(entry point, "distribution version"), each once, in a stable order."""
    found: dict[str, tuple[importlib.metadata.EntryPoint, str]] = {}
    seen = set()
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name in seen:  # a second copy further down sys.path is shadowed, as for imports
            continue
        seen.add(name)
        for point in distribution.entry_points:
            if point.group != GROUP:
                continue
            origin = f"{name} {distribution.version}"
            if point.name in found:
                raise DuplicateName(
                    f"two plugins are called '{point.name}': {found[point.name][1]} and {origin}",
                    "uninstall one of them",
                )
            found[point.name] = (point, origin)
    return [found[name] for name in sorted(found, key=lambda name: (name != "core", name))]


def _load_entry_point(
    point: importlib.metadata.EntryPoint, origin: str, disabled: Iterable[str], known: Known | None
) -> Plugin:
    plugin = Plugin(name=point.name, origin=origin, module=point.value)
    if point.name in disabled:
        plugin.disabled = True
        return plugin
    return _guarded(plugin, point.load, known)


def _load_file(path: Path, known: Known | None) -> Plugin:
    file = local_file(path)
    plugin = Plugin(name=own_name(file), origin=str(_given(file)), module=module_name(file), local=True)
    return _guarded(plugin, functools.partial(load_local, file), known)


def _given(file: Path) -> Path:
    """As --plugin takes it."""
    return file.parent if file.name == "__init__.py" else file


def _guarded(plugin: Plugin, load: Any, known: Known | None) -> Plugin:
    started = time.perf_counter()
    try:
        plugin.specs = _specs_of(load(), known)
    except (Exception, SystemExit) as error:  # whatever a plugin raises must not take the zoo down
        plugin.specs = {}
        plugin.error = _one_line(error)
        plugin.details = traceback.format_exc()
    plugin.seconds = time.perf_counter() - started
    return plugin


def _one_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} (line {error.lineno})"
    if isinstance(error, BrokenSpec):
        return f"{error.cause}; {error.cure}"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"


def _specs_of(module: ModuleType, known: Known | None) -> dict[str, list[Spec]]:
    api = getattr(module, "GANZOO_API", None)
    if isinstance(api, bool) or api not in range(1, GANZOO_API + 1):
        raise ValueError(f"GANZOO_API is {api!r}, this ganzoo speaks 1 to {GANZOO_API}; set GANZOO_API = {GANZOO_API}")
    manager = pluggy.PluginManager("ganzoo")
    manager.add_hookspecs(hookspecs)
    _check_hooks(module, manager)
    manager.register(module)
    specs: dict[str, list[Spec]] = {}
    for kind, spec_type in KINDS.items():
        for returned in getattr(manager.hook, f"register_{kind}")():
            try:
                specs[kind] = _checked(returned, spec_type, known)
            except BrokenSpec as error:
                raise BrokenSpec(f"register_{kind}: {error.cause}", error.cure) from None
    if not any(specs.values()):
        raise ValueError("it registers nothing; a hook is a module-level function decorated with @ganzoo.hookimpl")
    return {kind: found for kind, found in specs.items() if found}


def _check_hooks(module: ModuleType, manager: pluggy.PluginManager) -> None:
    """What looks like a hook is one.

    Raises:
        BrokenSpec: it is misspelt or not decorated.
    """
    hooks = [f"register_{kind}" for kind in KINDS]
    for name, value in list(vars(module).items()):
        decorated = manager.parse_hookimpl_opts(module, name) is not None
        if decorated and name not in hooks:
            raise BrokenSpec(f"unknown hook '{name}'", near(name, hooks))
        if name in hooks and callable(value) and not decorated:
            raise BrokenSpec(f"{name} is not decorated with @ganzoo.hookimpl", "put @hookimpl on the line above it")
        if name in hooks and not callable(value):
            raise BrokenSpec(f"{name} is a {type(value).__name__}, not a function", "return the list from a function")
        if not decorated and re.match("_*register", name) and getattr(value, "__module__", "") == module.__name__:
            close = difflib.get_close_matches(name, hooks, n=1, cutoff=0.85)
            if close and name not in hooks:
                raise BrokenSpec(f"unknown hook '{name}'", f"did you mean {close[0]}? Decorate it with @hookimpl")


def _checked(returned: Any, spec_type: type[Spec], known: Known | None) -> list[Spec]:
    """What a hook returned, each spec of it checked.

    Raises:
        BrokenSpec: it is no list of sound specs.
    """
    if not isinstance(returned, (list, tuple)):
        raise BrokenSpec(f"it must return a list, not {type(returned).__name__}", f"return [{spec_type.__name__}(...)]")
    names = set()
    for spec in returned:
        if not isinstance(spec, spec_type):
            raise BrokenSpec(
                f"it returned {type(spec).__name__}, not {spec_type.__name__}", "use the hook of that kind of spec"
            )
        check_spec(spec, known)
        if spec.name in names:
            raise BrokenSpec(f"it returned the name {spec.name!r} twice", "rename one of them")
        names.add(spec.name)
    return list(returned)
