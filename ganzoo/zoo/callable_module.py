"""Packages that are functions as well."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A package that is called as the function of its name in its module `api`, which is imported when it is needed,
    and whose signature and documentation it shows.
    """

    @property
    def __wrapped__(self) -> Any:  # where `inspect` looks for a signature
        return getattr(importlib.import_module(f"{self.__name__}.api"), self.__name__.rpartition(".")[2])

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.__wrapped__(*arguments, **options)


def _documentation(package: CallableModule) -> str:
    """What help() shows, of both."""
    function = package.__wrapped__
    shown = f"{package.__name__}{inspect.signature(function)}"
    return f"{vars(package)['__doc__']}\n\n{shown}\n\n{inspect.getdoc(function)}"


CallableModule.__doc__ = property(_documentation)  # type: ignore[assignment]


def make_callable(package: str) -> None:
    """Let the package be called."""
    sys.modules[package].__class__ = CallableModule
