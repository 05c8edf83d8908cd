"""Settings of a config's sections: what they are, and every one's value."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ganzoo.errors import UnknownName
from ganzoo.zoo.specs import Setting, Value
from ganzoo.zoo.values import check

__all__ = ["check", "knob", "resolve", "settings_of"]


def knob(default: Value, doc: str, **limits: Any) -> Any:
    """A dataclass field that is also a `Setting`: default, one sentence with the unit, limits."""
    return dataclasses.field(default=default, metadata={"doc": doc, **limits})


def settings_of(config_type: type) -> tuple[Setting, ...]:
    """The settings of a frozen dataclass whose fields are knobs."""
    return tuple(
        Setting(name=field.name, default=field.default, **field.metadata)  # type: ignore[arg-type]
        for field in dataclasses.fields(config_type)
    )


def resolve(settings: Iterable[Setting], given: Mapping[str, Any], section: str) -> dict[str, Value]:
    """Every setting's value: the given one, checked, or its default.

    Raises:
        UnknownName: a name in `given` that no setting has.
    """
    by_name = {setting.name: setting for setting in settings}
    for name in given:
        if name not in by_name:
            raise UnknownName("setting", f"{section}.{name}", [f"{section}.{known}" for known in by_name])
    return {
        name: check(setting, given[name], f"{section}.{name}") if name in given else setting.default
        for name, setting in by_name.items()
    }
