"""Packages that are functions as well."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import Any


def make_callable(package: str, target: str) -> None:
    """Let the package be called: that calls `target`, "module:attribute", which is imported by the first call."""
    module, _, attribute = target.partition(":")

    class CallableModule(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(module), attribute)(*arguments, **options)

        @property
        def __signature__(self) -> inspect.Signature:
            return inspect.signature(getattr(importlib.import_module(module), attribute))

    sys.modules[package].__class__ = CallableModule
