"""Find plugins, load each behind a guard, and remember who failed and why.

Discovery is our own loop over the entry points of group `ganzoo`; pluggy checks what a plugin implements. Each plugin
gets a plugin manager of its own, because one shared manager records a plugin before it verifies it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from ganzoo import GANZOO_API
from ganzoo.errors import DuplicateName, UserError
from ganzoo.zoo import hookspecs
from ganzoo.zoo.specs import KINDS, Spec

GROUP = "ganzoo"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(kw_only=True)
class Plugin:
    """One plugin as found: what it brought, or why it was left out."""

    name: str
    origin: str  # "distribution version", or the path of a local file
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


def load_plugins(files: Sequence[Path] = (), environ: Mapping[str, str] | None = None) -> list[Plugin]:
    """Load every installed plugin and the local `files`. A broken one is returned with its error, never raised.

    `GANZOO_DISABLE=a,b` leaves plugins out by name. `GANZOO_STRICT=1` makes a broken plugin an error.

    Raises:
        DuplicateName: two distributions use the same entry point name.
        UserError: no plugin at all (ganzoo is not installed), a local file that is not there, or strict mode.
    """
    environ = os.environ if environ is None else environ
    disabled = {name.strip() for name in environ.get("GANZOO_DISABLE", "").split(",") if name.strip()}
    plugins = [_load_entry_point(point, origin, disabled) for point, origin in _entry_points()]
    if not any(plugin.name == "core" for plugin in plugins):
        raise UserError("ganzoo's own entry points are not installed", "install it: `uv sync`, or `pip install .`")
    plugins += [_load_file(file) for file in dict.fromkeys(Path(file).absolute() for file in files)]
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


def _load_entry_point(point: importlib.metadata.EntryPoint, origin: str, disabled: Iterable[str]) -> Plugin:
    plugin = Plugin(name=point.name, origin=origin, module=point.value)
    if point.name in disabled:
        plugin.disabled = True
        return plugin
    return _guarded(plugin, point.load)


def _load_file(path: Path) -> Plugin:
    if not path.is_file():
        raise UserError(f"--plugin {path}: there is no such file", "give the path of a Python file")
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"ganzoo_local_{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}_{digest}"

    def load() -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file (its name must end in .py)")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # so that targets given as "module:attribute" and dataclasses resolve
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return _guarded(Plugin(name=path.stem, origin=str(path), module=name, local=True), load)


def _guarded(plugin: Plugin, load: Any) -> Plugin:
    started = time.perf_counter()
    try:
        plugin.specs = _specs_of(load())
    except (Exception, SystemExit) as error:  # whatever a plugin raises must not take the zoo down
        plugin.specs = {}
        plugin.error = _one_line(error)
        plugin.details = traceback.format_exc()
    plugin.seconds = time.perf_counter() - started
    return plugin


def _one_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} (line {error.lineno})"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"


def _specs_of(module: ModuleType) -> dict[str, list[Spec]]:
    api = getattr(module, "GANZOO_API", None)
    if isinstance(api, bool) or api not in range(1, GANZOO_API + 1):
        raise ValueError(f"GANZOO_API is {api!r}, this ganzoo speaks 1 to {GANZOO_API}; set GANZOO_API = {GANZOO_API}")
    manager = pluggy.PluginManager("ganzoo")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()  # an unknown hook is a misspelt one
    specs: dict[str, list[Spec]] = {}
    for kind, spec_type in KINDS.items():
        if callable(getattr(module, f"register_{kind}", None)) and not manager.parse_hookimpl_opts(
            module, f"register_{kind}"
        ):
            raise ValueError(f"register_{kind} is not decorated with @ganzoo.hookimpl")
        hook = getattr(manager.hook, f"register_{kind}")
        for returned in hook():
            if not isinstance(returned, (list, tuple)):
                raise TypeError(f"register_{kind} must return a list, not {type(returned).__name__}")
            for spec in returned:
                if not isinstance(spec, spec_type):
                    raise TypeError(f"register_{kind} returned {type(spec).__name__}, not {spec_type.__name__}")
                for part in dataclasses.fields(spec):
                    value = getattr(spec, part.name)
                    if part.type == "bool" and not isinstance(value, bool):
                        raise TypeError(f"{spec.name}: {part.name} is {value!r}, not True or False")
                if not _NAME.fullmatch(spec.name):
                    raise ValueError(f"the name {spec.name!r} is not lower case letters, digits and hyphens")
                if any(spec.name == other.name for other in specs.get(kind, ())):
                    raise ValueError(f"register_{kind} returned the name {spec.name!r} twice")
                specs.setdefault(kind, []).append(spec)
    if not specs:
        raise ValueError("it registers nothing; a hook is a module-level function decorated with @ganzoo.hookimpl")
    return specs
