"""Specs and settings as text and JSON, for `ganzoo list` and `ganzoo show`."""

from __future__ import annotations

import dataclasses
from typing import Any

from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Model, Setting, Spec


def facts(spec: Spec) -> dict[str, str]:
    """What else a spec says, for `show`."""
    shown = ("name", "target", "summary", "paper", "settings")
    values = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec) if field.name not in shown}
    return {key: text(value) for key, value in values.items() if value not in (None, {}, ())}


def text(value: Any) -> str:
    """A value as it is typed after `--set KEY=`."""
    if isinstance(value, (tuple, list)):
        return ", ".join(map(text, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={text(inner)}" for key, inner in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def setting_json(setting: Setting) -> dict[str, Any]:
    return {
        "name": setting.name,
        "default": setting.default,
        "doc": setting.doc,
        "choices": list(setting.choices) if setting.choices else None,
    }


def spec_json(registry: Registry, kind: str, spec: Spec) -> dict[str, Any]:
    plugin = registry.owner(kind, spec.name)
    return {
        "name": spec.name,
        "summary": spec.summary,
        "paper": spec.paper,
        "plugin": plugin.name,
        "origin": plugin.origin,
        **(_numbers(spec) if isinstance(spec, Model) else facts(spec)),
        "settings": [setting_json(setting) for setting in spec.settings],
    }


def _numbers(model: Model) -> dict[str, Any]:
    """What a model says, for programs."""
    names = ("sha256", "size", "kimg", "parameters", "protocol", "command")
    values = {name: getattr(model, name) for name in names}
    return {"variant": model.variant, "dataset": model.dataset, **values, "values": dict(model.values)}
