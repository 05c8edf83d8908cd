"""Targets, called as the contract says: what does not fit is said before a traceback would have to be read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ganzoo.errors import UserError
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Spec


class BrokenPlugin(UserError):
    """A target that breaks the contract. The plugin's author mends it. `found`: the cause, without whose it is."""

    found: str = ""


def blame(registry: Registry, kind: str, spec: Spec, cause: str, cure: str) -> BrokenPlugin:
    """The error that names spec and plugin: "variant 'mine' of plugin 'x' (x.py): " and the cause."""
    singular = "feature network" if kind == "features" else kind[:-1]
    error = BrokenPlugin(f"{singular} '{spec.name}' of plugin {registry.owner(kind, spec.name)}: {cause}", cure)
    error.found = cause
    return error


def call_target(registry: Registry, kind: str, spec: Spec, *arguments: Any, form: str, **settings: Any) -> Any:
    """What the spec's target returns. `form`: how targets of this kind are called, such as "(config, shape)".

    Raises:
        BrokenPlugin: there is no such target, or it cannot be called so. What it raises itself keeps its traceback.
    """
    target = load_target(registry, kind, spec)
    problem = misfit(target, *arguments, **settings)
    if problem:
        takes = f", it {problem}"
        raise blame(registry, kind, spec, f"target is called as {form}{takes}", f"write it as a function of {form}")
    told = (Settings(one, kind, spec) if type(one) is dict else one for one in arguments)
    return target(*told, **settings)


class Settings(dict[str, Any]):
    """What a target is given of its spec's settings; a name that is none is answered with those that are."""

    def __init__(self, settings: Mapping[str, Any], kind: str, spec: Spec) -> None:
        super().__init__(settings)
        self._whose = f"{kind[:-1]} '{spec.name}'"

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"{name!r} is no setting of {self._whose}; its spec has: {', '.join(self) or 'none'}")


def load_target(registry: Registry, kind: str, spec: Spec) -> Callable[..., Any]:
    """The target, imported.

    Raises:
        BrokenPlugin: its module or attribute is not there, or cannot be called. What the module raises when it is
            imported keeps its traceback.
    """
    module, _, attribute = spec.target.partition(":") if isinstance(spec.target, str) else ("", "", "")
    try:
        target = spec.load()
    except ModuleNotFoundError as error:
        if not module or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise blame(
            registry, kind, spec, f"target is '{spec.target}', and there is no module {error.name}", "mend its target"
        ) from None
    except AttributeError as error:
        if not module or error.name != attribute or not inspect.ismodule(error.obj):
            raise
        raise blame(
            registry,
            kind,
            spec,
            f"target is '{spec.target}', and the module has no {attribute}",
            f"it has: {', '.join(name for name in vars(error.obj) if not name.startswith('_'))}",
        ) from None
    if not callable(target):
        cause = f"target is a {type(target).__name__}, which cannot be called"
        raise blame(registry, kind, spec, cause, "name a function or class")
    return target


def misfit(function: Callable[..., Any], *arguments: Any, **settings: Any) -> str:
    """Why a function cannot be called so, such as "takes (z)"; "" where it can, or where Python cannot tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*arguments, **settings)
    except TypeError as error:
        names = [str(parameter.replace(annotation=parameter.empty)) for parameter in signature.parameters.values()]
        return f"takes ({', '.join(names)}): {error}"
    return ""
