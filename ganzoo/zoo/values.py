"""A setting's type and range, enforced: from text, or a value of a file, to a checked value."""

from __future__ import annotations

import math
from typing import Any

from ganzoo.errors import SettingError, UnknownName
from ganzoo.zoo.specs import Setting, Value

_TRUE, _FALSE, _NONE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}, {"none", "null"}


def check(setting: Setting, value: Any, key: str) -> Value:
    """`value` (text from the command line, or a TOML/JSON value) as the setting's type.

    Raises:
        SettingError: wrong type, not one of the choices, out of range, or None where it has no meaning.
    """
    kind = setting.type or type(setting.default)
    optional = setting.default is None or setting.optional
    if value is None or (isinstance(value, str) and value.lower() in _NONE and (optional or kind is not str)):
        if optional:
            return None
        raise SettingError(f"{key} cannot be none", _cure(setting, kind))
    converted = _convert(kind, value)
    if converted is None:
        raise SettingError(f"{key}={value!r} is not {_article(kind)}", _cure(setting, kind))
    if setting.choices is not None and converted not in setting.choices:
        raise UnknownName(f"value of {key}", str(converted), [str(choice) for choice in setting.choices])
    if isinstance(converted, (int, float)) and not isinstance(converted, bool):
        low = setting.minimum is not None and converted < setting.minimum
        high = setting.maximum is not None and converted > setting.maximum
        if low or high or not math.isfinite(converted):
            raise SettingError(f"{key}={value} is out of range", _cure(setting, kind))
    return converted


def _convert(kind: type, value: Any) -> Value:
    """None when it does not convert; a bool is never a number."""
    if kind is str:
        return value if isinstance(value, str) else None
    if kind is bool:
        if isinstance(value, bool):
            return value
        text = str(value).lower()
        return True if text in _TRUE else False if text in _FALSE else None
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if kind is int:
        return int(number) if number.is_integer() else None
    return number


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]


def _cure(setting: Setting, kind: type) -> str:
    bounds = [f"at least {setting.minimum:g}" if setting.minimum is not None else ""]
    bounds += [f"at most {setting.maximum:g}" if setting.maximum is not None else ""]
    limits = " and ".join(bound for bound in bounds if bound)
    return f"it takes {_article(kind)}{' of ' + limits if limits else ''}: {setting.doc}"
